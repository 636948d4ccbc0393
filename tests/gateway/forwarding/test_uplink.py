"""One uplink's loop over many tries and long waits: what is asked when, what is told, and what goes at once."""

import asyncio

from support.scripted_broker import ScriptedBroker, accept, acknowledge, connack
from support.uplink_bench import Bench, Hasty, Longest, rows_of, running, topics

from parkgate.gateway.forwarding import forwarder
from parkgate.gateway.forwarding import session as room
from parkgate.gateway.storing import reader as reading


async def test_a_broker_that_is_gone_for_long_is_asked_ever_more_seldom_and_one_that_was_back_soon_again(outbox):
    let_in = []

    def hang_up(session, connect):
        accept(session, connect) if let_in else session.cut()

    async with ScriptedBroker(on_connect=hang_up) as broker:
        bench = Bench(outbox, broker.url)
        bench.forwarder._rng = Longest()
        waits = bench.clock.waits
        async with running(bench):
            await bench.until(lambda: len(waits) >= 4)
            assert waits[:4] == [forwarder.QUICK] * 4
            bench.clock.ahead += forwarder.QUICK_FOR
            seldom = len(waits) + 1  # one may be under way
            await bench.until(lambda: len(waits) >= seldom + 4)
            assert waits[seldom : seldom + 4] == [60.0] * 4
            let_in.append(True)
            await bench.until(lambda: bench.forwarder.online)
            let_in.clear()
            bench.clock.ahead += 61
            again = len(waits)
            broker.sessions[-1].cut()
            await bench.until(lambda: len(waits) >= again + 6)
            assert waits[again : again + 6] == [1.0] + [forwarder.QUICK] * 5


async def test_a_busy_broker_is_left_alone_twice_as_long_each_time(outbox):
    def busy(session, connect):
        session.writer.write(connack(connect.version, 0x89))

    async with ScriptedBroker(on_connect=busy) as broker:
        bench = Bench(outbox, broker.url)
        bench.forwarder._rng = Longest()
        async with running(bench):
            await bench.until(lambda: len(bench.clock.waits) >= 5)
            assert bench.clock.waits[:5] == [40.0, 80.0, 160.0, 300.0, 300.0]


async def test_a_broker_that_cuts_whoever_asks_for_the_status_is_asked_until_the_second_time_in_a_row(outbox):
    def cut_but_the_second(session, subscribe):
        session.grant(subscribe) if len(broker.sessions) == 2 else session.cut()

    async with ScriptedBroker(on_subscribe=cut_but_the_second) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: len(broker.sessions) == 2 and broker.sessions[1].subscriptions)
            await bench.until(lambda: not bench.forwarder._session.listening.unanswered)
            broker.sessions[1].cut()
            await bench.until(lambda: len(broker.sessions) == 5 and topics(broker.sessions[4])[-1:] == ["meta/a"])
            bench.forwarder.refresh()
            await bench.until(lambda: topics(broker.sessions[4]).count("status") == 2)
            assert [len(each.subscriptions) for each in broker.sessions] == [1, 1, 1, 1, 0]


async def test_another_fault_is_told_whichever_comes_first(outbox):
    codes = [0x89, 0x89, 0x97, 0x97, 0x89, 0x89]

    def refuse(session, connect):
        session.writer.write(connack(connect.version, codes[min(len(broker.sessions), len(codes)) - 1]))

    async with ScriptedBroker(on_connect=refuse) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: len(bench.clock.waits) >= len(codes) + 2)
            reasons = [detail["reason"] for name, _, detail in bench.told if name == "uplink-offline"]
            assert len(reasons) == 3
            assert reasons[0] == reasons[2] != reasons[1]


def at_rest(bench):
    """Tell whether an uplink is online, its greeting taken and nothing on its way."""
    session = bench.forwarder._session
    return session.online and session._lanes.greeted and not session._flying


class Stepping(Hasty):
    """A clock whose wall goes ahead too."""

    def now(self):
        return super().now() + int(self.ahead * 1_000)


async def test_a_status_says_since_when_it_has_been_online_and_offline_since_it_left(outbox):
    said = []
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url, clock=Stepping())
        plain = bench.greeter.status

        def status(state, reader, *, since, **more):
            said.append((state, since))
            return plain(state, reader, since=since, **more)

        bench.greeter.status = status
        async with running(bench):
            await bench.until(lambda: at_rest(bench))  # what is on its way would be taken for stuck
            bench.clock.ahead += 100
            bench.forwarder.refresh()
            await bench.until(lambda: topics(broker.sessions[0]).count("status") == 2)
            await bench.forwarder.drain(5)
        will, first, again, last = said
        assert [state for state, _ in said] == ["offline", "online", "online", "offline"]
        assert will[1] == first[1] == again[1]
        assert last[1] >= first[1] + 100_000


async def test_a_window_of_one_message_reads_one_ahead(outbox, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK", 1)
    monkeypatch.setattr(reading, "PIECE", 1)

    def hold_rows(session, publish):
        if not publish.topic.endswith("/event"):
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold_rows) as broker:
        bench = Bench(outbox, broker.url, window=1)
        await bench.store(*[""] * 10)
        async with running(bench):
            await bench.until(lambda: broker.sessions and rows_of(broker.sessions[0]))
            await bench.until(lambda: bench.reader.handed_out(2))
            await asyncio.sleep(0.05)
            assert [row for row in range(1, 11) if bench.reader.handed_out(row)] == [1, 2]


async def test_what_is_stored_together_with_a_row_of_a_refused_topic_goes_at_once(outbox, monkeypatch):
    for name in ("WATCH", "IDLE", "PAUSE"):
        monkeypatch.setattr(room, name, 1_000.0)

    def refuse_a(session, publish):
        session.ack(publish, 0x87 if publish.topic.endswith("/data/a") else 0)

    async with ScriptedBroker(on_publish=refuse_a) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder._session._leaving == {})
            await bench.store("a")
            await bench.until(lambda: bench.forwarder.fault)
            await bench.store("a", "b")
            await bench.until(lambda: bench.reader.settled == 1)
            assert topics(broker.sessions[0])[-2:] == ["data/a", "data/b"]


async def test_what_waits_for_an_acknowledgement_goes_when_it_comes_and_not_at_the_next_look(outbox, monkeypatch):
    for name in ("WATCH", "IDLE"):
        monkeypatch.setattr(room, name, 1_000.0)
    held = []

    def hold(session, publish):
        held.append(publish)

    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        bench.greeter.leaving = True
        await bench.store("a")
        async with running(bench):
            await bench.until(lambda: bench.forwarder._session._leaving == {})
            assert await outbox.ask(lambda file: file.descriptions.cleared("park")) == {"old"}
            ours, (session,) = bench.forwarder._session, broker.sessions
            await bench.until(lambda: ours._status is None and ours._lanes.greeted and not ours._flying)
            sent = topics(session).count("status")
            broker.on_publish = hold
            bench.forwarder.refresh()
            await bench.until(lambda: held)
            bench.forwarder.refresh()
            await asyncio.sleep(0.05)
            assert topics(session).count("status") == sent + 1
            session.ack(held[0])
            await bench.until(lambda: topics(session).count("status") == sent + 2)


async def test_rows_that_are_gone_at_several_places_are_told_from_the_first_of_them_to_the_last(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        await bench.store(*["a"] * 12)
        await outbox.commit([2, 3, 5, 7, 8, 9])
        async with running(bench):
            await bench.until(lambda: not bench.reader.waiting)
            told = [each for each in bench.told if each[0] == "not-kept"]
            assert told == [("not-kept", "park", {"count": 6, "from": 2, "to": 9})]


async def test_a_description_that_is_new_while_online_goes_before_the_rows_that_refer_to_it(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: broker.sessions and topics(broker.sessions[0])[-1:] == ["meta/a"])
            bench.forwarder.describe("b", "rev9", b"{}")
            await bench.store("b")
            await bench.until(lambda: not bench.reader.waiting)
            sent = topics(broker.sessions[0])
            assert [each for each in sent if "/b" in each] == ["meta/b/rev9", "meta/b", "data/b"]


async def test_what_is_cleared_at_the_broker_is_noted_once_it_has_confirmed_that_and_else_cleared_again(outbox):
    held = []

    def hold_clearing(session, publish):
        held.append(publish) if not publish.payload and session is broker.sessions[0] else acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold_clearing) as broker:
        bench = Bench(outbox, broker.url)
        bench.greeter.leaving = True
        async with running(bench):
            await bench.until(lambda: len(held) == 3)
            sent = topics(broker.sessions[0]).count("status")
            bench.forwarder.refresh()
            await bench.until(lambda: topics(broker.sessions[0]).count("status") == sent + 1)
            assert await outbox.ask(lambda file: file.descriptions.cleared("park")) == set()
            broker.sessions[0].cut()
            await bench.until(lambda: len(broker.sessions) == 2 and bench.forwarder._session._leaving == {})
            cleared = [each.topic for each in broker.sessions[1].publishes if not each.payload]
            assert cleared == [each.topic for each in held]
            assert await outbox.ask(lambda file: file.descriptions.cleared("park")) == {"old"}


async def test_an_alarm_goes_before_a_backlog_that_is_read_already_where_the_live_lane_is_full(outbox, monkeypatch):
    monkeypatch.setattr(room, "LIVE_BYTES", 0)
    held = []

    def hold_events(session, publish):
        held.append(publish) if publish.topic.endswith("/event") else acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold_events) as broker:
        bench = Bench(outbox, broker.url, window=2)
        await bench.store(*[""] * 10)
        async with running(bench):
            await bench.until(lambda: held)
            (session,) = broker.sessions
            await bench.store("gas", kind="alarm")
            bench.forwarder.refresh()
            await bench.until(lambda: topics(session).count("status") == 2)
            assert topics(session)[-2:] == ["alarm/gas", "status"]
            broker.on_publish = acknowledge
            session.ack(held[0])
            await bench.until(lambda: not bench.reader.waiting)
            assert topics(session).count("alarm/gas") == 1
