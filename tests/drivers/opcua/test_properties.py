"""Units and ranges from real OPC UA servers: when they are read, and what becomes of readings where they cannot be."""

import asyncio

import pytest
from asyncua import ua
from asyncua.server.internal_session import InternalSession
from support.node_opcua import node, serving
from support.opcua_park import T0, bare, datavalue, followed, instrument, line, point

from parkgate.config.flag import Flag
from parkgate.drivers.opcua import properties
from parkgate.drivers.opcua.driver import OpcUaDriver
from parkgate.drivers.opcua.properties import MOST_TRIES

pytestmark = pytest.mark.xdist_group("node-opcua")

CEFACT = "http://www.opcfoundation.org/UA/units/un/cefact"
METRE, MILLIMETRE = 5067858, 5066068
CHANGED = 0x4000


@pytest.fixture(scope="module")
def others():
    with serving() as started:
        yield started


class Questions(list):
    def __init__(self):
        super().__init__()
        self.fails = []


@pytest.fixture
def asked(monkeypatch):
    """The paths of each question that an asyncua server was asked; whatever is put into `fails` it raises."""
    questions = Questions()
    translate = InternalSession.translate_browsepaths_to_nodeids

    async def noting(self, params):
        questions.append([path.RelativePath.Elements[0].TargetName.Name for path in params])
        if questions.fails:
            raise questions.fails[0]
        return await translate(self, params)

    monkeypatch.setattr(InternalSession, "translate_browsepaths_to_nodeids", noting)
    return questions


def driver(url, *instruments):
    return OpcUaDriver(line(url), instruments, lambda: T0)


async def say(park, name, unit=None, span=None):
    """Let a node of an asyncua server have these properties."""
    held = park.server.get_node(ua.NodeId(name, park.space))
    made = []
    if unit is not None:
        about = ua.EUInformation(CEFACT, unit, ua.LocalizedText("?"), ua.LocalizedText("?"))
        made.append(await held.add_property(ua.NodeId(f"{name}.unit", park.space), "0:EngineeringUnits", about))
    if span is not None:
        made.append(await held.add_property(ua.NodeId(f"{name}.range", park.space), "0:EURange", ua.Range(*span)))
    return made


def said(instrument):
    return [(each.unit, each.range) for each in instrument.points]


async def test_they_are_asked_behind_the_first_answer_all_at_once_and_never_again(asked):
    tank = instrument(point("level"), point("flow", unit="L/s"), point("plain"))
    async with bare() as park:
        for name in ("level", "flow", "plain"):
            await park.put(name, datavalue(2.5))
        await say(park, "level", METRE, (0, 12))
        await say(park, "flow", span=(0, 90))
        async with driver(park.url, tank) as opened:
            assert opened.described(tank) is tank
            await opened.read(tank)
            known = opened.described(tank)
            await opened.read(tank)
            assert opened.described(tank) is known
    assert said(known) == [("m", (0, 12)), ("L/s", (0, 90)), ("", None)]
    assert asked == [["EngineeringUnits", "EURange"] * 3]


async def test_where_the_server_has_none_the_instrument_stays_the_very_same(asked):
    tank = instrument(point("level"))
    async with bare() as park:
        await park.put("level", datavalue(2.5))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            assert opened.described(tank) is tank
    assert len(asked) == 1


async def test_a_status_that_says_they_changed_has_them_read_again(asked):
    tank = instrument(point("level"), point("plain"))
    async with bare() as park:
        for name in ("level", "plain"):
            await park.put(name, datavalue(2.5))
        unit, span = await say(park, "level", METRE, (0, 12))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            await unit.write_value(ua.EUInformation(CEFACT, MILLIMETRE, ua.LocalizedText("mm"), ua.LocalizedText("")))
            await span.write_value(ua.Range(0, 12_000))
            await opened.read(tank)
            assert said(opened.described(tank)) == [("m", (0, 12)), ("", None)]
            await park.put("level", datavalue(2_500.0, status=CHANGED))
            (snapshot,) = await opened.read(tank)
            assert said(opened.described(tank)) == [("mm", (0, 12_000)), ("", None)]
    assert (snapshot.values, snapshot.flags) == ((2_500.0, 2.5), {})
    assert [len(paths) for paths in asked] == [4, 2]


async def test_a_status_that_goes_on_saying_so_has_them_read_once_until_the_next_value(asked):
    tank = instrument(point("level"))
    async with bare() as park:
        await park.put("level", datavalue(2.5))
        await say(park, "level", METRE)
        async with driver(park.url, tank) as opened:
            for value in (2.5, 2.5, 2.6, 2.6):
                await park.put("level", datavalue(value, status=CHANGED))
                await opened.read(tank)
    assert len(asked) == 2


async def test_ranges_that_change_again_and_again_are_taken_now_and_then_and_a_unit_at_once(monkeypatch, caplog):
    monkeypatch.setattr(properties, "OFTEN", 2)
    tank, now, value = instrument(point("level")), [0.0], iter(range(100))
    async with bare() as park:
        await park.put("level", datavalue(0.5))
        unit, span = await say(park, "level", METRE, (0, 1))
        async with OpcUaDriver(line(park.url), [tank], lambda: T0, clock=lambda: now[0]) as opened:

            async def turn(*, high=None):
                if high is not None:
                    await span.write_value(ua.Range(0, high))
                    await park.put("level", datavalue(float(next(value)), status=CHANGED))
                await opened.read(tank)
                return said(opened.described(tank))[0]

            assert [await turn(high=high) for high in (5, 4, 6)] == [("m", (0, high)) for high in (5, 4, 6)]
            assert await turn(high=3) == ("m", (0, 6)), "it rests for 2 s"
            assert [
                record.message.partition(";")[0] for record in caplog.records if record.name == "parkgate.opcua"
            ] == ["tank-1: the server changes its ranges again and again"]
            now[0] = 1.9
            assert await turn() == ("m", (0, 6))
            now[0] = 2.0
            assert await turn() == ("m", (0, 3)), "and is taken then, without another word of the server"
            assert await turn(high=7) == ("m", (0, 7)), "a value that is within it now must not be called out of it"
            await unit.write_value(ua.EUInformation(CEFACT, MILLIMETRE, ua.LocalizedText("mm"), ua.LocalizedText("")))
            assert await turn(high=2) == ("mm", (0, 2)), "what a value means does not wait"
            opened._properties._of[tank.name].changes = 5_000  # months of it
            assert await turn(high=8) == ("mm", (0, 8))


async def test_what_changed_while_no_answer_came_is_asked_again(asked):
    tank = instrument(point("level"))
    async with bare() as park:
        await park.put("level", datavalue(2.5))
        unit, _ = await say(park, "level", METRE, (0, 12))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            await unit.write_value(ua.EUInformation(CEFACT, MILLIMETRE, ua.LocalizedText("mm"), ua.LocalizedText("")))
            asked.fails = [ua.uaerrors.BadTimeout()]
            await park.put("level", datavalue(2_500.0, status=CHANGED))
            await opened.read(tank)
            assert said(opened.described(tank)) == [("m", (0, 12))]
            asked.fails = []
            await park.put("level", datavalue(2_501.0))
            await opened.read(tank)
            assert said(opened.described(tank)) == [("mm", (0, 12))]


async def test_a_unit_other_than_the_profile_s_is_told_and_changes_nothing(asked):
    tank = instrument(point("level", unit="mm"), point("plain"))
    async with bare() as park:
        for name in ("level", "plain"):
            await park.put(name, datavalue(2.5))
        await say(park, "level", METRE, (0, 12))
        async with driver(park.url, tank) as opened:
            assert opened.standing(tank).units == ()
            await opened.read(tank)
            assert opened.standing(tank).units == (("level", "m"),)
            assert opened.described(tank) is tank
    assert len(asked) == 1


async def test_a_node_that_is_there_later_is_asked_about_then(asked):
    tank = instrument(point("level"), point("late"))
    async with bare() as park:
        await park.put("level", datavalue(2.5))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            assert opened.standing(tank).reasons == {"late": "the server has no node nsu=urn:test:park;s=late"}
            await park.put("late", datavalue(1.0))
            await say(park, "late", METRE)
            await opened.read(tank)
            assert said(opened.described(tank)) == [("", None), ("m", None)]
            assert opened.standing(tank).reasons == {}
    assert [len(paths) for paths in asked] == [2, 2]


async def test_what_is_known_counts_until_the_next_session_says_otherwise(asked):
    tank = instrument(point("level"))
    opened = driver("opc.tcp://127.0.0.1:1", tank)
    async with bare() as park:
        await park.put("level", datavalue(2.5))
        unit, _ = await say(park, "level", METRE, (0, 12))
        opened = driver(park.url, tank)
        async with opened:
            await opened.read(tank)
        known = opened.described(tank)
        assert said(known) == [("m", (0, 12))]
        bad = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData))
        park.server.set_attribute_value_callback(unit.nodeid, lambda *_: bad)
        async with opened:
            assert opened.described(tank) is known
            await opened.read(tank)
            assert opened.described(tank) is known, "the unit could not be read, so it is not another one"
        await park.server.delete_nodes([unit])
        async with opened:
            await opened.read(tank)
        assert said(opened.described(tank)) == [("", (0, 12))]
    assert len(asked) == 3


@pytest.mark.parametrize("error", [ua.uaerrors.BadServiceUnsupported(), ua.uaerrors.BadTooManyOperations()])
async def test_a_server_that_refuses_the_question_costs_no_reading_and_is_left_alone_soon(asked, error, caplog):
    tank = instrument(point("level"))
    async with bare() as park:
        await park.put("level", datavalue(2.5))
        asked.fails = [error]
        async with driver(park.url, tank) as opened:
            for _ in range(MOST_TRIES + 2):
                (snapshot,) = await opened.read(tank)
                assert (snapshot.values, snapshot.flags) == ((2.5,), {})
    assert len(asked) == MOST_TRIES
    told = [record.getMessage() for record in caplog.records if record.name == "parkgate.opcua"]
    assert len(told) == 1
    assert told[0].startswith("tank-1: units and ranges of the server cannot be read: Bad")


@pytest.mark.parametrize("value", [
    ua.Variant("m"), ua.Variant(None), ua.Variant([ua.EUInformation()]), ua.Variant(ua.Range(5, 5)),
    ua.Variant(ua.Range(0, float("inf"))), ua.Variant(ua.Range(float("nan"), 1)), ua.Variant(ua.EUInformation()),
])  # fmt: skip
async def test_properties_that_say_nothing_of_use_leave_the_instrument_as_it_is(value):
    tank = instrument(point("level"))
    async with bare() as park:
        await park.put("level", datavalue(2.5))
        for each in await say(park, "level", METRE, (0, 12)):
            park.server.set_attribute_value_callback(each.nodeid, lambda *_: ua.DataValue(value))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            assert opened.described(tank) is tank


async def test_what_is_no_value_of_a_point_is_told_however_often_it_is_read():
    tank = instrument(point("level"), point("list"))
    async with bare() as park:
        await park.put("level", datavalue(2.5))
        await park.put("list", datavalue([1.0, 2.0]))
        async with driver(park.url, tank) as opened:
            for _ in range(3):
                (snapshot,) = await opened.read(tank)
            ((name, why),) = opened.standing(tank).reasons.items()
    assert snapshot.flags == {1: Flag.BAD_CONFIGURATION}
    assert (name, why.partition(";")[0]) == ("list", "the server has an array")


MEASURED = {"Level": "m", "Temperature": "°C", "Pressure": "kPa", "Interface": "m", "Volume": "m3"}


async def test_a_tank_farm_of_others_is_learnt_within_the_server_s_limits(others):
    names = [(f"Farm.T{number:02}.{name}", unit) for number in range(1, 11) for name, unit in MEASURED.items()]
    farm = instrument(*(point(name.lower().replace(".", "_"), at=node(name)) for name, _ in names))
    async with driver(others.url, farm) as opened:
        await opened.read(farm)
        known = opened.described(farm)
    assert [each.unit for each in known.points] == [unit for _, unit in names]
    assert {each.range for each in known.points} == {(0, 12), (-20, 80), (0, 250), (0, 5000)}


async def test_analog_items_of_others_come_as_they_say_and_a_range_that_is_none_is_left_out(others):
    tank = instrument(*(point(name.lower(), at=node(name)) for name in ("Explosive", "Reversed", "Unitless", "Double")))
    async with driver(others.url, tank) as opened:
        await opened.read(tank)
        assert said(opened.described(tank)) == [("%LEL", (0, 100)), ("%", None), ("", (0, 14)), ("", None)]


async def test_what_others_notify_as_changed_semantics_is_what_has_them_read_again(others):
    tank = followed(point("level", at=node("Level")))
    async with asyncio.timeout(60), driver(others.url, tank) as opened:

        async def becomes(*told):
            snapshots = []
            while said(opened.described(tank)) != [told]:
                snapshots = await opened.read(tank)
                await asyncio.sleep(0.01)
            assert snapshots[-1].absent == frozenset(), "under another description all is told anew"

        await becomes("m", (0, 12))
        await asyncio.to_thread(others.range, "Level", 0, 9)
        await becomes("m", (0, 9))
        await asyncio.to_thread(others.units, "Level", MILLIMETRE, "mm")
        await becomes("mm", (0, 9))
