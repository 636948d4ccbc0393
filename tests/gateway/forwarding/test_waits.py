"""How long an uplink waits before it tries again, and what cuts a wait short."""

import asyncio
import ssl

import pytest
from support.certificates import Authority
from support.scripted_broker import ScriptedBroker, acknowledge, connack
from support.uplink_bench import Bench, Hasty, Longest, running

from parkgate.gateway.forwarding.forwarder import BRIEF, BRIEF_MOST, QUICK, QUICK_FOR
from parkgate.gateway.forwarding.refusals import Flapping, NotTrusted


class Patient(Hasty):
    """A clock by which every wait is endless, until the test ends it."""

    def __init__(self):
        super().__init__()
        self.over = asyncio.Event()
        self.ended = 0

    async def sleep(self, seconds):
        self.waits.append(seconds)
        try:
            await self.over.wait()
        finally:
            self.ended += 1


class Still(Hasty):
    """A clock that stands but for the waits, each of which ends at the next of some moments; the last never does."""

    def __init__(self, *moments):
        super().__init__()
        self.moments = [*moments]

    def monotonic(self):
        return self.ahead

    async def sleep(self, seconds):
        self.waits.append(seconds)
        if not self.moments:
            await asyncio.Event().wait()
        self.ahead = self.moments.pop(0)


async def turns(broker):
    """Let the loop turn often enough to end a wait, were it to be."""
    for _ in range(3):
        _, writer = await asyncio.open_connection("127.0.0.1", broker.port)
        writer.close()
        await writer.wait_closed()


async def test_connections_that_are_lost_at_once_again_and_again_are_waited_for_longer_and_told(outbox):
    async with ScriptedBroker(on_publish=lambda session, _: session.cut()) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: len(bench.clock.waits) >= BRIEF_MOST + 3)
            waits = bench.clock.waits[: BRIEF_MOST + 3]
            assert max(waits[: BRIEF_MOST - 1]) <= QUICK
            assert BRIEF_MOST == 4
            assert min(waits[BRIEF_MOST - 1 :]) >= Flapping.floor == 20
            assert max(waits) <= Flapping.cap
            assert "again within seconds" in bench.forwarder.fault
            assert "another gateway has the same site and id" in bench.forwarder.fault


async def test_a_connection_that_lasted_just_long_enough_was_no_brief_one(outbox):
    def last_and_cut(session, publish):
        if not session.ended:
            bench.clock.ahead += BRIEF
            session.cut()

    async with ScriptedBroker(on_publish=last_and_cut) as broker:
        bench = Bench(outbox, broker.url, clock=Still(*range(10, 10 * BRIEF_MOST + 10, 10)))
        async with running(bench):
            await bench.until(lambda: len(bench.clock.waits) == BRIEF_MOST + 1)
            assert max(bench.clock.waits) <= QUICK


async def test_the_quick_tries_end_with_the_time_that_they_have(outbox):
    async with ScriptedBroker() as gone:
        url = gone.url
    bench = Bench(outbox, url, clock=Still(QUICK_FOR - 1, QUICK_FOR))
    bench.forwarder._rng = Longest()
    async with running(bench):
        await bench.until(lambda: len(bench.clock.waits) == 3)
        assert bench.clock.waits == [QUICK, QUICK, 8.0]


async def test_one_connection_that_lasted_makes_the_next_waits_short_again(outbox):
    async with ScriptedBroker(on_publish=lambda session, _: session.cut()) as broker:
        bench = Bench(outbox, broker.url)
        async with running(bench):
            await bench.until(lambda: "again within seconds" in bench.forwarder.fault)
            broker.on_publish = acknowledge
            await bench.until(lambda: bench.forwarder.online and bench.forwarder._session._lanes.greeted)
            known = len(bench.clock.waits)
            bench.clock.ahead += BRIEF + 0.1
            broker.on_publish = lambda session, _: session.cut()
            broker.sessions[-1].cut()
            await bench.until(lambda: len(bench.clock.waits) >= known + BRIEF_MOST + 1)
            waits = bench.clock.waits[known:]
            assert max(waits[:BRIEF_MOST]) <= QUICK
            assert waits[BRIEF_MOST] >= Flapping.floor


async def test_a_clock_that_was_set_ends_the_wait_behind_a_lost_link(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url, clock=Patient())
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            broker.sessions[0].cut()
            await bench.until(lambda: bench.clock.waits)
            bench.forwarder.hurry()
            await bench.until(lambda: len(bench.links) == 2 and bench.forwarder.online)


async def test_a_clock_that_was_set_during_a_try_hurries_the_next(outbox):
    def answer(session, connect):
        if len(bench.links) == 1:
            bench.forwarder.hurry()
            session.cut()
        else:
            session.writer.write(connack(connect.version))

    async with ScriptedBroker(on_connect=answer) as broker:
        bench = Bench(outbox, broker.url, clock=Patient())
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            assert (len(bench.clock.waits), len(bench.links)) == (1, 2)


async def test_a_clock_that_was_set_while_there_was_a_connection_hurries_nobody_when_it_is_lost(outbox):
    async with ScriptedBroker() as broker:
        bench = Bench(outbox, broker.url, clock=Patient())
        async with running(bench):
            await bench.until(lambda: bench.forwarder.online)
            bench.forwarder.hurry()
            broker.sessions[0].cut()
            await bench.until(lambda: bench.clock.waits)
            await turns(broker)
            assert (len(bench.clock.waits), bench.clock.ended, len(bench.links)) == (1, 0, 1)


async def test_a_clock_that_was_set_ends_the_wait_for_a_broker_that_was_not_reached(outbox):
    async with ScriptedBroker() as gone:
        url = gone.url
    bench = Bench(outbox, url, clock=Patient())
    async with running(bench):
        for tries in (1, 2, 3):
            await bench.until(lambda tries=tries: len(bench.clock.waits) == tries)
            bench.forwarder.hurry()
        await bench.until(lambda: len(bench.clock.waits) == 4)


async def test_a_clock_that_was_set_ends_the_wait_behind_a_certificate_that_was_not_trusted(outbox, tmp_path):
    theirs, ours = Authority(tmp_path, "theirs"), Authority(tmp_path, "ours")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*theirs.issue("broker", address="127.0.0.1"))
    async with ScriptedBroker(tls=tls) as broker:
        bench = Bench(outbox, broker.url, clock=Patient(), ca=ours.file)
        async with running(bench):
            await bench.until(lambda: bench.clock.waits)
            assert "is not trusted" in bench.forwarder.fault
            assert bench.clock.waits[0] >= NotTrusted.floor
            bench.forwarder.hurry()
            await bench.until(lambda: len(bench.clock.waits) == 2)


@pytest.mark.parametrize("code", [0x87, 0x8E, 0x8B], ids=["not admitted", "taken over", "busy"])
async def test_a_clock_that_was_set_hurries_nobody_who_was_sent_away(outbox, code):
    def answer(session, connect):
        session.writer.write(connack(connect.version, 0x87 if code == 0x87 else 0))

    def dismiss(session, publish):
        session.dismiss(code)

    async with ScriptedBroker(on_connect=answer, on_publish=dismiss) as broker:
        bench = Bench(outbox, broker.url, clock=Patient())
        async with running(bench):
            await bench.until(lambda: bench.clock.waits)
            bench.forwarder.hurry()
            await turns(broker)
            assert (len(bench.clock.waits), bench.clock.ended) == (1, 0)
            bench.clock.over.set()
            await bench.until(lambda: len(bench.links) > 1)
