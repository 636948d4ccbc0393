"""Time that jumps."""

import asyncio

import pytest
from support.virtual_loop import START, Deadlock, Inline, VirtualClock, run


def test_a_day_of_waiting_passes_at_once_and_in_order():
    async def main(loop):
        seen = []

        async def sleeper(seconds):
            await asyncio.sleep(seconds)
            seen.append((seconds, loop.time()))

        await asyncio.gather(*(sleeper(each) for each in (86_400, 1, 3_600)))
        return seen

    assert [round(at) for _, at in run(main)] == [1, 3_600, 86_400]


def test_waiting_for_what_never_comes_is_told():
    async def main(loop):
        await loop.create_future()

    with pytest.raises(Deadlock):
        run(main)


def test_a_wall_clock_is_stepped_and_stopped_and_the_other_goes_on():
    async def main(loop):
        clock = VirtualClock(loop)
        clock.step(-3_600_000)
        await clock.sleep(10)
        stepped = clock.now()
        clock.stop()
        await clock.sleep(10)
        return stepped, clock.now(), round(clock.monotonic())

    assert run(main) == (START + 10_000 - 3_600_000, START + 10_000 - 3_600_000, 20)


def test_what_an_executor_is_given_runs_in_the_loops_thread():
    async def main(loop):
        return await loop.run_in_executor(Inline(), lambda: asyncio.get_running_loop() is loop)

    assert run(main)
