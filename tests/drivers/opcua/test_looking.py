"""What a variable is: its type with a value and without one, its unit and range, and why it can be no point."""

import math

import pytest
from support.asked_space import AskedSpace, holding, variable

from parkgate.drivers.opcua.looking import TYPES, look
from parkgate.drivers.opcua.space import DATA_TYPE, USER_ACCESS, VALUE, VALUE_RANK, Answer, Limits, Node

AT = "ns=2;s=V"


async def seen(attributes, *, above=None, limits=None, nodes=None):
    space = AskedSpace({AT: []}, attributes, above=above, limits=limits)
    found, left = [], []
    await look(space, nodes or [Node(variable(AT), unit="ns=2;s=U", range="ns=2;s=R")], found.append, left.append)
    return found, space, left


async def one(attributes, **more):
    (found,), _, _ = await seen(attributes, **more)
    return found


@pytest.mark.parametrize("kind", TYPES)
async def test_a_plain_value_is_a_point_of_the_type_that_holds_it(kind):
    found = await one(holding(AT, 1, kind))
    assert (found.kind, found.type, found.why) == (kind, TYPES[kind], "")


@pytest.mark.parametrize(
    ("declared", "above", "kind"),
    [
        ("i=10", {}, "Float"),
        ("i=290", {"i=290": ["i=11"]}, "Double"),
        ("ns=2;i=1", {"ns=2;i=1": ["ns=2;i=2"], "ns=2;i=2": ["i=29"]}, "Int32"),
    ],
)
async def test_without_a_value_the_declared_type_is_followed_up_to_a_built_in_one(declared, above, kind):
    found = await one(holding(AT, None, "", declared), above=above)
    assert (found.kind, found.type) == (kind, TYPES[kind])


@pytest.mark.parametrize("above", [{}, {"ns=2;i=1": ["ns=2;i=1"]}, {"ns=2;i=1": ["i=24"]}])
async def test_a_type_that_leads_nowhere_is_not_known(above):
    found = await one(holding(AT, None, "", "ns=2;i=1", status=0x8031_0000, said="BadNoCommunication"), above=above)
    assert found.type == ""
    assert "BadNoCommunication" in found.why


async def test_declared_types_are_followed_once_for_all_variables_of_them():
    nodes = [Node(variable(f"ns=2;s={each}")) for each in range(40)]
    attributes = {}
    for each in nodes:
        attributes |= holding(each.child.node, None, "", "ns=2;i=1")
    space = AskedSpace({each.child.node: [] for each in nodes}, attributes, above={"ns=2;i=1": ["i=11"]})
    climbs = []
    plain = space.browse

    async def counted(asked, *, up=False):
        climbs.append(list(asked))
        return await plain(asked, up=up)

    space.browse = counted
    found = []
    await look(space, nodes, found.append)
    assert {each.kind for each in found} == {"Double"}
    assert climbs == [["ns=2;i=1"]]


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        (holding(AT, [1, 2], "Int32", size=2), "array of Int32"),
        (holding(AT, None, "", "i=11") | {(AT, VALUE_RANK): Answer(1, "Int32")}, "array of Double"),
        (holding(AT, "BuildInfo", "ExtensionObject"), "structure"),
        (holding(AT, [0, 1], "Range"), "structure"),
        (holding(AT, "2026", "DateTime"), "DateTime"),
        (holding(AT) | {(AT, USER_ACCESS): Answer(2, "Byte")}, "may not read"),
    ],
)
async def test_what_cannot_be_a_point_says_why(attributes, word):
    found = await one(attributes)
    assert found.type == ""
    assert word in found.why


@pytest.mark.parametrize("rank", [-1, -2, -3])
async def test_a_scalar_is_one_whatever_else_its_variable_could_hold(rank):
    found = await one(holding(AT) | {(AT, VALUE_RANK): Answer(rank, "Int32"), (AT, USER_ACCESS): Answer(3, "Byte")})
    assert found.type == "double"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([0, 15.5], (0, 15.5)),
        ([100, 0], None),
        ([0, 0], None),
        ([0, math.inf], None),
        ([math.nan, 1], None),
        ("text", None),
        (None, None),
    ],
)
async def test_a_range_is_one_whose_ends_are_numbers_the_lower_first(said, told):
    found = await one(holding(AT) | {("ns=2;s=R", VALUE): Answer(said, "Range")})
    assert found.range == told


async def test_a_unit_is_what_the_server_calls_it_and_nothing_else():
    units = {("ns=2;s=U", VALUE): Answer("m³", "EUInformation")}
    assert (await one(holding(AT) | units)).unit == "m³"
    assert (await one(holding(AT) | {("ns=2;s=U", VALUE): Answer("m³", "String")})).unit == ""
    assert (await one(holding(AT))).unit == ""


@pytest.mark.parametrize("limit", [0, 1, 7, 1_000])
async def test_no_more_is_asked_at_once_than_the_server_allows_and_it_is_told_how_many_still_wait(limit):
    nodes = [Node(variable(f"ns=2;s={each}")) for each in range(70)]
    attributes = {}
    for each in nodes:
        attributes |= holding(each.child.node, None, "")
    many = AskedSpace(
        {each.child.node: [] for each in nodes}, attributes, limits=Limits(read=max(limit, 6) if limit else 0)
    )
    found, left = [], []
    await look(many, nodes, found.append, left.append)
    assert [each.node for each in found] == nodes
    assert max(many.read_) <= min(200, limit if limit >= 6 else 200)
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


async def test_a_data_type_that_cannot_be_read_leaves_a_value_its_own_type():
    attributes = {(AT, VALUE): Answer(1.0, "Float"), (AT, DATA_TYPE): Answer(status=0x8035_0000, said="Bad")}
    assert (await one(attributes)).type == "float32"
