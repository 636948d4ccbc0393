"""Instruments that a real server tells of as they change, and whatever may go wrong with that."""

import asyncio
import random

import pytest
from asyncua import ua
from asyncua.common.callback import CallbackType
from asyncua.server import monitored_item_service
from support.opcua_park import T0, Wire, bare, datavalue, followed, instrument, line, point, state

from parkgate.config.flag import Flag
from parkgate.drivers.faults import Unreachable
from parkgate.drivers.opcua import follower
from parkgate.drivers.opcua.codec import Reading
from parkgate.drivers.opcua.driver import OpcUaDriver
from parkgate.drivers.opcua.notifications import Notification

NOW = T0 + 60_000
OVERFLOW = 0x0480


class Clock:
    """A monotonic clock that stands still unless the test moves it."""

    def __init__(self):
        self.seconds = 1_000.0

    def __call__(self):
        return self.seconds


def driver(url, *instruments, clock=None, **more):
    return OpcUaDriver(line(url, **more), instruments, lambda: NOW, clock=clock or Clock())


async def told(opened, asked, enough):
    """Give the snapshots of the next turns, until there are enough."""
    snapshots = []
    async with asyncio.timeout(20):
        while not enough(snapshots):
            snapshots += await opened.read(asked)
            await asyncio.sleep(0.005)
    return snapshots


def values_of(place):
    return lambda snapshots: [each.values[place] for each in snapshots if place not in each.absent]


def has(place, *values):
    return lambda snapshots: values_of(place)(snapshots)[-len(values) :] == list(values)


def points(count):
    return [point(f"p{number}") for number in range(count)]


async def test_the_first_read_is_full_and_from_then_on_changes_come_each_as_its_own():
    tank = followed(point("a"), point("b"), states=[state()])
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0), Health=datavalue(0, ua.VariantType.Int32))
        async with driver(park.url, tank) as opened:
            (first,) = await opened.read(tank)
            assert (first.values, first.states, first.absent) == ((1.0, 2.0), (0,), frozenset())
            for step in (1, 2, 3):
                await park.write(a=datavalue(1.0 + step, source=T0 + step))
            await park.write(b=datavalue(9.0, source=T0 + 3))
            changed = await told(opened, tank, has(1, 9.0))
    assert [(each.at - T0, each.values, each.absent) for each in changed] == [
        (1, (2.0, None), {1}), (2, (3.0, None), {1}), (3, (4.0, 9.0), frozenset()),
    ]  # fmt: skip
    assert all(each.states == (0,) for each in changed)


async def test_a_state_that_changes_tells_its_points_in_full():
    tank = followed(point("a"), states=[state()])
    async with bare() as park:
        await park.write(a=datavalue(1.0), Health=datavalue(0, ua.VariantType.Int32))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            await park.write(Health=datavalue(1, ua.VariantType.Int32, source=T0 + 7))
            (changed,) = await told(opened, tank, bool)
    assert (changed.at, changed.values, changed.states, changed.offsets) == (T0 + 7, (1.0,), (1,), {0: -7})


async def test_everything_is_told_each_minute_by_the_clock_that_is_handed_in():
    tank, clock = followed(point("a"), point("b")), Clock()
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        async with driver(park.url, tank, clock=clock) as opened:
            await opened.read(tank)
            await park.write(a=datavalue(3.0, source=T0 + 5))
            await told(opened, tank, has(0, 3.0))
            assert not await opened.read(tank)
            clock.seconds += 60
            opened._open.subscriptions._hear(sign_of_life(opened))
            (full,) = await opened.read(tank)
            assert not await opened.read(tank)
    assert (full.values, full.at, full.offsets) == ((3.0, 2.0), T0 + 5, {1: -5})


def sign_of_life(opened):
    """A keep-alive as the server sends it when its time comes, which is by its own clock and not by ours."""
    (feed,) = opened._open.subscriptions._feeds.values()
    return Notification(feed.number, 1)


async def test_after_a_reconnection_everything_is_told():
    tank = followed(point("a"), point("b"))
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        for _ in range(2):
            async with driver(park.url, tank) as opened:
                (full,) = await opened.read(tank)
                assert full.values == (1.0, 2.0)
        assert park.sessions == 0


async def test_instruments_of_one_period_share_a_subscription_and_those_of_another_have_their_own():
    tanks = [followed(point(name), name=name, every=every) for name, every in (("a", 50), ("b", 50), ("c", 100))]
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0), c=datavalue(3.0))
        async with driver(park.url, *tanks) as opened:
            for tank in tanks:
                await opened.read(tank)
            made = [each.data.RevisedPublishingInterval for each in subscriptions(park)]
            assert sorted(made) == [50, 100]
            await park.write(a=datavalue(4.0), b=datavalue(5.0), c=datavalue(6.0))
            for tank, value in zip(tanks, (4.0, 5.0, 6.0), strict=True):
                await told(opened, tank, has(0, value))
        assert subscriptions(park) == []


def subscriptions(park):
    return list(park.server.iserver.subscription_service.subscriptions.values())


def monitored(park):
    return [item for each in subscriptions(park) for item in each.monitored_item_srv._monitored_items.values()]


async def test_a_subscription_is_asked_for_as_the_site_says():
    tank = followed(point("a", deadband=0.5, scale=0.1), point("b", deadband="2 %"), point("c"), every=200, sampling=25)
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0), c=datavalue(3.0))
        asked = []

        async def note(event, _):
            asked.extend(event.request_params.ItemsToCreate)

        park.server.subscribe_server_callback(CallbackType.ItemSubscriptionCreated, note)
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            (made,) = subscriptions(park)
            assert (made.data.RevisedPublishingInterval, made.data.RevisedMaxKeepAliveCount) == (200, 25)
    parameters = [each.RequestedParameters for each in asked]
    assert [(each.SamplingInterval, each.QueueSize, each.DiscardOldest) for each in parameters] == [(25, 16, True)] * 3
    filters = [each.Filter and (each.Filter.DeadbandType, each.Filter.DeadbandValue) for each in parameters]
    assert filters[:2] == [(ua.DeadbandType.Absolute, 5.0), (ua.DeadbandType.Percent, 2.0)]
    assert not filters[2]


async def test_a_change_within_the_deadband_is_not_told_and_a_larger_one_is():
    tank = followed(point("a", deadband=0.5), point("b"))
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            await park.write(a=datavalue(1.4, source=T0 + 1))
            await park.write(b=datavalue(3.0, source=T0 + 1))
            await told(opened, tank, has(1, 3.0))
            await park.write(a=datavalue(2.0, source=T0 + 2))
            changed = await told(opened, tank, bool)
    assert [each.values for each in changed] == [(2.0, None)]


async def test_a_server_that_knows_no_deadband_tells_every_change_and_standing_says_so(monkeypatch):
    create = monitored_item_service.MonitoredItemService._create_data_change_monitored_item

    async def refuse(self, asked):
        if hasattr(asked.RequestedParameters.Filter, "DeadbandValue"):
            bad = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadMonitoredItemFilterUnsupported))
            return ua.MonitoredItemCreateResult(StatusCode=bad)
        return await create(self, asked)

    monkeypatch.setattr(monitored_item_service.MonitoredItemService, "_create_data_change_monitored_item", refuse)
    tank = followed(point("a", deadband=0.5), point("b"))
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            await park.write(a=datavalue(1.1))
            await told(opened, tank, has(0, 1.1))
            assert any("deadband" in each for each in opened.standing(tank).remarks)
            assert opened.standing(tank).unsupported == ()


@pytest.mark.parametrize(("limit", "sizes"), [(0, [200, 200, 50]), (120, [120, 120, 120, 90])])
async def test_nodes_are_monitored_in_batches_within_our_limit_and_the_servers(limit, sizes):
    tank = followed(*points(450))
    asked = []

    async def note(event, _):
        asked.append(len(event.request_params.ItemsToCreate))

    async with bare() as park:
        await park.write(**{f"p{number}": datavalue(1.0) for number in range(450)})
        most = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall)
        await park.server.write_attribute_value(most, datavalue(limit, ua.VariantType.UInt32))
        park.server.subscribe_server_callback(CallbackType.ItemSubscriptionCreated, note)
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            assert asked == sizes
            await park.write(p449=datavalue(7.0))
            await told(opened, tank, has(449, 7.0))


async def test_ten_bad_nodes_among_a_hundred_leave_the_ninety_unaffected_and_are_named_with_their_reason():
    tank, clock = followed(*points(100)), Clock()
    good = [number for number in range(100) if number % 10]
    async with bare() as park:
        await park.write(**{f"p{number}": datavalue(1.0) for number in good})
        await park.write(p0=datavalue("no number"))
        async with driver(park.url, tank, clock=clock) as opened:
            (full,) = await opened.read(tank)
            assert full.flags == dict.fromkeys(range(0, 100, 10), Flag.BAD_CONFIGURATION)
            await park.write(**{f"p{number}": datavalue(2.0, source=T0 + 1) for number in good})
            changed = await told(opened, tank, lambda each: sum(100 - len(one.absent) for one in each) >= 90)
            assert {place for each in changed for place in set(range(100)) - each.absent} == set(good)
            standing = opened.standing(tank)
            assert sorted(standing.unsupported) == sorted(f"p{number}" for number in range(0, 100, 10))
            assert standing.reasons == {"p0": "the server has a value of type string, the profile says double"} | {
                f"p{number}": f"the server has no node {tank.points[number].at}" for number in range(10, 100, 10)
            }
            await park.write(p10=datavalue(5.0))
            clock.seconds += follower.RETRY_S
            opened._open.subscriptions._hear(sign_of_life(opened))
            await told(opened, tank, has(10, 5.0))
            await park.write(p10=datavalue(6.0))
            await told(opened, tank, has(10, 6.0))
            assert "p10" not in opened.standing(tank).reasons


async def test_a_node_that_the_server_reads_but_does_not_monitor_is_read(monkeypatch):
    create = monitored_item_service.MonitoredItemService._create_data_change_monitored_item

    async def refuse(self, asked):
        if asked.ItemToMonitor.NodeId.Identifier == "a":
            bad = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadTooManyMonitoredItems))
            return ua.MonitoredItemCreateResult(StatusCode=bad)
        return await create(self, asked)

    monkeypatch.setattr(monitored_item_service.MonitoredItemService, "_create_data_change_monitored_item", refuse)
    tank = followed(point("a"), point("b"))
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            assert await opened.read(tank) == []
            await park.write(a=datavalue(4.0, source=T0 + 1))
            (changed,) = await opened.read(tank)
    assert (changed.values, changed.absent) == ((4.0, None), {1})


async def test_where_a_server_makes_no_subscription_its_instruments_are_read_and_standing_says_so(monkeypatch):
    async def refuse(*_):
        raise ua.uaerrors.BadTooManySubscriptions

    tank, clock = followed(point("a"), point("b")), Clock()
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        with monkeypatch.context() as refusing:
            refusing.setattr(park.server.iserver.subscription_service, "create_subscription", refuse)
            async with driver(park.url, tank, clock=clock) as opened:
                (full,) = await opened.read(tank)
                assert full.values == (1.0, 2.0)
                await park.write(b=datavalue(4.0, source=T0 + 1))
                (changed,) = await opened.read(tank)
                assert (changed.values, changed.absent) == ((None, 4.0), {0})
                (said,) = opened.standing(tank).remarks
                assert "makes no subscription" in said
                refusing.undo()
                clock.seconds += follower.RETRY_S
                await opened.read(tank)
                assert not any("makes no subscription" in each for each in opened.standing(tank).remarks)
                assert len(subscriptions(park)) == 1


async def test_a_server_that_takes_few_publish_requests_is_asked_with_fewer():
    tank = followed(point("a"))
    async with bare() as park:
        await park.write(a=datavalue(1.0))
        async with driver(park.url, tank) as opened:
            subscriptions_, waiting = opened._open.subscriptions, []
            send = subscriptions_._send

            async def refuse(request, patience=None):
                if isinstance(request, ua.PublishRequest):
                    if waiting:
                        raise ua.uaerrors.BadTooManyPublishRequests
                    waiting.append(request)
                try:
                    return await send(request, patience)
                finally:
                    waiting.clear()

            subscriptions_._send = refuse
            await opened.read(tank)
            for value in (2.0, 3.0):
                await park.write(a=datavalue(value))
                await told(opened, tank, has(0, value))
            assert [task.done() for task in subscriptions_._listeners].count(False) == 1


async def test_what_changed_at_one_time_stays_together_however_many_messages_it_takes():
    tank = followed(point("a"), point("b"))
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            subscriptions_ = opened._open.subscriptions
            (feed,) = subscriptions_._feeds.values()
            async with asyncio.timeout(20):
                while not feed.sequence:  # the server tells first what was read already
                    await asyncio.sleep(0.005)
            first, second = ((place, Reading(5.0, 0, T0 + 1)) for place in (0, 1))
            subscriptions_._hear(Notification(feed.number, feed.sequence + 1, [first], more=True))
            turn = asyncio.create_task(opened.read(tank))
            await asyncio.sleep(0)
            subscriptions_._hear(Notification(feed.number, feed.sequence + 1, [second]))
            (changed,) = await turn
            assert (changed.values, changed.dropped) == ((5.0, 5.0), 0)
            third = 0, Reading(6.0, 0, T0 + 2)
            subscriptions_._hear(Notification(feed.number, feed.sequence + 1, [third], more=True))
            assert [each.values for each in await opened.read(tank)] == [(6.0, None)], "it waits for a while only"
            assert feed.hurried > opened._clock(), "and not again and again"


async def test_an_overflow_in_the_server_is_declared():
    tank = followed(point("a"))
    async with bare() as park:
        await park.write(a=datavalue(1.0))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            await park.write(a=datavalue(2.0, status=OVERFLOW, source=T0 + 1))
            (changed,) = await told(opened, tank, bool)
    assert (changed.values, changed.flags, changed.dropped) == ((2.0,), {}, 1)


async def test_what_is_missing_when_a_quiet_line_is_left_is_declared_behind_the_next_start():
    tank = followed(point("a"))
    async with bare() as park:
        await park.write(a=datavalue(1.0))
        opened = driver(park.url, tank)
        async with opened:
            await opened.read(tank)
            opened._open.followers[tank.name].changes.tear()
        async with opened:
            assert [each.dropped for each in await opened.read(tank)] == [1]
        async with opened:
            assert [each.dropped for each in await opened.read(tank)] == [0]


async def test_a_message_that_never_came_is_declared_and_the_nodes_are_read(monkeypatch):
    tank = followed(point("a"), point("b"))
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            await park.write(a=datavalue(3.0, source=T0 + 1))
            await told(opened, tank, has(0, 3.0))
            (subscription,) = subscriptions(park)
            subscription._notification_seq += 1
            node = park.server.iserver.aspace.get(ua.NodeId("b", park.space))
            node.attributes[ua.AttributeIds.Value].value = datavalue(8.0, source=T0 + 2)  # told to nobody
            await park.write(a=datavalue(4.0, source=T0 + 3))
            changed = await told(opened, tank, has(0, 4.0))
    assert [each.values[1] for each in changed if 1 not in each.absent] == [8.0]
    assert sum(each.dropped for each in changed) == 1


async def test_standing_says_where_the_server_grants_less_than_was_asked_for():
    tank = followed(point("a"), every=200, sampling=10)
    async with bare() as park:
        await park.write(a=datavalue(1.0))
        async with driver(park.url, tank) as opened:
            assert opened.standing(tank).remarks == ()
            await opened.read(tank)
            assert opened.standing(tank).remarks == ("the server samples every 200 ms where 10 ms was asked for",)


async def test_a_subscription_that_says_nothing_any_more_is_dead_and_one_that_does_is_not():
    tank, clock = followed(point("a")), Clock()
    async with bare() as park:
        await park.write(a=datavalue(1.0))
        async with driver(park.url, tank, clock=clock) as opened:
            await opened.read(tank)
            (feed,) = opened._open.subscriptions._feeds.values()
            assert feed.quiet == 3 * 5 + 5, "three times its keep-alive time, and the line's timeout"
            clock.seconds += feed.quiet
            assert await opened.read(tank) == []
            await park.write(a=datavalue(2.0, source=T0 + 1))
            await told(opened, tank, has(0, 2.0))
            clock.seconds += feed.quiet
            assert await opened.read(tank) == []
            clock.seconds += 0.1
            with pytest.raises(Unreachable, match="its subscription has been silent for 20 s"):
                await opened.read(tank)


async def test_a_subscription_that_is_dead_for_some_nodes_alone_is_found_by_a_read(monkeypatch):
    tank, clock = followed(point("a"), point("b"), point("c", deadband=0.5)), Clock()
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0), c=datavalue(3.0))
        async with driver(park.url, tank, clock=clock) as opened:
            await opened.read(tank)
            nodes = park.server.iserver.aspace
            for name in ("b", "c"):
                held = nodes.get(ua.NodeId(name, park.space)).attributes[ua.AttributeIds.Value]
                held.datachange_callbacks.clear()
            await park.write(a=datavalue(5.0, source=T0 + 1), c=datavalue(3.1, source=T0 + 1))
            await told(opened, tank, has(0, 5.0))
            for _ in range(2):
                clock.seconds += follower.COMPARE_S
                opened._open.subscriptions._hear(sign_of_life(opened))
                await opened.read(tank)
            await park.write(b=datavalue(9.0, source=T0 + 2))
            clock.seconds += follower.COMPARE_S
            opened._open.subscriptions._hear(sign_of_life(opened))
            await opened.read(tank)
            clock.seconds += 1
            with pytest.raises(Unreachable, match="tells nothing of 1 nodes that changed"):
                await opened.read(tank)


async def test_a_subscription_that_the_server_ended_is_unreachable():
    tank = followed(point("a"))
    async with bare() as park:
        await park.write(a=datavalue(1.0))
        async with driver(park.url, tank) as opened:
            await opened.read(tank)
            (subscription,) = subscriptions(park)
            await subscription.enqueue_statuschange(ua.StatusCode(ua.UInt32(ua.StatusCodes.BadTimeout)))
            await park.write(a=datavalue(2.0))
            with pytest.raises(Unreachable, match="BadTimeout"):
                await told(opened, tank, lambda _: False)


async def test_a_connection_that_goes_down_is_unreachable_at_the_next_turn():
    tank = followed(point("a"))
    async with bare() as park, Wire(park.url) as wire:
        await park.write(a=datavalue(1.0))
        async with driver(wire.url, tank) as opened:
            await opened.read(tank)
            wire.sever()
            with pytest.raises(Unreachable, match="session is gone"):
                await told(opened, tank, lambda _: False)
        async with opened:
            assert (await opened.read(tank))[0].values == (1.0,)


async def test_what_came_before_a_loss_is_told_by_every_instrument_of_the_line():
    tanks = [followed(point(name), name=name) for name in ("a", "b")]
    async with bare() as park, Wire(park.url) as wire:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        opened = driver(wire.url, *tanks)
        async with opened:
            for tank in tanks:
                await opened.read(tank)
            await park.write(a=datavalue(3.0, source=T0 + 1), b=datavalue(4.0, source=T0 + 1))
            changes = [each.changes for each in opened._open.followers.values()]
            async with asyncio.timeout(20):
                while not all(any(one.value > 2.0 for _, one in each._waiting) for each in changes):
                    await asyncio.sleep(0.005)
                wire.sever()
                while opened._open.session.connected:
                    await asyncio.sleep(0.005)
            (changed,) = await opened.read(tanks[0])
            assert (changed.at, changed.values) == (T0 + 1, (3.0,))
            with pytest.raises(Unreachable):
                await opened.read(tanks[0])
        await park.write(b=datavalue(5.0, source=T0 + 2))
        async with opened:
            assert [each.values for each in await opened.read(tanks[0])] == [(3.0,)]
            assert [(each.at - T0, each.values) for each in await opened.read(tanks[1])] == [(1, (4.0,)), (2, (5.0,))]


async def test_read_and_followed_instruments_share_a_session():
    tanks = followed(point("a"), name="followed"), instrument(point("b"), name="read")
    async with bare() as park:
        await park.write(a=datavalue(1.0), b=datavalue(2.0))
        async with driver(park.url, *tanks) as opened:
            for tank in tanks:
                await opened.read(tank)
            assert [each.read_value_id.NodeId.Identifier for each in monitored(park)] == ["a"]
            assert await opened.read(tanks[0]) == []
            assert (await opened.read(tanks[1]))[0].values == (2.0,)
            assert park.sessions == 1


async def test_the_address_that_was_configured_is_used_whatever_the_server_calls_itself():
    def elsewhere(server):
        server.set_endpoint("opc.tcp://no-such-host.invalid:4840/bare")
        server.socket_address = ("127.0.0.1", 0)

    tank = followed(point("a"))
    async with bare(prepare=elsewhere) as park:
        await park.write(a=datavalue(1.0))
        async with driver(park.url, tank) as opened:
            assert (await opened.read(tank))[0].values == (1.0,)
            assert opened._open.session.client.server_url.hostname == "127.0.0.1"


async def test_a_session_that_could_not_be_closed_is_closed_before_another_is_opened():
    tank = followed(point("a"))
    async with bare() as park, Wire(park.url) as wire:
        await park.write(a=datavalue(1.0))
        opened = driver(wire.url, tank)
        for _ in range(3):
            async with opened:
                (first,) = await opened.read(tank)
                assert (first.values, park.sessions, len(subscriptions(park))) == ((1.0,), 1, 1)
                wire.sever()
                with pytest.raises(Unreachable, match="session is gone"):
                    await told(opened, tank, lambda _: False)
            assert park.sessions == 1, "its server keeps it, with its subscriptions"
        async with opened:
            assert park.sessions == 1
        assert park.sessions == 0


async def test_a_session_that_its_server_has_forgotten_needs_no_closing():
    tank, clock = followed(point("a")), Clock()
    async with bare() as park, Wire(park.url) as wire:
        await park.write(a=datavalue(1.0))
        opened = driver(wire.url, tank, clock=clock)
        for forgotten in (False, True):
            async with opened:
                await opened.read(tank)
                wire.sever()
            for session in tuple(park.server.iserver._external_sessions.values()):
                await session.close_session()
            clock.seconds += 3_600 * forgotten
        async with opened:
            assert (await opened.read(tank))[0].values == (1.0,)
            assert park.sessions == 1


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_server_and_connection_what_was_told_is_what_was_written_and_no_session_is_left(seed):
    rng = random.Random(seed)
    tank = followed(point("a"), point("b"))
    written, seen, port, value = {}, {}, 0, 0
    for _ in range(4):
        async with bare(port) as park, Wire(park.url) as wire:
            port = port or park.server.bserver.port
            value += 1
            await park.write(a=datavalue(float(value), source=T0 + value), b=datavalue(0.0))
            written[T0 + value] = float(value)
            opened = driver(wire.url, tank)
            for _ in range(rng.randint(1, 3)):
                async with opened:
                    (first,) = await opened.read(tank)
                    assert first.values == (float(value), 0.0), "each session begins in full"
                    seen[first.at] = first.values[0]
                    for _ in range(rng.randint(1, 12)):
                        value += 1
                        written[T0 + value] = float(value)
                        await park.write(a=datavalue(float(value), source=T0 + value))
                        await asyncio.sleep(rng.choice((0, 0.02)))
                        seen.update((each.at, each.values[0]) for each in await opened.read(tank))
                    seen.update((each.at, each.values[0]) for each in await told_to(opened, tank, float(value)))
                    assert park.sessions == 1
                    if rng.random() < 0.5:
                        wire.sever()  # nobody can close the session in words
                        await asyncio.sleep(0)
            async with opened:
                assert park.sessions == 1
    assert seen == written


async def told_to(opened, tank, value):
    """Read until a value was told, at the latest by now."""
    if opened._said[tank.name][0].value == value:
        return []
    return await told(opened, tank, has(0, value))
