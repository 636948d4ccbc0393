"""A will that comes late must not have the last word: the uplink listens to its own status."""

import json

import pytest
from support.scripted_broker import ScriptedBroker, allow
from support.uplink_bench import ROOT, Bench, running, topics

STATUS = f"{ROOT}/status"


def statuses(session):
    return [json.loads(each.payload)["state"] for each in session.publishes if each.topic == STATUS]


async def listening(broker, bench):
    await broker.until(lambda: bool(broker.sessions) and bool(broker.sessions[-1].subscriptions))
    await bench.until(lambda: not bench.forwarder._session.listening.unanswered)
    return broker.sessions[-1]


@pytest.mark.parametrize("connection", [1, 2], ids=["of an older connection", "of this one"])
async def test_an_offline_of_our_connection_or_an_older_is_contradicted_at_once(outbox, connection):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        bench.reader.state.connections = 1
        async with running(bench):
            session = await listening(broker, bench)
            assert session.subscriptions == [STATUS]
            session.say(STATUS, json.dumps({"state": "offline", "connection": connection}).encode(), retain=True)
            await broker.until(lambda: statuses(session) == ["online", "online"])
            assert json.loads(session.publishes[-1].payload)["connection"] == 2
            assert session.publishes[-1].retain


JUNK = (
    b"", b"{", b"null", b"[]", b'"offline"', b"7", b"\xff\xfe", b"{}",
    b'{"state":"offline"}', b'{"state":"offline","connection":null}', b'{"state":"offline","connection":"x"}',
    b'{"state":"offline","connection":[1]}', b'{"connection":1}', b"[" * 5000,
)  # fmt: skip
IN_ORDER = (b'{"state":"offline","connection":3}', b'{"state":"online","connection":2}')


async def test_an_offline_of_a_newer_connection_an_online_and_junk_are_left_alone(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        bench.reader.state.connections = 1
        async with running(bench):
            session = await listening(broker, bench)
            for payload in (*IN_ORDER, *JUNK):
                session.say(STATUS, payload)
            await bench.store("b")  # its PUBACK comes behind all that
            await bench.until(lambda: not bench.reader.waiting)
            assert statuses(session) == ["online"]
            session.say(STATUS, b'{"state":"offline","connection":2}')
            await broker.until(lambda: statuses(session) == ["online", "online"])
            assert len(bench.links) == 1


async def test_a_refused_subscription_harms_nothing_and_is_asked_for_again_by_the_next_connection(outbox):
    async with ScriptedBroker(on_subscribe=lambda session, subscribe: session.grant(subscribe, 0x87)) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            session = await listening(broker, bench)
            await bench.store("a")
            await bench.until(lambda: not bench.reader.waiting)
            assert (bench.forwarder.fault, len(bench.links)) == ("", 1)
            session.cut()
            await broker.until(lambda: len(broker.sessions) == 2 and bool(broker.sessions[1].subscriptions))


async def test_a_broker_that_cuts_whoever_subscribes_is_asked_twice(outbox):
    async with ScriptedBroker(on_subscribe=lambda session, _: session.cut()) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: len(bench.links) == 3 and bench.forwarder.online)
            await bench.store("a")
            await bench.until(lambda: not bench.reader.waiting)
            broker.sessions[2].cut()
            await bench.until(lambda: len(bench.links) == 4 and bench.forwarder.online)
            await bench.store("a")
            await bench.until(lambda: not bench.reader.waiting)
    assert [session.subscriptions for session in broker.sessions] == [[STATUS], [STATUS], [], []]


async def test_a_link_that_is_cut_while_we_ask_costs_us_no_ear(outbox):
    def cut_the_first_and_third(session, subscribe):
        if broker.sessions.index(session) in (0, 2):
            session.cut()
        else:
            allow(session, subscribe)

    async with ScriptedBroker(on_subscribe=cut_the_first_and_third) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            for connection in (2, 4):
                await bench.until(lambda: len(bench.links) == connection and bench.forwarder.online)  # noqa: B023  # awaited here
                await listening(broker, bench)
                broker.sessions[-1].cut()
            await broker.until(lambda: len(broker.sessions) == 5 and bool(broker.sessions[4].subscriptions))


async def test_the_subscription_comes_once_and_only_behind_the_puback_of_our_own_status(outbox):
    order = []

    def answer(session, publish):
        order.append(publish.topic.removeprefix(f"{ROOT}/"))
        session.ack(publish)

    def subscribed(session, subscribe):
        order.append("subscribe")
        allow(session, subscribe)

    async with ScriptedBroker(on_publish=answer, on_subscribe=subscribed) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            session = await listening(broker, bench)
            bench.forwarder.refresh()
            await broker.until(lambda: topics(session).count("status") == 2)
            await bench.store("a")
            await bench.until(lambda: not bench.reader.waiting)
    assert order.count("subscribe") == 1
    assert order.index("status") < order.index("subscribe")


async def test_a_late_will_behind_our_goodbye_is_not_answered_with_online(outbox):
    def answer(session, publish):
        if b'"stopped"' in publish.payload:
            session.say(STATUS, b'{"state":"offline","connection":1}')
        session.ack(publish)

    async with ScriptedBroker(on_publish=answer) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            session = await listening(broker, bench)
            await bench.forwarder.drain(5)
        assert statuses(session) == ["online", "offline"]
