"""An outage filled from a real server's history, through the driver: what is missed once comes once, with its times."""

import asyncio

import pytest
from asyncua import ua
from support.opcua_history import recording
from support.opcua_park import T0, Wire, bare, datavalue, instrument, line, point, state

from parkgate.config.flag import Flag
from parkgate.drivers.driver import Recalled, Recalling
from parkgate.drivers.opcua import history as room
from parkgate.drivers.opcua.driver import OpcUaDriver
from parkgate.gateway.processing.validity import Judge

TANK = instrument(point("a"), point("b"))
SECOND = 1_000
CUT = 300 * SECOND
"""An outage of five minutes, by the clock of the source."""


@pytest.fixture(autouse=True)
def _requests_follow_at_once(monkeypatch):
    monkeypatch.setattr(room, "RESTS", 0)
    monkeypatch.setattr(room, "PATIENCE", 0.0)


def driver(url, *instruments, timeout=5_000):
    return OpcUaDriver(line(url, timeout), instruments, lambda: T0 + 10 * CUT)


async def turns(opened, tank, most=200):
    """Read until nothing is filled any more; give what came live, and late, and what was told."""
    live, late, told, idle = [], [], [], 0
    while idle < 3:
        *before, now = await opened.read(tank)
        late += before
        live.append(now)
        news = opened.history.told(tank)
        told += news
        idle = 0 if before or news or opened.history._stories[tank.name].delivered.gaps else idle + 1
        most -= 1
        assert most, "it does not end"
    return live, late, told


async def outage(opened, server, tank, *, seconds=300):
    """Read once, be away while the server records a value of each point a second, and enter again."""
    async with opened:
        await opened.read(tank)
    for number in range(1, seconds):
        for point_ in tank.points:
            server.record(point_.name, T0 + number * SECOND, float(number))
    await server.say(T0 + seconds * SECOND, **{each.name: -1.0 for each in tank.points})


async def test_five_minutes_are_filled_with_the_times_of_the_source_and_nothing_comes_twice():
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK)
        async with opened:
            live, late, told = await turns(opened, TANK)
    assert isinstance(opened, Recalling)
    first, *_ = live
    assert first.at + first.offsets.get(0, 0) == T0 + CUT
    assert {each.values for each in live} == {(-1.0, -1.0)}
    assert [(each.at - T0, each.values) for each in late] == [(n * SECOND, (float(n), float(n))) for n in range(1, 300)]
    assert all(each.late and not each.flags and not each.absent for each in late)
    assert told == [Recalled(T0, T0 + CUT, 299)]
    assert not any(each.late for each in live)


async def test_a_live_reading_comes_first_and_each_turn_asks_at_most_once():
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK, seconds=2_000)
        async with opened:
            counts = []
            for _ in range(12):
                before = len(server.asked)
                snapshots = await opened.read(TANK)
                assert [each.late for each in snapshots] == [True] * (len(snapshots) - 1) + [False]
                counts.append(len(server.asked) - before)
    assert counts[:2] == [0, 0], "one turn for the live reading alone, one for what keeps a history"
    assert set(counts[2:]) == {1}
    assert all(each.HistoryReadDetails.NumValuesPerNode <= 250 for each in server.asked)


async def test_after_a_request_the_line_is_left_to_the_live_readings_for_four_times_as_long(monkeypatch):
    monkeypatch.setattr(room, "RESTS", 10**9)
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK)
        async with opened:
            for _ in range(9):
                assert len(await opened.read(TANK)) == 1
    assert server.asked == [], "the first question, for what keeps a history, still rests"


async def test_a_server_that_gives_small_pages_is_followed_by_its_continuation_points():
    async with recording(page=7) as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK, seconds=60)
        async with opened:
            _, late, told = await turns(opened, TANK)
        continued = [each for one in server.asked for each in one.NodesToRead if each.ContinuationPoint]
    assert [each.at - T0 for each in late] == [number * SECOND for number in range(1, 60)]
    assert told == [Recalled(T0, T0 + 60 * SECOND, 59)]
    assert continued
    assert server.released == []


async def test_a_continuation_point_that_is_not_used_is_released():
    failing = [True]

    async def b_fails_once(parameters, results):
        if failing and any(each.ContinuationPoint for each in results):
            failing.clear()
            results[1] = ua.HistoryReadResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadTimeout))
            results[1].HistoryData = ua.HistoryData()
        return results

    async with recording(page=3) as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK, seconds=30)
        server.answers = b_fails_once
        async with opened:
            _, late, _ = await turns(opened, TANK)
    assert len(server.released) == 1
    assert [each.at - T0 for each in late] == [number * SECOND for number in range(1, 30)]


async def test_values_that_a_server_gives_beyond_doubled_and_out_of_order_are_taken_once_each():
    async def badly(parameters, results):
        for result in results:
            values = result.HistoryData.DataValues
            edges = [datavalue(9.0, source=T0), datavalue(9.0, source=T0 + 10 * SECOND), datavalue(8.0, source=T0 - 99)]
            bound = ua.DataValue(ua.Variant(None), StatusCode=ua.StatusCode(ua.StatusCodes.BadBoundNotFound))
            result.HistoryData.DataValues = [bound, *values[::-1], *edges, *values]
        return results

    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK, seconds=10)
        server.answers = badly
        async with opened:
            _, late, _ = await turns(opened, TANK)
    assert [(each.at - T0, each.values) for each in late] == [(n * SECOND, (float(n), float(n))) for n in range(1, 10)]


async def test_a_value_of_bad_status_stands_with_its_flag_as_a_live_one_does():
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK, seconds=1)
        server.record("a", T0 + 100, 1.0)
        server.record("b", T0 + 100, None, status=ua.StatusCodes.BadSensorFailure)
        server.record("b", T0 + 200, 5.0, status=ua.StatusCodes.UncertainSensorNotAccurate)
        async with opened:
            _, (first, second), _ = await turns(opened, TANK)
    assert (first.values, first.flags) == ((1.0, None), {1: Flag.FAULT})
    assert (second.values, second.flags, second.absent, second.uncertain) == ((None, 5.0), {}, {0}, {1})


async def test_points_that_keep_none_are_absent_and_without_any_it_is_told():
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        await server.forget("b")
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK, seconds=3)
        async with opened:
            _, late, told = await turns(opened, TANK)
            assert [(each.at - T0, each.absent) for each in late] == [(SECOND, {1}), (2 * SECOND, {1})]
            assert told == [Recalled(T0, T0 + 3 * SECOND, 2)]
            assert opened.history.mark(TANK) != room.NONE
        await server.forget("a")
        await server.say(T0 + 9 * SECOND, a=0.0, b=0.0)
        before = len(server.asked)
        async with opened:
            _, late, told = await turns(opened, TANK)
            assert opened.history.mark(TANK) == room.NONE
    assert (late, told) == ([], [Recalled(T0 + 3 * SECOND, T0 + 9 * SECOND, reason="not-kept")])
    assert len(server.asked) == before, "who keeps none is not asked"


@pytest.mark.parametrize("whole", [True, False], ids=["the service", "every node"])
async def test_a_history_that_is_announced_and_refused_is_told_once(whole):
    async def refuse(parameters, results):
        if whole:
            raise ua.uaerrors.BadHistoryOperationUnsupported
        for result in results:
            result.StatusCode = ua.StatusCode(ua.StatusCodes.BadHistoryOperationUnsupported)
        return results

    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK)
        server.answers = refuse
        async with opened:
            live, late, told = await turns(opened, TANK)
    assert (late, told) == ([], [Recalled(T0, T0 + CUT, reason="refused")])
    assert all(each.values == (-1.0, -1.0) for each in live)
    assert len(server.asked) == 1


async def test_a_server_that_fails_again_and_again_is_given_up_and_live_readings_go_on():
    async def fail(parameters, results):
        raise ua.uaerrors.BadInternalError

    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK)
        server.answers = fail
        async with opened:
            live, late, told = await turns(opened, TANK)
    assert (late, told) == ([], [Recalled(T0, T0 + CUT, reason="refused")])
    assert len(server.asked) == room.MOST_FAILURES
    assert all(each.values == (-1.0, -1.0) for each in live)


async def test_a_failure_is_waited_out_ever_longer_and_then_the_gap_is_filled(monkeypatch):
    monkeypatch.setattr(room, "PATIENCE", 1_000.0)
    failing = [True]

    async def fail_once(parameters, results):
        if failing:
            failing.clear()
            raise ua.uaerrors.BadInternalError
        return results

    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK, seconds=10)
        server.answers = fail_once
        async with opened:
            for _ in range(9):
                assert len(await opened.read(TANK)) == 1
            assert len(server.asked) == 1
            opened.history._rest = 0.0
            _, late, _ = await turns(opened, TANK)
    assert len(late) == 9


async def test_a_server_that_finds_a_request_too_large_is_asked_for_fewer_nodes_at_once():
    async def one_node_only(parameters, results):
        if len(parameters.NodesToRead) > 1:
            raise ua.uaerrors.BadTooManyOperations
        return results

    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK, seconds=10)
        server.answers = one_node_only
        async with opened:
            _, late, told = await turns(opened, TANK)
    assert len(late) == 9
    assert told == [Recalled(T0, T0 + 10 * SECOND, 9)]


async def test_the_servers_own_limits_are_kept():
    limits = {
        ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData: 1,
        ua.ObjectIds.HistoryServerCapabilities_MaxReturnDataValues: 40,
    }
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        for number, value in limits.items():
            said = ua.DataValue(ua.Variant(value, ua.VariantType.UInt32))
            server.park.server.set_attribute_value_callback(ua.NodeId(number), lambda *_, said=said: said)
        opened = driver(server.url, TANK)
        await outage(opened, server, TANK, seconds=100)
        async with opened:
            _, late, _ = await turns(opened, TANK)
    assert len(late) == 99
    assert {(len(each.NodesToRead), each.HistoryReadDetails.NumValuesPerNode) for each in server.asked} == {(1, 40)}


async def test_an_answer_that_does_not_come_costs_no_live_value():
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        hanging = asyncio.Event()

        async def hang(parameters, results):
            await hanging.wait()
            return results

        opened = driver(server.url, TANK, timeout=200)
        await outage(opened, server, TANK, seconds=10)
        server.answers = hang
        async with opened:
            for _ in range(4):
                *late, live = await opened.read(TANK)
                assert (late, live.values) == ([], (-1.0, -1.0))
                if server.asked:
                    break
            server.answers = None
            hanging.set()
            _, late, _ = await turns(opened, TANK)
    assert len(late) == 9


async def test_a_line_that_is_lost_while_it_fills_goes_on_where_it_was():
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK, timeout=300)
        await outage(opened, server, TANK, seconds=400)
        late, told = [], []
        async with opened:
            while len(late) < 100:
                late += (await opened.read(TANK))[:-1]
        for number in range(401, 500):
            server.record("a", T0 + number * SECOND, float(number))
        await server.say(T0 + 500 * SECOND, a=-1.0)
        async with opened:
            _, more, told = await turns(opened, TANK)
    assert [each.at - T0 for each in late + more] == [n * SECOND for n in range(1, 500) if n != 400]
    assert told == [Recalled(T0, T0 + 400 * SECOND, 399), Recalled(T0 + 400 * SECOND, T0 + 500 * SECOND, 99)]


async def test_a_cut_network_is_filled_when_it_is_back():
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        async with Wire(server.url) as wire:
            opened = driver(wire.url, TANK, timeout=300)
            async with opened:
                await opened.read(TANK)
                wire.cut()
                for number in range(1, 300):
                    server.record("a", T0 + number * SECOND, float(number))
                await server.say(T0 + CUT, a=-1.0)
                with pytest.raises(Exception, match="session is gone"):
                    await opened.read(TANK)
        opened._url = server.url
        async with opened:
            _, late, told = await turns(opened, TANK)
    assert [each.at - T0 for each in late] == [number * SECOND for number in range(1, 300)]
    assert told == [Recalled(T0, T0 + CUT, 299)]


async def test_switched_off_it_is_neither_asked_nor_told():
    tank = TANK.model_copy(update={"history": "off"})
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, tank)
        await outage(opened, server, tank)
        async with opened:
            for _ in range(5):
                (live,) = await opened.read(tank)
                assert live.values == (-1.0, -1.0)
            assert opened.history.told(tank) == ()
            assert opened.history.mark(tank) == room.NONE
    assert server.asked == []


async def test_an_agent_that_was_away_goes_on_from_its_mark():
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        before = driver(server.url, TANK)
        async with before:
            assert before.history.mark(TANK) == b"", "whether it keeps a history is not known yet"
            await turns(before, TANK)
        mark = before.history.mark(TANK)
        await outage(before, server, TANK, seconds=60)
        after = driver(server.url, TANK)
        after.history.resume({TANK.name: mark, "gone": mark})
        async with after:
            assert (await after.read(TANK))[0].values == (-1.0, -1.0)
            assert after.history.mark(TANK) not in (b"", mark)
            after.history.resume({TANK.name: mark})
            _, late, told = await turns(after, TANK)
    assert [each.at - T0 for each in late] == [number * SECOND for number in range(1, 60)]
    assert told == [Recalled(T0, T0 + 60 * SECOND, 59)]


async def test_what_an_instrument_was_marked_as_having_none_is_no_beginning():
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, TANK)
        opened.history.resume({TANK.name: room.NONE})
        async with opened:
            _, late, told = await turns(opened, TANK)
    assert (late, told) == ([], [])


JUDGED = instrument(point("a"), states=[state()])


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
async def test_a_value_is_valid_only_where_its_state_was_known_to_allow_it(kept):
    async with recording() as server:
        await server.say(a=0.0)
        await server.say(Health=0, kind=ua.VariantType.Int32)
        if not kept:
            await server.forget("Health")
        opened = driver(server.url, JUDGED)
        await outage(opened, server, JUDGED, seconds=6)
        server.record("Health", T0 + 2 * SECOND, 1, ua.VariantType.Int32)
        server.record("Health", T0 + 4 * SECOND, 0, ua.VariantType.Int32)
        await server.say(T0 + 5 * SECOND, Health=0, kind=ua.VariantType.Int32)
        async with opened:
            _, late, _ = await turns(opened, JUDGED)
    flags = [Judge.of(JUDGED)(each).flags.get(0) for each in late]
    unknown = Flag.NO_COMMUNICATION
    fault = Flag.FAULT
    assert flags == ([None, fault, fault, None, None] if kept else [unknown, unknown, unknown, unknown, None])


async def test_several_instruments_of_a_line_are_filled_each_in_its_own_turns():
    tanks = [instrument(point(name), name=f"tank-{name}") for name in ("a", "b")]
    async with recording() as server:
        await server.say(a=0.0, b=0.0)
        opened = driver(server.url, *tanks)
        async with opened:
            for tank in tanks:
                await opened.read(tank)
        for number in range(1, 10):
            server.record("a", T0 + number * SECOND, 1.0)
            server.record("b", T0 + number * SECOND, 2.0)
        await server.say(T0 + 10 * SECOND, a=-1.0, b=-1.0)
        late = []
        async with opened:
            for _ in range(6):
                for tank in tanks:
                    late += [(each.instrument, each.values) for each in (await opened.read(tank))[:-1]]
    assert sorted(late) == [("tank-a", (1.0,))] * 9 + [("tank-b", (2.0,))] * 9


async def test_an_instrument_of_many_points_gives_few_snapshots_a_turn(monkeypatch):
    monkeypatch.setattr(room, "_DECODED", 40)
    tank = instrument(*(point(f"p{number}") for number in range(10)))
    async with recording() as server:
        await server.say(**{each.name: 0.0 for each in tank.points})
        opened = driver(server.url, tank)
        await outage(opened, server, tank, seconds=30)
        sizes, late = [], []
        async with opened:
            for _ in range(20):
                *before, _ = await opened.read(tank)
                sizes.append(len(before))
                late += before
    assert max(sizes) == 4
    assert [each.at - T0 for each in late] == [number * SECOND for number in range(1, 30)]


async def test_a_server_without_any_of_it_serves_as_before():
    async with bare() as park:
        await park.put("a", datavalue(1.0))
        await park.put("b", datavalue(1.0))
        opened = driver(park.url, TANK)
        for _ in range(2):
            async with opened:
                _, late, told = await turns(opened, TANK)
                assert (late, told) == ([], [])
