"""One read of an OPC UA instrument: what the agent would have, what came, and what an absent node may have been."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.asked_space import AskedSpace, folder, holding, variable
from support.opcua_park import instrument, point, state

from parkgate.config.flag import Flag
from parkgate.drivers.opcua.probing import probe
from parkgate.drivers.opcua.space import OBJECTS, VALUE, Answer, Limits

URI = "urn:test:park"
NOW = 1_763_890_000_000


def at(name):
    return f"nsu={URI};s={name}"


def space(attributes, **more):
    tank = [variable(at("T1.Level")), variable(at("T1.Temp")), variable(at("T1.Health"))]
    other = [variable(at("T2.Level"))]
    below = {OBJECTS: [folder(at("T1")), folder(at("T2"))], at("T1"): tank, at("T2"): other}
    below |= {each.node: [] for each in (*tank, *other)}
    above = {each.node: [at("T1")] for each in tank}
    return AskedSpace(below, attributes, above=above, limits=more.pop("limits", Limits(namespaces=("ua", "own", URI))))


async def probed(*points, attributes=None, states=(), **more):
    return await probe(space(attributes or {}, **more), instrument(*points, states=states), lambda: NOW)


async def test_a_point_has_its_value_and_beside_it_all_that_the_server_said():
    attributes = holding(at("T1.Level"), 2.5, "Float", source=5, server=6) | holding(at("T1.Health"), 1, "Int32")
    found = await probed(point("level", at=at("T1.Level")), states=[state("T1.Health")], attributes=attributes)
    assert (found.snapshot.values, found.snapshot.states, found.snapshot.at) == ((2.5,), (1,), 5)
    (role, number, address, answer, _), other = found.rows()
    assert (role, number, address) == ("point", 0, at("T1.Level"))
    assert (answer.value, answer.kind, answer.source, answer.server) == (2.5, "Float", 5, 6)
    assert other[:3] == ("state", 0, at("T1.Health"))
    assert not found.near


async def test_a_node_that_stands_for_several_points_is_asked_once():
    attributes = holding(at("T1.Level"))
    asked = space(attributes)
    found = await probe(asked, instrument(point("a", at=at("T1.Level")), point("b", at=at("T1.Level"))), lambda: NOW)
    assert asked.read_ == [1]
    assert [row[3].value for row in found.rows()] == [2.5, 2.5]


@given(count=st.integers(1, 30), limit=st.integers(0, 7))
async def test_no_more_is_asked_at_once_than_the_server_allows(count, limit):
    names = [str(each) for each in range(count)]
    attributes = {(at(each), VALUE): Answer(float(each), "Double") for each in names}
    asked = AskedSpace({at(each): [] for each in names}, attributes, limits=Limits(read=limit, namespaces=("", URI)))
    found = await probe(asked, instrument(*(point(f"p{each}", at=at(each)) for each in names)), lambda: NOW)
    assert found.snapshot.values == tuple(map(float, names))
    assert max(asked.read_) <= (limit or 200)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("T1.Levle", [at("T1.Level")]),  # there is one of this name elsewhere too, which is less like it
        ("T1.level", [at("T1.Level")]),
        ("T2.Lvl", [at("T2.Level")]),
        ("T1.Sulphur", []),
        ("Nowhere.Level", [at("T1.Level")]),
        ("x", []),
    ],
)
async def test_for_a_node_that_is_not_there_those_of_like_names_beside_its_neighbours_are_told(wrong, meant):
    attributes = holding(at("T1.Temp"))
    found = await probed(point("level", at=at(wrong)), point("temp", at=at("T1.Temp")), attributes=attributes)
    assert found.snapshot.flags == {0: Flag.BAD_CONFIGURATION}
    assert list(found.near[0].nodes)[:1] == meant


async def test_without_a_neighbour_the_node_whose_id_it_begins_with_is_looked_into():
    found = await probed(point("level", at=at("T2.Levl")))
    assert found.near[0].nodes == (at("T2.Level"),)


async def test_the_namespace_is_told_where_the_server_has_not_that_one():
    found = await probed(point("a", at="nsu=urn:test:prak;s=T1.Level"), point("b", at="nsu=http://other/;s=T1.Level"))
    assert found.near[0].namespaces == (URI,)
    assert found.near[1].namespaces == ("own", URI)
    assert found.near[0].nodes == ()


async def test_a_numeric_id_that_is_not_there_leads_nowhere_and_breaks_nothing():
    found = await probed(point("a", at="ns=2;i=5"), point("b", at="i=999"))
    assert [each.nodes for each in found.near.values()] == [(), ()]
