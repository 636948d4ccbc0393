"""Sleeping by the machine's clock: at least so long, together with whoever waits for the same moment, and in order."""

import asyncio
import time

import pytest

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands.run import loop_factory


class Counting:
    """A loop's `call_later`, counted."""

    def __init__(self, loop, monkeypatch):
        self.timers = 0
        self._real = loop.call_later
        monkeypatch.setattr(loop, "call_later", self, raising=True)

    def __call__(self, *given, **named):
        self.timers += 1
        return self._real(*given, **named)


async def test_who_waits_for_one_moment_is_woken_by_one_timer(monkeypatch):
    clock, counting = SystemClock(), Counting(asyncio.get_running_loop(), monkeypatch)
    moment = time.monotonic() + 0.05
    await asyncio.gather(*(clock.sleep(moment - time.monotonic()) for _ in range(100)))
    assert counting.timers < 20, "those of one moment share a timer; a few are set again for who came a moment later"


@pytest.mark.parametrize("factory", [loop_factory(), asyncio.new_event_loop])
def test_a_sleep_is_at_least_so_long_and_the_shorter_ends_first(factory):
    async def sleep(clock, seconds, ended):
        began = time.monotonic()
        await clock.sleep(seconds)
        ended.append((seconds, time.monotonic() - began))

    async def all_of_them():
        clock, ended = SystemClock(), []
        await asyncio.gather(*(sleep(clock, each / 1000, ended) for each in (30, 7, 19, 0, 2, -1, 11)))
        return ended

    with asyncio.Runner(loop_factory=factory) as runner:
        ended = runner.run(all_of_them())
    assert [seconds for seconds, _ in ended] == [0, -0.001, 0.002, 0.007, 0.011, 0.019, 0.03]
    assert all(took >= seconds for seconds, took in ended)


async def test_one_that_is_cancelled_leaves_the_others_asleep():
    clock = SystemClock()
    first, second = asyncio.create_task(clock.sleep(0.01)), asyncio.create_task(clock.sleep(0.03))
    await asyncio.sleep(0)
    first.cancel()
    began = time.monotonic()
    await second
    assert first.cancelled()
    assert time.monotonic() - began >= 0.02


def test_a_clock_goes_on_in_another_loop():
    clock = SystemClock()

    async def given_up():
        sleeping = asyncio.create_task(clock.sleep(60))
        await asyncio.sleep(0)
        sleeping.cancel()

    asyncio.run(given_up())
    asyncio.run(asyncio.wait_for(clock.sleep(0.01), 5))
