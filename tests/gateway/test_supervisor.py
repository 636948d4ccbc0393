"""Loops that fail are started again; the service manager hears while every loop turns."""

import asyncio
import random

import pytest

from parkgate.gateway import supervisor as room
from parkgate.gateway.storing.database import OutboxFault
from parkgate.gateway.supervisor import STEADY, Supervisor, cancelled


class Jumping:
    def __init__(self):
        self.elapsed = 0.0
        self.waits = []

    def monotonic(self):
        return self.elapsed

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.elapsed += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock():
    return Jumping()


@pytest.fixture
def told():
    return []


@pytest.fixture
def supervisor(clock, told):
    return Supervisor(clock, random.Random(1), lambda name, subject, **detail: told.append((name, subject, detail)))


async def test_a_loop_that_fails_is_told_and_started_again_with_growing_waits(supervisor, clock, told):
    runs = []

    async def fragile():
        runs.append(clock.elapsed)
        if len(runs) == 8:
            raise asyncio.CancelledError
        raise ZeroDivisionError("ours")

    await asyncio.gather(supervisor.start("line cems", fragile), return_exceptions=True)
    assert told == [("loop-failed", "line cems", {"reason": "ZeroDivisionError: ours"})] * 7
    assert all(wait >= 0.5 for wait in clock.waits)
    assert max(clock.waits) > 4


async def test_after_a_long_good_run_a_fault_counts_as_the_first_again(supervisor, clock):
    runs = 0

    async def mostly_good():
        nonlocal runs
        runs += 1
        clock.elapsed += STEADY + 1
        if runs == 20:
            raise asyncio.CancelledError
        raise ZeroDivisionError

    await asyncio.gather(supervisor.start("line", mostly_good), return_exceptions=True)
    assert max(clock.waits) <= 1


async def test_a_disk_that_cannot_be_believed_ends_the_loop_and_so_the_agent(supervisor):
    async def failing():
        raise OutboxFault("the disk failed", where="outbox", hint="Replace it.")

    with pytest.raises(OutboxFault):
        await supervisor.start("outbox", failing)


async def test_the_service_manager_hears_nothing_while_a_loop_stands_still(supervisor, clock, monkeypatch, caplog):
    heard = []
    monkeypatch.setattr(room, "notify", lambda state: heard.append(clock.elapsed))
    supervisor.heart("line cems").expect(30)
    sleep, turns = clock.sleep, 0

    async def turn(seconds):
        nonlocal turns
        await sleep(seconds)
        turns += 1
        if turns == 9:
            supervisor.heart("line cems").expect(1000)
        if turns == 14:
            raise asyncio.CancelledError

    monkeypatch.setattr(clock, "sleep", turn)
    with pytest.raises(asyncio.CancelledError):
        await supervisor.feed_watchdog(10)
    assert heard == [0, 10, 20, 30, 90, 100, 110, 120, 130]
    assert "line cems" in caplog.text


async def test_what_must_answer_stands_still_while_it_does_not(supervisor, clock):
    heart, late = supervisor.heart("outbox"), []

    async def answers():
        late.append(heart.late)
        if len(late) == 3:
            clock.elapsed += 10.5  # it hangs
            late.append(heart.late)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await supervisor.ask("outbox", 10, answers)
    assert late == [False, False, False, True]


async def test_a_loop_that_swallows_a_cancellation_is_cancelled_again():
    swallowed = 0

    async def stubborn():
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 2:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancelled([task])
    assert task.cancelled()


async def test_a_loop_that_never_ends_is_waited_for_only_so_long():
    release = asyncio.Event()

    async def endless():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(endless())
    await asyncio.sleep(0)
    await cancelled([task], 0.3)
    assert not task.done()
    release.set()
    await task
