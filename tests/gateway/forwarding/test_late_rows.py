"""What comes late, from an instrument's history: sent as backfill while online, packed, and never as the newest."""

import json
import random

from support.scripted_broker import ScriptedBroker, acknowledge
from support.uplink_bench import Bench, rows_of, running, topics

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.messages.encode import MAX_PAYLOAD
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.reader import Reader


def seqs(messages):
    """Give the topic's first level and every `seq` of each message."""
    found = []
    for each in messages:
        body = json.loads(each.payload)
        body = body if isinstance(body, list) else [body]
        found.append((each.topic.split("/")[4], [record["seq"] for record in body]))
    return found


async def test_late_rows_go_as_backfill_and_live_ones_of_the_same_commit_as_live(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            bench.queue(*["a"] * 5, late=True)
            bench.queue("a")
            await outbox.commit()
            await bench.until(lambda: not bench.reader.waiting)
            rows = rows_of(broker.sessions[0])
    assert sorted(seqs(rows)) == [("backfill", [1, 2, 3, 4, 5]), ("data", [6])]
    assert [each.retain for each in rows] == [each.topic.endswith("data/a") for each in rows]


async def test_late_rows_go_behind_the_backlog_of_their_series_in_the_order_of_its_numbers(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        await bench.store(*["a"] * 40, size=9_000)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            for _ in range(10):
                bench.queue(*["a"] * 3, late=True)
                bench.queue("a")
                await outbox.commit()
            await bench.until(lambda: not bench.reader.waiting)
            told = seqs(rows_of(broker.sessions[0]))
    late = [seq for kind, numbers in told if kind == "backfill" for seq in numbers]
    assert late == sorted(late)
    assert sorted(late + [seq for kind, numbers in told if kind == "data" for seq in numbers]) == list(range(1, 81))


async def test_no_pack_of_late_rows_is_larger_than_a_broker_takes(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store(*["a"] * 30, size=7_000, late=True)
            await bench.until(lambda: not bench.reader.waiting)
            rows = rows_of(broker.sessions[0])
    assert max(len(each.payload) for each in rows) <= MAX_PAYLOAD
    assert [seq for _, numbers in seqs(rows) for seq in numbers] == list(range(1, 31))


async def test_late_rows_without_a_puback_go_again_as_backfill_byte_for_byte(outbox):
    def only_the_second(session, publish):
        if len(broker.sessions) > 1 or "backfill" not in publish.topic:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=only_the_second) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            await bench.store(*["a"] * 3, late=True)
            await bench.until(lambda: rows_of(broker.sessions[0]))
            broker.sessions[0].cut()
            await bench.until(lambda: not bench.reader.waiting)
            first, second = (b"".join(each.payload for each in rows_of(session)) for session in broker.sessions)
    assert first == second
    assert "data/a" not in topics(broker.sessions[1])


async def test_low_stays_below_late_rows_until_they_are_settled(outbox):
    reader = Reader(outbox, outbox.uplink("park"), [])
    outbox.followers.append(reader.take)
    series = outbox.series("data", "a")
    for late in (False, True, True, False):
        outbox.store(series, 7, lambda seq, low: b"%d" % seq, late=late)
    await outbox.commit()
    assert reader.behind
    assert [reader.handed_out(row) for row in range(1, 5)] == [True, False, False, True]
    reader.settle([1, 4], 9)
    assert series.low == 2
    rows, gone = await reader.backlog()
    assert ([row.id for row in rows], gone) == ([2, 3], [])
    reader.settle([2, 3], 9)
    assert (series.low, reader.waiting, reader.behind) == (5, 0, False)


async def test_a_commit_of_late_rows_alone_hands_out_nothing(outbox):
    reader = Reader(outbox, outbox.uplink("park"), [])
    outbox.followers.append(reader.take)
    outbox.store(outbox.series("data", "a"), 7, lambda seq, low: b"1", late=True)
    await outbox.commit()
    assert not reader.handed_out(1)
    assert reader.behind


async def test_across_a_restart_late_rows_are_backlog_as_all_are(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    box.uplink("park")
    box.store(box.series("data", "a"), 7, lambda seq, low: b'{"seq":1}', late=True)
    await box.commit(progress=True)
    await box.close()
    again = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(2))
    async with ScriptedBroker() as broker:
        bench = Bench(again, broker.url)
        async with running(bench):
            await bench.until(lambda: broker.sessions and rows_of(broker.sessions[0]))
            assert seqs(rows_of(broker.sessions[0])) == [("backfill", [1])]
    await again.close()
