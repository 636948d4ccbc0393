"""A description that is new while the uplink is online: it goes before every row that refers to it."""

import asyncio

from support.scripted_broker import ScriptedBroker, acknowledge
from support.uplink_bench import Bench, running, topics

NEW = ("b", "rev9", b'{"rev":"rev9","simulated":true}')


async def test_rows_wait_until_the_new_description_is_taken_and_the_status_is_said_again(outbox):
    held = []

    def hold(session, publish):
        if publish.topic.endswith("/rev9"):
            held.append((session, publish))
        else:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=hold) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online and bench.forwarder._session._lanes.greeted)
            bench.forwarder.describe(*NEW)
            await bench.store("b")
            await bench.until(lambda: held and topics(broker.sessions[0]).count("status") == 2)
            await asyncio.sleep(0.05)
            assert "data/b" not in topics(broker.sessions[0])
            acknowledge(*held[0])
            await bench.until(lambda: not bench.reader.waiting)
            sent = topics(broker.sessions[0])
            assert sent.index("meta/b/rev9") < sent.index("data/b")
            assert sent.index("meta/b") < sent.index("data/b")
            assert [each.payload for each in broker.sessions[0].publishes if each.topic.endswith("meta/b")] == [NEW[2]]


async def test_what_is_described_while_a_connection_begins_is_told_by_it(outbox):
    """The greeter is asked last: between its answer and being online nothing else can run."""
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        await bench.store("a")
        asked, metas = [], bench.greeter.metas

        async def slow(position):
            found = await metas(position)
            await asyncio.sleep(0.05)
            bench.forwarder.describe(*NEW)  # nobody is online yet: the greeting must bring it
            asked.append(bench.forwarder.online)
            return [*found, NEW]

        bench.greeter.metas = slow
        async with running(bench):
            await bench.until(lambda: not bench.reader.waiting)
            assert asked == [False]
            assert topics(broker.sessions[0]).count("meta/b/rev9") == 1


async def test_nothing_is_sent_while_offline(outbox):
    bench = Bench(outbox, "mqtt://127.0.0.1:1")
    bench.forwarder.describe(*NEW)
    assert not bench.forwarder._session._lanes.waiting[1]
