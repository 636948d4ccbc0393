"""The retained set of standing alarms on a connection: said after each change, never twice at once, last word first."""

import json

from support.scripted_broker import ScriptedBroker, acknowledge
from support.uplink_bench import ROOT, Bench, running, topics

from parkgate.gateway.forwarding import session as room
from parkgate.gateway.forwarding.lanes import Lane, Message
from parkgate.gateway.forwarding.standing import StandingSet

TOPIC = f"{ROOT}/alarms"


def test_nothing_is_said_where_nobody_keeps_a_set():
    said = StandingSet(TOPIC, None)
    said.say()
    assert not said.wanted
    assert said.message([], ()) is None


def test_it_is_said_once_each_time_it_is_asked_for():
    said = StandingSet(TOPIC, lambda: b"now")
    assert said.message([], ()) is None
    said.say()
    said.say()
    assert said.message([], ()) == Message(Lane.ALARM, TOPIC, b"now", retain=True)
    assert said.message([], ()) is None


def test_it_waits_while_the_last_one_is_under_way_and_then_says_the_set_as_it_is_by_then():
    counts = iter((b"one", b"two"))
    said = StandingSet(TOPIC, lambda: next(counts))
    said.say()
    first = said.message([], ())
    said.say()
    assert said.message([first], ()) is None
    assert said.owed(())
    assert said.message([Message(Lane.ALARM, f"{ROOT}/alarm/a", b"")], ()).payload == b"two"
    assert not said.owed(())


def test_a_topic_that_the_broker_refuses_is_not_owed():
    said = StandingSet(TOPIC, lambda: b"")
    said.say()
    assert said.message([], {TOPIC}) is None
    assert not said.owed({TOPIC})
    assert said.owed({"another"})


class Counted:
    """A bench whose set is how many alarms it stored."""

    def __init__(self, outbox, url):
        self.count = 0
        self.bench = Bench(outbox, url, standing=lambda: json.dumps(self.count).encode())

    async def alarm(self, name="gas"):
        self.count += 1
        await self.bench.store(name, kind="alarm")


def sets(session):
    return [json.loads(each.payload) for each in session.publishes if each.topic == TOPIC]


async def test_the_set_is_retained_at_each_connection_and_after_each_change_behind_its_transition(outbox):
    async with ScriptedBroker() as broker:
        counted = Counted(outbox, broker.url)
        async with running(counted.bench):
            await counted.bench.until(lambda: broker.sessions and sets(broker.sessions[0]) == [0])
            await counted.alarm()
            await counted.bench.until(lambda: sets(broker.sessions[0]) == [0, 1])
            behind = [each for each in topics(broker.sessions[0]) if each.startswith("alarm")]
            assert behind == ["alarms", "alarm/gas", "alarms"]
            assert all(each.retain for each in broker.sessions[0].publishes if each.topic == TOPIC)
            broker.sessions[0].cut()
            await counted.bench.until(lambda: len(broker.sessions) > 1 and sets(broker.sessions[-1]) == [1])


async def test_other_records_say_nothing_of_it(outbox):
    async with ScriptedBroker() as broker:
        counted = Counted(outbox, broker.url)
        async with running(counted.bench):
            await counted.bench.until(lambda: broker.sessions and sets(broker.sessions[0]) == [0])
            await counted.bench.store("a", "", "b")
            await counted.bench.until(lambda: not counted.bench.reader.waiting)
            assert sets(broker.sessions[0]) == [0]


async def test_a_storm_of_alarms_says_the_set_one_at_a_time_and_ends_with_the_last(outbox):
    held = []

    def answer(session, publish):
        held.append((session, publish)) if publish.topic == TOPIC else acknowledge(session, publish)

    async with ScriptedBroker(on_publish=answer) as broker:
        counted = Counted(outbox, broker.url)
        async with running(counted.bench):
            await counted.bench.until(lambda: len(held) == 1)
            for _ in range(20):
                await counted.alarm()
            await counted.bench.until(lambda: not counted.bench.reader.waiting)
            assert sets(broker.sessions[0]) == [0], "the alarms themselves did not wait"
            acknowledge(*held.pop())
            await counted.bench.until(lambda: len(held) == 1)
            assert sets(broker.sessions[0]) == [0, 20]
            acknowledge(*held.pop())


async def test_where_the_broker_refuses_it_for_a_while_the_last_word_is_the_set_as_it_is(outbox, monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.01)
    refusing = [True]

    def answer(session, publish):
        session.ack(publish, 0x87 if refusing[0] and publish.topic == TOPIC else 0)

    async with ScriptedBroker(on_publish=answer) as broker:
        counted = Counted(outbox, broker.url)
        async with running(counted.bench):
            await counted.bench.until(lambda: counted.bench.forwarder.counters.refused.get(0x87))
            await counted.alarm()
            await counted.bench.until(lambda: not counted.bench.reader.waiting)
            refusing[0] = False
            await counted.bench.until(lambda: not counted.bench.forwarder.fault and sets(broker.sessions[0])[-1] == 1)


async def test_rows_that_are_read_again_behind_a_refusal_do_not_forget_the_set(outbox, monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.01)
    refusing, last = [True], []

    def answer(session, publish):
        refused = refusing[0] and publish.topic.endswith("alarm/gas")
        session.ack(publish, 0x87 if refused else 0)

    async with ScriptedBroker(on_publish=answer) as broker:
        counted = Counted(outbox, broker.url)
        async with running(counted.bench):
            await counted.alarm()
            await counted.alarm()
            await counted.bench.until(lambda: counted.bench.forwarder.counters.refused.get(0x87))
            refusing[0] = False
            await counted.bench.until(lambda: not counted.bench.reader.waiting)
            await counted.alarm()
            await counted.bench.until(lambda: sets(broker.sessions[0])[-1] == 3)
            last += sets(broker.sessions[0])
    assert last == sorted(last)


async def test_a_stop_says_the_last_change_before_goodbye(outbox):
    async with ScriptedBroker() as broker:
        counted = Counted(outbox, broker.url)
        async with running(counted.bench):
            await counted.bench.until(lambda: broker.sessions and sets(broker.sessions[0]) == [0])
            await counted.alarm()
            await counted.bench.forwarder.drain(20)
            assert sets(broker.sessions[0]) == [0, 1]
            assert topics(broker.sessions[0])[-1] == "status"
