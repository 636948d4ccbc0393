"""One uplink's loop against a broker that does what the test tells it: a row's fate by every answer."""

import asyncio
import json
import sqlite3

import pytest
from support.scripted_broker import PUBLISH, ScriptedBroker, acknowledge, connack, limits
from support.uplink_bench import ROOT, Bench, rows_of, running, topics

from parkgate.gateway.forwarding import forwarder
from parkgate.gateway.forwarding import session as room
from parkgate.gateway.forwarding import window as watching
from parkgate.gateway.messages.encode import MAX_PAYLOAD
from parkgate.gateway.storing import reader as reading
from parkgate.gateway.storing.database import Database

DECLARED = {"kind": "data", "uplinks": ["park"], "count": 1}


async def test_a_connection_begins_with_status_and_meta_and_only_then_lets_rows_flow(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        await bench.store("a")
        async with running(bench):
            await bench.until(lambda: not bench.reader.waiting)
            (session,) = broker.sessions
            assert topics(session)[:5] == ["status", "meta/a/rev1", "meta/a/rev2", "meta/a", "backfill/a"]
            assert [each.retain for each in session.publishes[:5]] == [True, True, True, True, False]
            assert json.loads(session.publishes[0].payload) == {"state": "online", "connection": 1, "reason": None}
            assert session.connect.will.topic == f"{ROOT}/status"
            assert json.loads(session.connect.will.payload)["state"] == "offline"
            assert session.connect.will.retain
            counters = bench.forwarder.counters
            assert (counters.nobody, counters.delivered, counters.refused) == (0, 1, {})
            await bench.until(lambda: counters.sent_bytes == sum(len(each.payload) for each in session.publishes))


async def test_rows_stored_before_the_connection_are_backfill_and_later_ones_live(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        await bench.store("a", "b", "a", "")
        async with running(bench):
            await bench.until(lambda: not bench.reader.waiting)
            await bench.store("a", "")
            await bench.until(lambda: not bench.reader.waiting)
            sent = rows_of(broker.sessions[0])
            assert [each.topic.removeprefix(ROOT + "/") for each in sent] == [
                "backfill/a", "backfill/b", "event", "data/a", "event",
            ]  # fmt: skip
            assert [each["seq"] for each in json.loads(sent[0].payload)] == [1, 2]
            assert json.loads(sent[3].payload)["seq"] == 3
            assert [each.retain for each in sent] == [False, False, False, True, False]


async def test_live_rows_pass_a_backlog_that_is_still_going(outbox):
    held = []

    def hold_backfill(session, publish):
        if "/backfill/" in publish.topic:
            held.append((session, publish))
        else:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold_backfill) as broker:
        bench = Bench(outbox, broker.url)
        await bench.store(*["a"] * 3)
        async with running(bench):
            await bench.until(lambda: held)
            await bench.store("a")
            await bench.until(lambda: bench.reader.waiting == 3)
            assert topics(broker.sessions[0])[-1] == "data/a"
            assert outbox.series("data", "a").low == 1
            acknowledge(*held[0])
            await bench.until(lambda: not bench.reader.waiting)
            assert outbox.series("data", "a").low == 5


async def test_a_row_without_a_puback_is_sent_again_byte_for_byte_by_the_next_connection(outbox):
    def cut_first_data(session, publish):
        if publish.topic.endswith("data/a") and len(broker.sessions) == 1:
            session.cut()
        else:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=cut_first_data) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a")
            await bench.until(lambda: len(broker.sessions) == 2 and not bench.reader.waiting)
            first, second = broker.sessions
            assert rows_of(second)[-1].topic.endswith("backfill/a")
            assert rows_of(second)[-1].payload == b"[" + first.publishes[-1].payload + b"]"
            assert (bench.reader.settled, bench.forwarder.counters.delivered) == (1, 1)
            assert json.loads(second.publishes[0].payload)["connection"] == 2


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x97])
async def test_a_refused_row_is_kept_told_once_and_tried_again_alone(outbox, monkeypatch, code):
    monkeypatch.setattr(room, "PAUSE", 0.05)
    refusals = []

    def refuse_twice(session, publish):
        if publish.topic.endswith("data/a") and len(refusals) < 2:
            refusals.append(publish.payload)
            session.ack(publish, code)
        else:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=refuse_twice) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a")
            await bench.until(lambda: len(refusals) == 1)
            assert f"0x{code:02X}" in bench.forwarder.fault
            await bench.until(lambda: not bench.reader.waiting)
            assert bench.forwarder.fault == ""
            assert len(refusals) == 2
            assert bench.forwarder.counters.refused == {code: 2}
            assert [each[0] for each in bench.told].count("refused") == 1
            assert rows_of(broker.sessions[0])[-1].payload == refusals[0]
            assert len(broker.sessions) == 1


@pytest.mark.parametrize("code", [0x90, 0x99])
async def test_a_row_that_can_never_be_taken_is_set_aside_and_told(outbox, code):
    def poison(session, publish):
        session.ack(publish, code if b'"seq": 1,' in publish.payload else 0)

    async with ScriptedBroker(on_publish=poison) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a")
            await bench.store("a")
            await bench.until(lambda: not bench.reader.waiting)
            assert await outbox.ask(Database.quarantined) == {"park": 1}
            assert bench.forwarder.counters.delivered == 1
            declared = {**DECLARED, "epoch": outbox.epoch, "from": 1, "to": 1, "reason": f"0x{code:02X}"}
            assert ("quarantined", "a", declared) in bench.told


async def test_what_can_never_be_taken_is_set_aside_once_a_full_disk_has_room_to_note_it(outbox, monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.05)
    full, quarantine = [True, True], Database.quarantine

    def noted(*about):
        if full:
            full.pop()
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"
            raise error
        quarantine(*about)

    monkeypatch.setattr(Database, "quarantine", noted)
    async with ScriptedBroker(on_publish=lambda session, publish: session.ack(publish, 0x99)) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a")
            await bench.until(lambda: not bench.reader.waiting)
            assert await outbox.ask(Database.quarantined) == {"park": 1}
            assert [each[0] for each in bench.told].count("quarantined") == 1
            assert len(broker.sessions) == 1


@pytest.mark.parametrize(("nobody", "delivered"), [("deliver", 1), ("hold", 0)])
async def test_nobody_subscribed_counts_as_delivered_unless_the_site_says_hold(outbox, nobody, delivered):
    def lonely(session, publish):
        session.ack(publish, 0x10)

    async with ScriptedBroker(on_publish=lonely) as broker:
        bench = Bench(outbox, broker.url, nobody=nobody)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a")
            await bench.until(lambda: bench.forwarder.counters.nobody)
            assert bench.forwarder.counters.nobody == 1
            assert bench.forwarder.counters.delivered == delivered
            assert bench.reader.waiting == 1 - delivered


async def test_a_link_that_gives_no_puback_is_cut_and_the_row_goes_by_the_next(outbox, monkeypatch):
    monkeypatch.setattr(watching, "STUCK", 0.15)

    def silent_once(session, publish):
        if not publish.topic.endswith("data/a"):
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=silent_once) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a")
            await bench.until(lambda: not bench.reader.waiting)
            assert rows_of(broker.sessions[-1])[-1].topic.endswith("backfill/a")
            assert len(broker.sessions) == 2


async def test_a_live_lane_that_is_full_leaves_rows_to_the_backlog_and_loses_none(outbox, monkeypatch):
    monkeypatch.setattr(room, "LIVE_BYTES", 500)
    gate = asyncio.Event()
    waiting = []

    def slow(session, publish):
        if gate.is_set():
            acknowledge(session, publish)
        else:
            waiting.append((session, publish))

    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url, window=1)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online and not bench.forwarder._session._flying)
            broker.on_publish = slow
            for _ in range(10):
                await bench.store("a", "b", size=200)
            gate.set()
            acknowledge(*waiting[0])
            await bench.until(lambda: not bench.reader.waiting)
            sent = rows_of(broker.sessions[0])
            assert {each.topic.split("/")[4] for each in sent} == {"data", "backfill"}
            assert bench.reader.settled == 20


async def test_a_damaged_row_is_told_and_never_sent(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        await bench.store("a", "a", "a")
        outbox._database._connection.execute("UPDATE record SET crc = crc + 1 WHERE id = 2")
        async with running(bench):
            await bench.until(lambda: not bench.reader.waiting)
            pack = json.loads(rows_of(broker.sessions[0])[-1].payload)
            assert [each["seq"] for each in pack] == [1, 3]
            assert await outbox.ask(Database.quarantined) == {"park": 1}
            declared = {**DECLARED, "epoch": outbox.epoch, "from": 2, "to": 2, "reason": "damaged"}
            assert ("quarantined", "a", declared) in bench.told


async def test_a_clean_stop_waits_for_the_last_row_then_says_offline(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a")
            await bench.forwarder.drain(5)
            assert bench.reader.waiting == 0
            last = broker.sessions[0].publishes[-1]
            assert (last.topic, last.retain) == (f"{ROOT}/status", True)
            assert json.loads(last.payload) == {"state": "offline", "connection": 1, "reason": "stopped"}


async def test_the_status_is_published_again_when_what_it_says_has_changed(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            bench.forwarder.refresh()
            await bench.until(lambda: topics(broker.sessions[0]).count("status") == 2)


async def test_the_status_says_when_the_backlog_is_gone(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        await bench.store("a")
        async with running(bench):
            await bench.until(lambda: topics(broker.sessions[0]).count("status") == 2 if broker.sessions else False)
            assert not bench.reader.waiting


async def test_an_unreachable_broker_is_told_once_and_tried_again(outbox):
    async with ScriptedBroker() as gone:
        url = gone.url
    bench = Bench(outbox, url)
    async with running(bench):
        await bench.until(lambda: len(bench.clock.waits) >= 3)
        assert not bench.forwarder.online
        assert bench.reader.state.connections == 1, "no CONNECT was sent, so no number was used up"
        assert [each[0] for each in bench.told] == ["uplink-offline"]
        assert "127.0.0.1" in bench.forwarder.fault
        assert max(bench.clock.waits) <= forwarder.QUICK


async def test_a_pack_larger_than_the_broker_takes_is_made_smaller(outbox):
    def small(session, connect):
        session.writer.write(connack(connect.version, properties=limits(max_packet=1200)))

    async with ScriptedBroker(on_connect=small) as broker:
        bench = Bench(outbox, broker.url)
        await bench.store(*["a"] * 20, size=100)
        async with running(bench):
            await bench.until(lambda: not bench.reader.waiting)
            packs = [each for each in broker.sessions[0].publishes if "/backfill/" in each.topic]
            assert len(packs) > 2
            assert all(len(each.payload) < 1200 for each in packs)
            assert sum(len(json.loads(each.payload)) for each in packs) == 20
            assert await outbox.ask(Database.quarantined) == {}


async def test_what_the_broker_retains_of_an_instrument_that_left_is_cleared_once_after_its_rows(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        bench.greeter.leaving = True
        await bench.store("old")
        async with running(bench):
            async with asyncio.timeout(20):
                while await outbox.ask(lambda file: file.descriptions.cleared("park")) != {"old"}:
                    await asyncio.sleep(0.005)
            sent = [each for each in broker.sessions[0].publishes[4:] if not each.topic.endswith("/status")]
            assert [each.topic.removeprefix(ROOT + "/") for each in sent] == [
                "backfill/old", "meta/old/rev0", "meta/old", "data/old",
            ]  # fmt: skip
            assert [(each.payload, each.retain) for each in sent[1:]] == [(b"", True)] * 3
            broker.sessions[0].cut()
            await bench.until(lambda: len(broker.sessions) == 2 and bench.forwarder.online)
            await bench.store("a")
            await bench.until(lambda: not bench.reader.waiting)
            assert not [each for each in broker.sessions[1].publishes if not each.payload]


async def test_refused_rows_of_a_topic_go_again_in_their_order_and_other_topics_flow_meanwhile(outbox, monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.05)
    allowed = []

    def refuse_a(session, publish):
        a = publish.topic.endswith(("/data/a", "/backfill/a"))
        session.ack(publish, 0x87 if a and not allowed else 0)

    async with ScriptedBroker(on_publish=refuse_a) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            for _ in range(5):
                await bench.store("a", "b")
            await bench.until(lambda: bench.reader.settled == 5)
            allowed.append(True)
            await bench.until(lambda: not bench.reader.waiting)
            taken = [json.loads(each.payload) for each in rows_of(broker.sessions[0]) if each.topic.endswith("/a")]
            flat = [each["seq"] for body in taken for each in (body if isinstance(body, list) else [body])]
            assert flat[-5:] == [1, 2, 3, 4, 5]
            assert outbox.series("data", "a").low == 6


async def test_an_event_that_is_refused_for_ever_stops_no_data(outbox, monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.02)

    def refuse_events(session, publish):
        session.ack(publish, 0x87 if publish.topic.endswith(("/event", "/meta/a")) else 0)

    async with ScriptedBroker(on_publish=refuse_events) as broker:
        bench = Bench(outbox, broker.url)
        await bench.store("", "a")
        async with running(bench):
            await bench.until(lambda: bench.reader.waiting == 1)
            for _ in range(20):
                await bench.store("a", "")
            await bench.until(lambda: bench.reader.waiting == 21)
            assert sum(each.topic.endswith("/event") for each in broker.sessions[0].publishes) < 200


async def test_statuses_do_not_pile_up(outbox):
    held = []

    def hold_status(session, publish):
        if publish.topic.endswith("/status"):
            held.append((session, publish))
        else:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold_status) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: held)
            for _ in range(500):
                bench.forwarder.refresh()
            acknowledge(*held[0])
            await bench.until(lambda: len(held) == 2)
            acknowledge(*held[1])
            await bench.store("a")
            await bench.until(lambda: not bench.reader.waiting)
            assert len(held) == 2


async def test_a_pack_with_one_record_that_is_refused_for_ever_loses_only_that_one(outbox):
    def poison(session, publish):
        session.ack(publish, 0x99 if b'"seq": 7,' in publish.payload else 0)

    async with ScriptedBroker(on_publish=poison) as broker:
        bench = Bench(outbox, broker.url)
        await bench.store(*["a"] * 20)
        async with running(bench):
            await bench.until(lambda: not bench.reader.waiting)
            assert await outbox.ask(Database.quarantined) == {"park": 1}
            assert bench.forwarder.counters.delivered == 19
            assert [(each[0], each[2]["from"]) for each in bench.told if each[0] == "quarantined"] == [
                ("quarantined", 7)
            ]


async def test_a_stop_on_a_dead_link_leaves_the_last_word_to_the_will(outbox, monkeypatch):
    monkeypatch.setattr(room, "GOODBYE", 0.05)

    def silent(session, publish):
        if "/data/" not in publish.topic:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=silent) as broker:
        bench = Bench(outbox, broker.url, window=2)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online and bench.forwarder._session._lanes.greeted)
            await bench.store("a", "a", "a", "a")
            await bench.until(lambda: len(bench.forwarder._session._flying) == 2)
            await bench.forwarder.drain(0.05)
            assert not bench.task.done()
        await broker.until(lambda: bool(broker.sessions[0].ended))
        assert broker.sessions[0].disconnected is None


async def test_a_broker_that_refuses_every_will_is_not_asked_without_pause(outbox):
    def no_will(session, connect):
        session.writer.write(connack(connect.version, 0x9A))

    async with ScriptedBroker(on_connect=no_will) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: len(bench.clock.waits) >= 2)
            assert "uplink-offline" in [each[0] for each in bench.told]


async def test_a_row_refused_once_while_the_next_of_its_topic_was_taken_goes_again(outbox):
    waiting = []

    def hold_data(session, publish):
        if "/data/" in publish.topic:
            waiting.append((session, publish))
        else:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold_data) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a", "a")
            await bench.until(lambda: len(waiting) == 2)
            (session, first), (_, second) = waiting
            session.ack(first, 0x97)
            session.ack(second)
            await bench.until(lambda: not bench.reader.waiting)
            assert bench.reader.settled == 2


async def test_what_is_on_its_way_is_not_sent_again_when_a_refused_topic_is_taken(outbox, monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.02)
    allowed, held = [], []

    def script(session, publish):
        if publish.topic.endswith("/data/b"):
            held.append((session, publish))
        elif publish.topic.endswith("/data/a"):
            session.ack(publish, 0 if allowed else 0x87)
        else:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=script) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a")
            await bench.until(lambda: 0x87 in bench.forwarder.counters.refused)
            await bench.store("a", "b")
            await bench.until(lambda: held)
            allowed.append(True)
            await bench.until(lambda: bench.reader.settled == 2)
            ((session, publish),) = held
            session.ack(publish)
            await bench.until(lambda: not bench.reader.waiting)
            assert sum(each.topic.endswith("/b") for each in rows_of(session)) == 1


async def test_alarms_are_looked_for_again_where_a_topic_is_taken_while_they_are_looked_for(outbox, monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.02)
    allowed, held, looked, gate = [], [], [], asyncio.Event()

    def script(session, publish):
        if not publish.topic.endswith(("/data/a", "/data/b")):
            acknowledge(session, publish)
        elif allowed:
            held.append(lambda: session.ack(publish))
        else:
            session.ack(publish, 0x87)

    async with ScriptedBroker(on_publish=script) as broker:
        bench = Bench(outbox, broker.url)
        alarms = bench.reader.alarms

        async def looking():
            looked.append(len(looked))
            if looked[-1] == 1:
                await gate.wait()
            return await alarms()

        bench.reader.alarms = looking
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store("a", "b")
            await bench.until(lambda: bench.forwarder.counters.refused.get(0x87, 0) >= 2)
            await bench.store("a", "b")  # passed over
            allowed.append(True)
            await bench.until(lambda: len(held) == 2)
            held[0]()
            await bench.until(lambda: len(looked) == 2)
            held[1]()
            await bench.until(lambda: bench.reader.settled == 2)
            gate.set()
            await bench.until(lambda: len(looked) == 3)
            await bench.until(lambda: not bench.reader.waiting)


async def test_it_listens_to_its_own_status_once_that_is_retained(outbox):
    held = []

    def hold_status(session, publish):
        held.append(publish) if publish.topic.endswith("/status") and not held else acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold_status) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: broker.sessions and topics(broker.sessions[0])[-1:] == ["meta/a"])
            (session,) = broker.sessions
            await asyncio.sleep(0.05)
            assert session.subscriptions == []
            session.ack(held[0])
            await bench.until(lambda: session.subscriptions)
            bench.forwarder.refresh()
            await bench.until(lambda: topics(session).count("status") == 2)
            await asyncio.sleep(0.05)
            assert session.subscriptions == [f"{ROOT}/status"]


async def test_a_broker_that_says_it_is_busy_is_asked_ever_more_seldom(outbox):
    def busy(session, connect):
        session.writer.write(connack(connect.version, 0x89))

    async with ScriptedBroker(on_connect=busy) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: len(bench.clock.waits) >= 12)
            assert max(bench.clock.waits[:1]) < 40
            assert max(bench.clock.waits) > 100


async def test_connections_that_are_accepted_and_lost_at_once_each_time_are_made_more_seldom(outbox):
    def cut_status(session, publish):
        session.cut()

    async with ScriptedBroker(on_publish=cut_status) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: len(bench.clock.waits) >= forwarder.BRIEF_MOST + 1)
            quick, patient = bench.clock.waits[: forwarder.BRIEF_MOST - 1], bench.clock.waits[forwarder.BRIEF_MOST - 1]
            assert max(quick) <= forwarder.QUICK
            assert patient >= 20


async def test_a_broker_that_retains_nothing_is_told_again_after_a_while_what_it_would_retain(outbox, monkeypatch):
    def forgetful(session, connect):
        session.writer.write(connack(connect.version, properties=limits(retain=False)))

    monkeypatch.setattr(room, "IDLE", 0.02)
    async with ScriptedBroker(on_connect=forgetful) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: broker.sessions and topics(broker.sessions[0])[-1:] == ["meta/a"])
            await asyncio.sleep(0.1)
            (session,) = broker.sessions
            assert topics(session).count("meta/a") == 1
            monkeypatch.setattr(room, "AGAIN", 0.05)
            await bench.until(lambda: topics(session).count("meta/a") == 2)
            assert topics(session).count("status") == 2


async def test_rows_that_are_not_there_any_more_are_told_with_their_range(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        await bench.store(*"aaaaaaaaa")
        await outbox.commit([2, 4, 6, 7, 8])
        async with running(bench):
            await bench.until(lambda: not bench.reader.waiting)
            assert [each for each in bench.told if each[0] == "not-kept"] == [
                ("not-kept", "park", {"count": 5, "from": 2, "to": 8})
            ]
            assert (bench.reader.settled, bench.reader.delivered) == (9, 4)


async def test_each_connection_has_its_number_on_the_disk_before_it_is_made(outbox):
    outbox._since -= 3_600  # it has run for an hour: what uplinks have had is not written at every commit
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            for count in (1, 2, 3):
                await bench.until(lambda count=count: bench.forwarder.online and len(broker.sessions) == count)
                (state,) = await outbox.ask(Database.uplinks)
                assert state.connections == count
                outbox.store(outbox.series("event", ""), 7, lambda *_: b"{}")
                broker.sessions[-1].cut()
                await bench.until(lambda: not bench.forwarder.online)


@pytest.mark.parametrize(("window", "packs"), [(10, 5), (1, 1)])
async def test_how_much_backfill_may_be_on_its_way_is_a_share_of_the_window_in_full_packs(outbox, window, packs):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url, window=window, backfill_share=0.5)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            lanes = bench.forwarder._session._lanes
            assert (lanes.share, lanes.ramp.most) == (0.5, packs * MAX_PAYLOAD)


@pytest.mark.parametrize("largest", [1_000, 1_300, 1_700])
async def test_packs_leave_room_for_what_stands_around_them_in_the_brokers_largest_packet(outbox, largest):
    def small(session, connect):
        session.writer.write(connack(connect.version, properties=limits(max_packet=largest)))

    async with ScriptedBroker(on_connect=small) as broker:
        bench = Bench(outbox, broker.url)
        await bench.store(*["a"] * 60)
        async with running(bench):
            await bench.until(lambda: not bench.reader.waiting)
            sizes = [len(each.payload) for each in rows_of(broker.sessions[0])]
            assert largest - 400 < max(sizes) <= largest - 300
            assert bench.forwarder.counters.refused == {}


async def test_a_waiting_uplink_promises_to_turn_again_within_its_wait_and_the_longest_dial(outbox):
    promised = []
    async with ScriptedBroker() as gone:
        url = gone.url
    bench = Bench(outbox, url)
    heart = bench.forwarder._trade.heart
    real = heart.expect

    class Noted:
        late = False

        def expect(self, seconds):
            promised.append(seconds)
            real(seconds)

    object.__setattr__(bench.forwarder._trade, "heart", Noted())
    async with running(bench):
        await bench.until(lambda: len(bench.clock.waits) >= 2)
    waits = [each - forwarder.LONGEST_DIAL for each in promised if each != forwarder.LONGEST_DIAL]
    assert waits[:2] == pytest.approx(bench.clock.waits[:2])


async def test_connections_that_last_are_made_again_at_once_however_often(outbox, monkeypatch):
    monkeypatch.setattr(forwarder, "BRIEF", 0.0)

    def cut_status(session, publish):
        session.cut()

    async with ScriptedBroker(on_publish=cut_status) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: len(bench.clock.waits) >= 2 * forwarder.BRIEF_MOST)
            assert max(bench.clock.waits) <= forwarder.QUICK


async def test_no_more_of_the_backlog_is_read_than_a_chunk_ahead_of_the_window(outbox, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK", 10)
    monkeypatch.setattr(reading, "PIECE", 5)

    def hold_rows(session, publish):
        if not publish.topic.endswith("/event"):
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold_rows) as broker:
        bench = Bench(outbox, broker.url, window=6)
        await bench.store(*[""] * 40)
        async with running(bench):
            await bench.until(lambda: broker.sessions and rows_of(broker.sessions[0]))
            await asyncio.sleep(0.05)
            bench.forwarder.refresh()
            await bench.until(lambda: topics(broker.sessions[0]).count("status") > 1)
            assert [row for row in range(1, 41) if bench.reader.handed_out(row)] == [*range(1, 11)]


async def test_a_late_will_is_contradicted_while_online(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: broker.sessions and broker.sessions[0].subscriptions)
            (session,) = broker.sessions
            sent = topics(session).count("status")
            topic = f"{ROOT}/status".encode()
            late = json.dumps({"state": "offline", "connection": 1}).encode()
            session.send(PUBLISH, len(topic).to_bytes(2, "big") + topic + b"\0" + late)
            await bench.until(lambda: topics(session).count("status") == sent + 1)
            assert json.loads(session.publishes[-1].payload)["state"] == "online"


async def test_after_it_has_caught_up_once_a_new_backlog_is_read_on_as_fast_as_it_is_taken(outbox, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK", 10)
    monkeypatch.setattr(reading, "PIECE", 5)
    monkeypatch.setattr(room, "WATCH", 1_000.0)
    monkeypatch.setattr(room, "IDLE", 1_000.0)
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url, window=6)
        async with running(bench):
            await bench.until(lambda: bench.forwarder._session._leaving == {})
            monkeypatch.setattr(room, "LIVE_BYTES", 0)
            await bench.store(*[""] * 60)
            await bench.until(lambda: not bench.reader.waiting)
            assert len(rows_of(broker.sessions[0])) == 60


async def test_a_status_waits_for_no_row_that_is_on_its_way(outbox):
    held = []

    def hold_data(session, publish):
        held.append(publish) if "/data/" in publish.topic else acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold_data) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder._session._leaving == {})
            await bench.store("a")
            await bench.until(lambda: held)
            (session,) = broker.sessions
            sent = topics(session).count("status")
            bench.forwarder.refresh()
            await bench.until(lambda: topics(session).count("status") == sent + 1)
            assert bench.reader.waiting == 1
