"""When a clock is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.timekeeping import LEAP, RELEASED, STEP, Timekeeper, Told

HOUR, DAY, YEAR = 3_600_000, 86_400_000, 31_536_000_000
NOW = RELEASED + 300 * DAY


class Clocks:
    """A wall clock that a test steps and stops, beside one that goes on."""

    def __init__(self, wall, floor=0, **known):
        self.wall = wall
        self.mono = 50.0
        self.stopped = False
        self.keeper = Timekeeper(wall, self.mono, floor, **known)

    def go(self, seconds=1.0, step=0):
        self.mono += seconds
        self.wall += step + (0 if self.stopped else round(seconds * 1000))
        return self.keeper.look(self.wall, self.mono)

    @property
    def trusted(self):
        return self.keeper.trusted(self.mono)


def test_a_clock_that_goes_is_believed_and_nothing_is_told():
    clocks = Clocks(NOW)
    assert [clocks.go(10) for _ in range(5)] == [None] * 5
    assert clocks.keeper.known
    assert clocks.trusted == clocks.wall


@pytest.mark.parametrize("step", [-HOUR, HOUR, -STEP - 2, STEP + 2, 23 * HOUR])
def test_a_step_of_less_than_a_day_is_told_and_believed(step):
    clocks = Clocks(NOW)
    assert clocks.go(step=step) == Told("clock-stepped", step)
    assert clocks.keeper.known
    assert clocks.trusted == clocks.wall
    assert clocks.go() is None


def test_adjusting_the_speed_of_the_clock_is_no_step():
    clocks = Clocks(NOW)
    assert all(clocks.go(10, step=5) is None for _ in range(1000))
    assert clocks.trusted == clocks.wall


@pytest.mark.parametrize("leap", [10 * YEAR, -10 * YEAR])
def test_a_leap_of_years_is_told_and_not_believed_and_the_way_back_is(leap):
    clocks = Clocks(NOW)
    assert clocks.go(step=leap) == Told("clock-stepped", leap)
    for _ in range(10):
        assert clocks.go(3600) is None
        assert not clocks.keeper.known
    assert clocks.trusted == NOW + 36_001_000, "it went on with the monotonic clock"
    assert clocks.go(step=-leap) == Told("clock-set", -leap)
    assert clocks.keeper.known
    assert clocks.trusted == clocks.wall


def test_a_clock_of_1970_is_not_believed_until_it_is_set():
    clocks = Clocks(5_000, floor=NOW)
    assert not clocks.keeper.known
    assert clocks.go(60) is None
    assert clocks.trusted == NOW + 60_000
    step = NOW + DAY - clocks.wall
    assert clocks.go(step=step) == Told("clock-set", step)
    assert clocks.keeper.known


def test_a_clock_that_was_set_once_more_wrongly_is_still_not_believed():
    clocks = Clocks(5_000, floor=NOW)
    step = RELEASED - clocks.wall
    assert clocks.go(step=step) == Told("clock-stepped", step)
    assert not clocks.keeper.known


def test_a_clock_that_wakes_where_it_was_switched_off_is_not_believed_until_it_is_set_forward():
    clocks = Clocks(NOW - 60_000, floor=NOW)
    for _ in range(5):
        assert clocks.go(60) is None
        assert not clocks.keeper.known, "it stands a minute before what is known, however long it runs"
    assert clocks.go(step=3 * DAY).event == "clock-set"


def test_without_any_known_time_no_clock_before_this_version_is_believed():
    assert not Clocks(RELEASED - 1).keeper.known
    assert Clocks(RELEASED).keeper.known


def test_the_kernel_heals_what_a_wrong_clock_left_behind():
    clocks = Clocks(NOW, floor=NOW + 10 * YEAR)
    assert not clocks.keeper.known
    clocks.keeper.synchronised = True
    assert clocks.go().event == "clock-set"
    assert clocks.trusted == clocks.wall


def test_not_even_the_kernel_makes_1970_right():
    clocks = Clocks(5_000, synchronised=True)
    clocks.go()
    assert not clocks.keeper.known


def test_a_clock_that_stands_still_is_not_believed_and_is_told_as_one_step_when_it_goes_again():
    clocks = Clocks(NOW)
    clocks.stopped = True
    told = [clocks.go() for _ in range(30)]
    assert told[2:] == [None] * 28
    assert not clocks.keeper.known
    before = clocks.trusted
    clocks.stopped = False
    assert clocks.go() == Told("clock-set", -28_000)
    assert clocks.keeper.known
    assert abs(before - clocks.trusted) < 60_000


@pytest.mark.parametrize("apart", [0.001, 0.02, 0.1, 0.3, 0.5])
def test_a_clock_that_stands_still_is_noticed_however_often_it_is_looked_at(apart):
    clocks = Clocks(NOW)
    clocks.stopped = True
    begun = clocks.mono
    told = []
    while clocks.mono < begun + 60:
        told.append(clocks.go(apart))
        if clocks.mono >= begun + 3:
            assert not clocks.keeper.known
    assert len([each for each in told if each]) == 2, "then it is known that these are no steps"
    clocks.stopped = False
    told += [clocks.go(apart) for _ in range(round(3 / apart))]
    assert clocks.keeper.known
    assert [each.event for each in told if each] == ["clock-stepped", "clock-stepped", "clock-set"]
    assert abs(sum(each.offset for each in told if each) + 60_000) <= STEP + 600, "all of it, but what is below a step"


def test_steps_close_together_are_steps_while_the_clock_goes_between():
    clocks = Clocks(NOW)
    for step in (HOUR, -HOUR, HOUR, 2 * HOUR, -HOUR):
        assert clocks.go(0.1, step) == Told("clock-stepped", step)
        assert [clocks.go(0.1) for _ in range(3)] == [None] * 3
    assert clocks.keeper.known


@pytest.mark.parametrize("leap", [10 * YEAR, -300 * DAY + 1])
def test_what_the_kernel_said_before_a_leap_does_not_make_it_right(leap):
    clocks = Clocks(NOW, synchronised=True)
    assert clocks.go(step=leap) == Told("clock-stepped", leap)
    assert not clocks.keeper.known
    assert clocks.trusted == NOW + 1000
    clocks.keeper.synchronised = True
    assert clocks.go() == Told("clock-set", 0), "the stamps since the leap were right: nothing is to be added"
    assert clocks.trusted == clocks.wall


@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(-20 * YEAR, 20 * YEAR) | st.just(0)), max_size=40))
def test_trusted_time_never_leaps_while_the_kernel_says_nothing(turns):
    clocks = Clocks(NOW)
    for seconds, step in turns:
        before = clocks.trusted
        clocks.go(seconds, step)
        assert abs(clocks.trusted - before - seconds * 1000) <= LEAP + 1000


@pytest.mark.parametrize(("off", "absent"), [(HOUR, False), (DAY, False), (DAY + 1, True), (10 * YEAR, True)])
def test_behind_more_than_a_day_off_nothing_is_said_of_ages_before_the_start(off, absent):
    assert Clocks(NOW + off, floor=NOW).keeper.absent == absent


def test_a_clock_that_woke_up_in_1970_is_not_one_that_was_off_for_long():
    assert not Clocks(0, floor=NOW).keeper.absent
