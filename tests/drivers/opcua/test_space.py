"""Walking an address space: whole whatever its shape and the server's limits, and ended where cycles are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.asked_space import AskedSpace, folder, variable

from parkgate.drivers.opcua.space import OBJECTS, Child, Limits, Walk, explore


def node(number):
    return OBJECTS if number == 0 else f"ns=2;i={number}"


def reachable(edges):
    found, waiting = {0}, [0]
    while waiting:
        waiting += (new := [each for each in edges[waiting.pop()] if each not in found])
        found.update(new)
    return found


graphs = st.integers(1, 25).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=8), min_size=size, max_size=size)
)


async def walked(space, **more):
    walk = Walk(**more)
    waits = []
    await explore(space, walk, waits.append)
    return walk, waits


@given(edges=graphs, page=st.integers(1, 4), browse=st.integers(0, 4), continued=st.integers(0, 3))
async def test_every_node_that_can_be_reached_is_found_once_and_browsed_once_at_every_page_and_limit(
    edges, page, browse, continued
):
    below = {node(place): [folder(node(each)) for each in row] for place, row in enumerate(edges)}
    space = AskedSpace(below, page=page, limits=Limits(browse=browse, continued=continued))
    walk, waits = await walked(space)
    found = [each.child.node for each in walk.nodes()]
    assert sorted(found) == sorted(map(node, reachable(edges)))
    assert set(space.browsed) == set(found)
    assert walk.again == sum(len(edges[each]) for each in reachable(edges)) - len(found) + 1
    assert walk.done
    assert waits[-1] == 0
    assert not any(each.trouble for each in walk.nodes())


async def test_a_node_that_the_server_had_no_way_to_continue_is_asked_again_alone():
    class Stingy(AskedSpace):
        """It tells no limit, and yet goes on with one node a time."""

        async def browse(self, nodes, *, up=False):
            self._limits = Limits(continued=1)
            pages = await super().browse(nodes, up=up)
            self._limits = Limits()
            return pages

    many = {each: [variable(f"{each}.{number}") for number in range(5)] for each in ("ns=2;s=a", "ns=2;s=b")}
    below = {OBJECTS: [folder(each) for each in many], **many}
    leaves = {each.node: [] for row in many.values() for each in row}
    space = Stingy(below | leaves, page=2)
    walk, _ = await walked(space)
    assert sum(1 for _ in walk.variables()) == 10
    assert space.browsed.count("ns=2;s=b") == 2


async def test_the_tree_keeps_the_servers_order_and_numbers_its_variables():
    below = {
        OBJECTS: [folder("ns=2;s=A"), variable("ns=2;s=Z")],
        "ns=2;s=A": [variable("ns=2;s=A.2"), variable("ns=2;s=A.1")],
        **{each: [] for each in ("ns=2;s=Z", "ns=2;s=A.1", "ns=2;s=A.2")},
    }
    walk, _ = await walked(AskedSpace(below))
    told = [(each.number, each.path, each.depth) for each in walk.variables()]
    assert told == [(1, ("A", "2"), 2), (2, ("A", "1"), 2), (3, ("Z",), 1)]


async def test_the_servers_own_nodes_are_left_out_unless_one_begins_there():
    below = {OBJECTS: [folder("i=2253"), folder("ns=2;s=A")], "i=2253": [folder("i=2256")], "i=2256": [],
             "ns=2;s=A": []}  # fmt: skip
    walk, _ = await walked(AskedSpace(below))
    own, _ = await walked(AskedSpace(below), start="i=2253")
    assert [each.child.node for each in walk.nodes()] == [OBJECTS, "ns=2;s=A"]
    assert walk.left == 1
    assert [each.child.node for each in own.nodes()] == ["i=2253", "i=2256"]


async def test_beginning_at_the_root_finds_the_objects_and_not_the_types():
    below = {"i=84": [folder(OBJECTS), folder("i=86")], OBJECTS: [folder("ns=2;s=A")], "ns=2;s=A": []}
    walk, _ = await walked(AskedSpace(below), start="i=84")
    assert [each.child.node for each in walk.nodes()] == ["i=84", OBJECTS, "ns=2;s=A"]


@pytest.mark.parametrize(
    ("depth", "found"), [(1, ["A", "V"]), (2, ["A", "W", "B", "V"]), (None, ["A", "W", "B", "C", "V"])]
)
async def test_so_many_levels_are_looked_at_and_the_variables_of_the_last_one_have_their_properties(depth, found):
    unit = Child("ns=2;s=unit", "EngineeringUnits", "", "variable", property=True)
    below = {
        OBJECTS: [folder("ns=2;s=A"), variable("ns=2;s=V")],
        "ns=2;s=A": [variable("ns=2;s=W"), folder("ns=2;s=B")],
        "ns=2;s=B": [folder("ns=2;s=C")],
        "ns=2;s=C": [],
        "ns=2;s=V": [unit],
        "ns=2;s=W": [unit],
    }
    walk, _ = await walked(AskedSpace(below), depth=depth)
    assert [each.child.name for each in walk.nodes()][1:] == found
    assert {each.unit for each in walk.variables()} == {"ns=2;s=unit"}


async def test_the_range_of_use_counts_before_the_instruments_whatever_comes_first():
    def named(name):
        return Child(f"ns=2;s={name}", name, "", "variable", property=True)

    for order in (["EURange", "InstrumentRange"], ["InstrumentRange", "EURange"]):
        below = {OBJECTS: [variable("ns=2;s=V")], "ns=2;s=V": [named(each) for each in order]}
        walk, _ = await walked(AskedSpace(below))
        assert [each.range for each in walk.variables()] == ["ns=2;s=EURange"]
        assert not walk.full
    below["ns=2;s=V"] = [named("InstrumentRange")]
    walk, _ = await walked(AskedSpace(below))
    assert [each.range for each in walk.variables()] == ["ns=2;s=InstrumentRange"]


async def test_no_more_nodes_than_asked_for_are_taken_and_that_there_are_more_is_known():
    below = {OBJECTS: [variable(f"ns=2;i={each}") for each in range(10)]}
    below |= {each.node: [] for each in below[OBJECTS]}
    some, _ = await walked(AskedSpace(below, page=3), most=4)
    every, _ = await walked(AskedSpace(below, page=3), most=10)
    assert (sum(1 for _ in some.variables()), some.full) == (4, True)
    assert [each.number for each in some.variables()] == [1, 2, 3, 4]
    assert (sum(1 for _ in every.variables()), every.full) == (10, False)


async def test_what_may_not_be_looked_into_says_so_and_the_rest_is_found():
    below = {OBJECTS: [folder("ns=2;s=A"), folder("ns=2;s=B")], "ns=2;s=A": [], "ns=2;s=B": [variable("ns=2;s=V")],
             "ns=2;s=V": []}  # fmt: skip
    space = AskedSpace(below)
    space.closed = {"ns=2;s=A"}
    walk, _ = await walked(space)
    assert {each.child.name: each.trouble for each in walk.nodes() if each.trouble} == {"A": "BadUserAccessDenied"}
    assert [each.child.name for each in walk.variables()] == ["V"]


async def test_a_start_that_is_not_there_is_a_root_with_its_trouble():
    walk, _ = await walked(AskedSpace({}), start="ns=2;s=nowhere")
    assert (walk.root.trouble, walk.root.below, walk.done) == ("BadNodeIdUnknown", [], True)


async def test_a_chain_of_thousands_of_objects_is_no_trouble():
    below = {node(each): [folder(node(each + 1))] for each in range(3_000)} | {node(3_000): []}
    walk, _ = await walked(AskedSpace(below))
    last = [*walk.nodes()][-1]
    assert last.depth == len(last.path) == 3_000
