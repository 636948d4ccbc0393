"""A link in trouble: when it is cut and when it is not; alarms before all; a broker without retained messages."""

import json

import pytest
from support.scripted_broker import ScriptedBroker, acknowledge, connack, limits
from support.uplink_bench import ROOT, Bench, running, topics

from parkgate.gateway.forwarding import session as room
from parkgate.gateway.forwarding.lanes import Lane
from parkgate.gateway.forwarding.window import LONGEST_STUCK, STUCK
from parkgate.gateway.storing import reader


@pytest.fixture(autouse=True)
def _the_link_is_looked_at_often(monkeypatch):
    monkeypatch.setattr(room, "WATCH", 0.01)
    monkeypatch.setattr(room, "IDLE", 0.01)


class Held:
    """Holds back the PUBACKs of an instrument's rows, the oldest first to be given."""

    def __init__(self, *names):
        self.names = names
        self.waiting = []

    def __call__(self, session, publish):
        kind, _, name = publish.topic.removeprefix(f"{ROOT}/").partition("/")
        if kind in ("data", "backfill", "alarm") and name in self.names:
            self.waiting.append((session, publish))
        else:
            acknowledge(session, publish)

    def release(self):
        acknowledge(*self.waiting.pop(0))


async def greeted(bench):
    await bench.until(lambda: bench.forwarder.online and bench.forwarder._session._lanes.greeted)


async def looked(bench):
    """Wait until the session has looked at its link at least once since now."""
    wake = bench.forwarder._session._wake
    for _ in range(2):
        wake.set()
        await bench.until(lambda: not wake.is_set() or bench.links[-1].lost.done())


async def test_a_link_that_gives_no_puback_at_all_is_cut_after_twelve_seconds_and_not_before(outbox):
    held = Held("a")
    async with ScriptedBroker(on_publish=held) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await greeted(bench)
            await bench.store("a")
            await bench.until(lambda: held.waiting)
            bench.clock.ahead += STUCK - 1
            await looked(bench)
            assert (bench.forwarder.online, len(bench.links)) == (True, 1)
            bench.clock.ahead += 1.1
            await bench.until(lambda: len(bench.links) == 2)
            assert ("uplink-offline", "park", {"reason": "no acknowledgement for 12 s"}) in bench.told
            await bench.until(lambda: len(held.waiting) == 2)
            assert held.waiting[1][1].payload == b"[" + held.waiting[0][1].payload + b"]"


async def test_one_message_without_a_puback_while_others_have_theirs_is_waited_for_a_minute(outbox):
    held = Held("a")
    async with ScriptedBroker(on_publish=held) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await greeted(bench)
            await bench.store("a")
            await bench.until(lambda: held.waiting)
            for _ in range(int(LONGEST_STUCK) // 10 - 1):
                bench.clock.ahead += 10
                await bench.store("b")
                await bench.until(lambda: bench.reader.waiting == 1)
                await looked(bench)
                assert (bench.forwarder.online, len(bench.links)) == (True, 1)
            bench.clock.ahead += 9
            await bench.store("b")
            await bench.until(lambda: bench.reader.waiting == 1)
            bench.clock.ahead += 1.1
            await bench.until(lambda: len(bench.links) == 2)
            assert ("uplink-offline", "park", {"reason": "no acknowledgement for 60 s"}) in bench.told


async def test_a_slow_link_that_acknowledges_late_but_steadily_is_never_cut(outbox):
    held = Held("a")
    async with ScriptedBroker(on_publish=held) as broker:
        bench = Bench(outbox, broker.url, window=4)
        async with running(bench):
            await greeted(bench)
            for _ in range(20):
                await bench.store("a")
            for settled in range(20):
                await bench.until(lambda settled=settled: len(held.waiting) == min(4, 20 - settled))
                bench.clock.ahead += STUCK - 1
                await looked(bench)
                held.release()
                await bench.until(lambda settled=settled: bench.reader.settled == settled + 1)
            assert len(bench.links) == 1
            assert bench.forwarder.fault == ""


async def test_alarms_stored_while_the_uplink_was_away_go_before_descriptions_and_backfill_in_their_order(outbox):
    descriptions = []

    def answer(session, publish):
        if "/meta/" in publish.topic:
            descriptions.append((session, publish))
        else:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=answer) as broker:
        bench = Bench(outbox, broker.url)
        await bench.store("a", "a")
        await bench.store("gas", "tank", "gas", kind="alarm")
        await bench.store("a")
        await bench.store("gas", kind="alarm")
        async with running(bench):
            await bench.until(lambda: bench.reader.settled == 4)
            sent = topics(broker.sessions[0])
            assert sent[:4] == ["alarm/gas", "alarm/tank", "alarm/gas", "alarm/gas"]
            assert not [each for each in sent if each.startswith(("data", "backfill"))]
            alarms = [each for each in broker.sessions[0].publishes if "/alarm/" in each.topic]
            assert [json.loads(each.payload)["seq"] for each in alarms] == [1, 1, 2, 3]
            assert not any(each.retain for each in alarms)
            broker.on_publish = acknowledge
            for each in descriptions:
                acknowledge(*each)
            await bench.until(lambda: not bench.reader.waiting)
            assert [each for each in topics(broker.sessions[0]) if each.startswith("alarm")] == sent[:4]


async def test_alarms_pass_the_backlog_too_when_their_topic_is_taken_again(outbox, monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.05)
    monkeypatch.setattr(reader, "CHUNK", 2)
    held, allowed = Held("a"), []

    def answer(session, publish):
        if "/alarm/" in publish.topic and not allowed:
            session.ack(publish, 0x87)
        else:
            held(session, publish)

    async with ScriptedBroker(on_publish=answer) as broker:
        bench = Bench(outbox, broker.url, window=4)
        await bench.store(*["a"] * 20, size=40_000)
        await bench.store("gas", "gas", "gas", kind="alarm")
        async with running(bench):
            await bench.until(lambda: held.waiting)
            await bench.store("gas", kind="alarm")
            allowed.append(True)
            await bench.until(lambda: bench.reader.settled == 4)
            assert topics(broker.sessions[0]).count("backfill/a") == 1
            alarms = [each.payload for each in broker.sessions[0].publishes if "/alarm/" in each.topic]
            assert [json.loads(each)["seq"] for each in alarms[-4:]] == [1, 2, 3, 4]


async def test_alarms_that_wait_for_a_place_pass_the_backlog_too_when_another_topic_is_taken_again(outbox, monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.05)
    monkeypatch.setattr(reader, "CHUNK", 2)
    held, events = Held("a", "b"), []

    def answer(session, publish):
        if publish.topic.endswith("/event"):
            events.append((session, publish))
        else:
            held(session, publish)

    async with ScriptedBroker(on_publish=answer) as broker:
        bench = Bench(outbox, broker.url, window=3)
        await bench.store(*["a"] * 20, size=40_000)
        async with running(bench):
            await bench.until(lambda: held.waiting)
            await bench.store("", "")
            await bench.until(lambda: len(events) == 2)
            for session, publish in events[:2]:
                session.ack(publish, 0x87)
            await bench.until(lambda: len(events) == 3)  # the oldest is tried again, and is on its way
            await bench.store("b")
            await bench.until(lambda: len(held.waiting) == 2)  # the window is full
            await bench.store("gas", "gas", kind="alarm")
            assert len(bench.forwarder._session._lanes.waiting[Lane.ALARM]) == 2
            acknowledge(*events[2])
            await bench.until(lambda: bench.reader.settled == 3)
            sent = topics(broker.sessions[0])
            assert (sent.count("alarm/gas"), sent.count("backfill/a")) == (2, 1)


async def test_an_alarm_that_no_puback_came_for_goes_first_through_the_next_connection(outbox):
    held = Held("gas")
    async with ScriptedBroker(on_publish=held) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await greeted(bench)
            await bench.store("gas", kind="alarm")
            await bench.until(lambda: held.waiting)
            broker.on_publish = acknowledge
            broker.sessions[0].cut()
            await bench.until(lambda: not bench.reader.waiting)
            again = broker.sessions[1].publishes[0]
            assert (again.topic, again.payload) == (f"{ROOT}/alarm/gas", held.waiting[0][1].payload)


async def test_with_the_live_lane_full_an_alarm_takes_the_next_free_place(outbox, monkeypatch):
    monkeypatch.setattr(room, "LIVE_BYTES", 500)
    held = Held("a")
    async with ScriptedBroker(on_publish=held) as broker:
        bench = Bench(outbox, broker.url, window=2)
        async with running(bench):
            await greeted(bench)
            for _ in range(10):
                await bench.store("a", size=200)
            await bench.until(lambda: held.waiting and not bench.forwarder._session._wake.is_set())
            assert bench.forwarder._session._lanes.live_bytes >= 500
            await bench.store("gas", "a", kind="alarm")
            held.names = ()
            held.release()
            await bench.until(lambda: "alarm/gas" in topics(broker.sessions[0]))
            sent = topics(broker.sessions[0])
            before = [each for each in sent[: sent.index("alarm/gas")] if each.startswith(("data", "backfill"))]
            assert len(before) <= 2, "nothing but what was on its way stands before it"
            while held.waiting:
                held.release()
            await bench.until(lambda: not bench.reader.waiting)
            alarms = [each for each in topics(broker.sessions[0]) if each.startswith("alarm")]
            assert alarms == ["alarm/gas", "alarm/a"]


async def test_an_alarm_committed_together_with_rows_that_find_the_live_lane_full_goes_and_they_follow(
    outbox, monkeypatch
):
    monkeypatch.setattr(room, "LIVE_BYTES", 0)
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await greeted(bench)
            for kind in ("data", "alarm", "data"):
                outbox.store(outbox.series(kind, "a"), 7, lambda seq, low: b'{"seq":%d}' % seq)
            await outbox.commit()
            await bench.until(lambda: not bench.reader.waiting)
            rows = [each for each in topics(broker.sessions[0]) if "meta" not in each and each != "status"]
            assert rows == ["alarm/a", "backfill/a", "backfill/a"]
            packs = [each.payload for each in broker.sessions[0].publishes if "/backfill/" in each.topic]
            assert packs == [b'[{"seq":1}]', b'[{"seq":2}]']


async def test_a_broker_without_retained_messages_is_told_status_and_descriptions_again(outbox):
    def answer(session, connect):
        session.writer.write(connack(connect.version, properties=limits(retain=False)))

    greeting = ["status", "meta/a/rev1", "meta/a/rev2", "meta/a"]
    async with ScriptedBroker(on_connect=answer) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await greeted(bench)
            session = broker.sessions[0]
            for times in (1, 2, 3):
                await bench.until(lambda times=times: len(session.publishes) == 4 * times)
                bench.clock.ahead += room.AGAIN - 5
                await looked(bench)
                assert topics(session) == greeting * times
                bench.clock.ahead += 6
            await bench.until(lambda: len(session.publishes) == 16)
            assert not any(each.retain for each in session.publishes)
            assert {json.loads(each.payload).get("state", "online") for each in session.publishes} == {"online"}


async def test_a_broker_that_retains_is_told_once(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await greeted(bench)
            bench.clock.ahead += 10 * room.AGAIN
            await looked(bench)
            await bench.store("b")
            await bench.until(lambda: not bench.reader.waiting)
            assert topics(broker.sessions[0]).count("status") == 1


@pytest.mark.parametrize("version", [5, 4])
async def test_a_connection_says_how_large_a_packet_it_takes_where_its_version_can(outbox, version):
    def answer(session, connect):
        session.writer.write(connack(connect.version, 0x84 if connect.version > version else 0))

    async with ScriptedBroker(on_connect=answer) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await greeted(bench)
            connect = broker.sessions[-1].connect
            assert (connect.version, connect.max_packet) == (version, 65_536 if version == 5 else None)
            assert connect.clean
