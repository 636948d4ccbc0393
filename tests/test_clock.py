"""A gateway's clock that is wrong, and is set: nothing is lost, nothing out of order, and every mark is right."""

import pytest
from chaos import clocks

pytestmark = pytest.mark.xdist_group("agents")


async def test_a_start_in_1970_collects_at_once_and_delivers_once_the_clock_is_set(tmp_path):
    seen = await clocks.woken_in_1970(tmp_path)
    assert seen.early == 0, "TLS was refused"
    assert "is not trusted" in seen.fault
    assert "Check this gateway's clock first" in seen.fault
    assert clocks.whole(seen)
    assert [event for event, _ in seen.events] == ["clock-set"]
    assert clocks.told_truly(seen), seen.events
    assert sum(each["ts"] < clocks.YEAR * 1000 for each in seen.arrived) >= 10
    assert clocks.marked_truly(seen, clocks.steps_of(seen))


async def test_a_clock_that_is_stepped_to_and_fro_loses_and_misorders_nothing(tmp_path):
    seen = await clocks.stepped(tmp_path)
    assert clocks.whole(seen)
    assert [event for event, _ in seen.events] == clocks.EVENTS
    assert clocks.told_truly(seen), seen.events
    steps = clocks.steps_of(seen)
    assert steps == sorted(steps), "`ts` follow the clock in the order of reading"
    assert clocks.marked_truly(seen, steps)
