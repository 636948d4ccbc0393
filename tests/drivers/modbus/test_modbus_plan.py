"""The plan: as few requests as can be, every value whole and in exactly one of them."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.modbus_maps import instrument, instruments, point

from parkgate.config.profile import State
from parkgate.drivers.faults import Unusable
from parkgate.drivers.modbus.plan import Block, Field, blocks, instead, plan, problems, without_gaps


def shapes(found):
    return [(block.table, block.start, block.count) for block in found]


def limit(block):
    return 2000 if block.table in {"coil", "discrete"} else 125


def gaps(block):
    """The lengths of the runs of registers in a block that no field uses."""
    used = sorted({place for field in block.fields for place in range(field.start, field.end)})
    return [after - before - 1 for before, after in pairwise(used) if after - before > 1]


def field(start, width, table="holding", index=0):
    return Field(table, start, width, None, "point", index)


def test_neighbours_share_one_request():
    found = plan(instrument(point("input 0", "float32"), point("input 2", "float32"), point("input 4")))
    assert shapes(found) == [("input", 0, 5)]


def test_the_tables_are_asked_apart():
    found = plan(instrument(point("holding 0"), point("input 0"), point("coil 3", "bool"), point("discrete 9", "bool")))
    assert shapes(found) == [("coil", 3, 1), ("discrete", 9, 1), ("holding", 0, 1), ("input", 0, 1)]


@pytest.mark.parametrize(("max_gap", "expected"), [(10, [(0, 12)]), (9, [(0, 1), (11, 1)]), (0, [(0, 1), (11, 1)])])
def test_a_gap_is_read_over_up_to_its_limit(max_gap, expected):
    found = plan(instrument(point("holding 0"), point("holding 11"), max_gap=max_gap))
    assert [(block.start, block.count) for block in found] == expected


def test_max_gap_zero_never_reads_an_unused_register_and_still_joins_neighbours():
    found = plan(instrument(point("holding 0"), point("holding 1"), point("holding 3"), max_gap=0))
    assert shapes(found) == [("holding", 0, 2), ("holding", 3, 1)]


@pytest.mark.parametrize(("second", "requests"), [(1 + 32, 1), (1 + 33, 2)])
def test_a_gap_of_one_register_is_worth_sixteen_bits(second, requests):
    found = plan(instrument(point("coil 0", "bool"), point(f"coil {second}", "bool"), max_gap=2))
    assert len(found) == requests


def test_a_value_at_the_limit_goes_whole_into_the_next_request():
    full = [point(f"holding {2 * index}", "float32") for index in range(63)]
    assert shapes(plan(instrument(*full))) == [("holding", 0, 124), ("holding", 124, 2)]


def test_two_thousand_coils_are_one_request_and_one_more_is_two():
    coils = [point(f"coil {index}", "bool") for index in range(2001)]
    assert [block.count for block in plan(instrument(*coils[:2000]))] == [2000]
    assert sum(block.count for block in plan(instrument(*coils))) == 2001


def test_of_equally_many_requests_the_ones_that_read_fewer_registers_are_chosen():
    found = plan(instrument(point("holding 0"), point("holding 100"), point("holding 130"), max_gap=124))
    assert shapes(found) == [("holding", 0, 1), ("holding", 100, 31)]


def test_a_state_is_read_in_the_block_of_the_values_it_judges():
    site = instrument(
        point("holding 10"), states=(State(at="holding 12", type="uint32", bits=(0, 3), equals=2, flag="fault"),)
    )
    (block,) = plan(site)
    assert shapes([block]) == [("holding", 10, 4)]
    assert [each.role for each in block.fields] == ["point", "state"]


def test_points_that_share_registers_are_read_once():
    found = plan(instrument(point("holding 4.0", "bool"), point("holding 4.9", "bool"), point("holding 3", "float32")))
    assert shapes(found) == [("holding", 3, 2)]


@given(instruments(most=2_500, size=60))
def test_every_value_is_whole_in_exactly_one_block_and_no_limit_is_passed(site):
    found = plan(site)
    carried = [(each.role, each.index) for block in found for each in block.fields]
    wanted = [("point", index) for index in range(len(site.points))]
    wanted += [("state", index) for index in range(len(site.states))]
    assert sorted(carried) == wanted
    for block in found:
        gap = site.max_gap * (16 if block.of_bits else 1)
        assert 1 <= block.count <= limit(block)
        assert all(block.start <= each.start < each.end <= block.start + block.count for each in block.fields)
        assert all(length <= gap for length in gaps(block))
        assert {each.table for each in block.fields} == {block.table}
        assert block.size == (-(-block.count // 8) if block.of_bits else 2 * block.count)


def partitions(fields):
    """Every way to put fields into groups."""
    if not fields:
        yield []
        return
    first, rest = fields[0], fields[1:]
    for groups in partitions(rest):
        yield [[first], *groups]
        for index, group in enumerate(groups):
            yield [*groups[:index], [first, *group], *groups[index + 1 :]]


def cheapest(fields, max_gap):
    """The fewest requests, then registers, over every grouping whatever: the slow and obvious way."""
    costs = []
    for groups in partitions(fields):
        made = [
            Block("holding", min(f.start for f in g), max(f.end for f in g) - min(f.start for f in g), tuple(g))
            for g in groups
        ]
        if all(block.count <= 125 and all(gap <= max_gap for gap in gaps(block)) for block in made):
            costs.append((len(made), sum(block.count for block in made)))
    return min(costs)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.builds(field, st.integers(0, 260), st.sampled_from([1, 1, 2, 4, 30, 100, 125])), min_size=1, max_size=6
    ),
    st.integers(0, 124),
)
def test_no_grouping_whatever_is_cheaper(fields, max_gap):
    numbered = [field(each.start, each.width, index=index) for index, each in enumerate(fields)]
    found = blocks(numbered, max_gap)
    assert (len(found), sum(block.count for block in found)) == cheapest(numbered, max_gap)


@given(instruments())
def test_without_gaps_reads_the_same_fields_and_nothing_else(site):
    for block in plan(site):
        pieces = without_gaps(block)
        assert sorted(each.index for piece in pieces for each in piece.fields) == sorted(
            each.index for each in block.fields
        )
        assert all(gaps(piece) == [] for piece in pieces)


@given(instruments())
def test_asking_instead_ends_at_every_single_field(site):
    for block in plan(site):
        waiting, single = [block], []
        while waiting:
            each = waiting.pop()
            pieces = instead(each)
            waiting += pieces
            assert all(len(piece.fields) < len(each.fields) for piece in pieces)
            if not pieces:
                single += each.fields
        assert sorted(single, key=repr) == sorted(block.fields, key=repr)


def test_a_refused_block_is_asked_without_its_gaps_before_it_is_halved():
    (block,) = plan(instrument(point("holding 0"), point("holding 1"), point("holding 5")))
    assert shapes(instead(block)) == [("holding", 0, 2), ("holding", 5, 1)]
    assert shapes(instead(instead(block)[0])) == [("holding", 0, 1), ("holding", 1, 1)]
    assert instead(instead(block)[1]) == ()


@pytest.mark.parametrize(
    ("given_point", "what"),
    [
        (point("holding 0", "flaot32"), 'no type "flaot32"'),
        (point("holding 0", "string"), 'no type "string"'),
        (point("holding 0", "string:126"), 'no type "string:126"'),
        (point("coil 0", "uint16"), "is one bit"),
        (point("holding 0.3", "uint16"), "is one bit"),
        (point("nonsense", "uint16"), "not a Modbus address"),
        (point("holding 65535", "float32"), "over the end of the table"),
    ],
)
def test_a_point_that_cannot_be_read_is_named(given_point, what):
    with pytest.raises(Unusable, match=what) as refused:
        plan(instrument(given_point))
    assert refused.value.where.startswith("stack-1, points.p0")


@pytest.mark.parametrize(
    ("given_state", "what"),
    [
        (State(at="holding 0", type="float32", equals=1, flag="fault"), 'state cannot be of type "float32"'),
        (State(at="holding 0", bits=(0, 16), equals=1, flag="fault"), "bit field 0 to 16"),
        (State(at="holding 0", bits=(3, 2), equals=1, flag="fault"), "bit field 3 to 2"),
        (State(at="coil 0", bits=(0, 1), equals=1, flag="fault"), "is one bit"),
        (State(at="discrete 0", type="uint16", equals=1, flag="fault"), "is one bit"),
        (State(at="40000", equals=1, flag="fault"), "no such register"),
        (State(at="holding 65535", type="uint32", equals=1, flag="fault"), "over the end of the table"),
    ],
)
def test_a_state_that_cannot_be_read_is_named(given_state, what):
    with pytest.raises(Unusable, match=what) as refused:
        plan(instrument(point("holding 0"), states=(given_state,)))
    assert refused.value.where.startswith("stack-1, state 1")


def test_all_problems_of_an_instrument_are_told_at_once():
    site = instrument(
        point("holding 0"),
        point("nowhere"),
        point("coil 1", "float32"),
        states=(State(at="holding 70000", equals=1, flag="fault"),),
    )
    assert [problem.where.split(".at")[0] for problem in problems(site)] == [
        "stack-1, points.p1",
        "stack-1, points.p2",
        "stack-1, state 1",
    ]
    assert problems(instrument(point("holding 0"))) == ()
