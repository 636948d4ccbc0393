"""The agent's time: marks, steps that are told, and what outlives a stop."""

import asyncio
from types import SimpleNamespace

import pytest

from parkgate.gateway import clock as room
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.timekeeper import KEEP, AgentTime
from parkgate.gateway.timekeeping import RELEASED

DAY = 86_400_000
NOW = RELEASED + 300 * DAY


class Stepped:
    def __init__(self, wall):
        self.wall = wall
        self.mono = 0.0
        self.looks = 0

    def now(self):
        return self.wall

    def monotonic(self):
        return self.mono

    def synchronised(self):
        return None

    async def sleep(self, seconds):
        self.looks += 1
        self.go(seconds)
        await asyncio.sleep(0)
        if self.looks > 400:
            raise asyncio.CancelledError

    def go(self, seconds, step=0):
        self.mono += seconds
        self.wall += round(seconds * 1000) + step


@pytest.fixture
def told():
    return []


def time_of(tmp_path, clock, told):
    return AgentTime(clock, tmp_path / "clock", lambda *event: told.append(event))


def test_a_step_is_told_before_the_reading_that_is_stamped_behind_it(tmp_path, told):
    clock = Stepped(5_000)
    time = time_of(tmp_path, clock, told)
    assert time.unsynced(clock.now())
    clock.go(1, step=NOW)
    assert told == []
    assert not time.unsynced(clock.now())
    assert told == [("clock-set", NOW)]


def test_a_stamp_that_is_the_instruments_own_needs_no_mark(tmp_path, told):
    clock = Stepped(5_000)
    time = time_of(tmp_path, clock, told)
    assert not time.unsynced(NOW)
    assert time.unsynced(clock.now() - 1_000)


def test_a_stamp_that_was_taken_just_before_the_clock_was_set_is_marked_all_the_same(tmp_path, told):
    clock = Stepped(5_000)
    time = time_of(tmp_path, clock, told)
    clock.go(1)
    stamp = clock.now()
    clock.go(0.3, step=NOW)
    assert time.unsynced(stamp)
    assert told == [("clock-set", NOW)]
    assert not time.unsynced(clock.now())


def test_a_stamp_that_was_taken_just_before_a_leap_is_not_marked_and_the_next_is(tmp_path, told):
    clock = Stepped(NOW)
    time = time_of(tmp_path, clock, told)
    clock.go(1)
    stamp = clock.now()
    clock.go(0.3, step=3650 * DAY)
    assert not time.unsynced(stamp)
    assert time.unsynced(clock.now())
    stamp = clock.now()
    clock.go(0.3, step=-3650 * DAY)
    assert time.unsynced(stamp)
    assert not time.unsynced(clock.now())
    assert told == [("clock-stepped", 3650 * DAY), ("clock-set", -3650 * DAY)]


async def test_the_latest_believed_time_outlives_a_stop_and_is_written_seldom(tmp_path, told):
    clock = Stepped(NOW)
    time = time_of(tmp_path, clock, told)
    with pytest.raises(asyncio.CancelledError):
        await time.run()
    kept = int((tmp_path / "clock").read_text())
    assert NOW < kept <= clock.now()
    assert clock.now() - kept <= KEEP * 1000
    assert time_of(tmp_path, Stepped(NOW), told).unsynced(NOW), "it wakes before what is known"


def test_a_file_that_says_nothing_is_as_none(tmp_path, told):
    (tmp_path / "clock").write_text("nothing")
    assert not time_of(tmp_path, Stepped(NOW), told).unsynced(NOW)


def test_a_disk_that_takes_nothing_stops_no_clock(tmp_path, told):
    time = AgentTime(Stepped(NOW), tmp_path / "gone" / "clock", lambda *_: None)
    time.keep()
    assert time.trusted() == NOW


@pytest.mark.parametrize(("state", "in_step"), [(0, True), (5, False), (-1, None)])
def test_the_kernel_is_asked_whether_its_clock_is_synchronised(monkeypatch, state, in_step):
    monkeypatch.setattr(room.ctypes, "CDLL", lambda _: SimpleNamespace(adjtimex=lambda _: state))
    assert SystemClock().synchronised() is in_step
