"""The time of a reading that may say nothing new."""

from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import T0

from parkgate.drivers.opcua.present import APART, Present

HOUR = 3_600_000


def test_a_reading_that_says_nothing_new_is_of_the_present_by_its_own_clock():
    present = Present()
    assert present.read(T0 - 5_000, T0) == T0 - 5_000
    assert [present.read(T0 - 5_000, T0 + behind) for behind in (5_000, HOUR)] == [T0, T0 + HOUR - 5_000]


def test_what_is_new_has_its_own_time_and_stands_at_present_however_late_it_came():
    present = Present()
    present.read(T0, T0)
    assert present.read(T0 + HOUR - 10 * APART, T0 + HOUR) == T0 + HOUR - 10 * APART, "a sample of ten minutes ago"
    assert present.read(T0 + HOUR - 10 * APART, T0 + HOUR + 1) == T0 + HOUR + 1


def test_a_first_reading_that_is_old_is_of_the_present_and_one_of_the_future_stays_there():
    assert Present().read(T0 - HOUR, T0) == T0
    assert Present().read(T0 - APART, T0) == T0 - APART
    assert Present().read(T0 + HOUR, T0) == T0 + HOUR


def test_our_own_clock_that_is_set_moves_no_time_into_the_future():
    present = Present()
    assert present.read(T0, 5_000) == T0, "a gateway that woke up in 1970"
    assert present.read(T0, T0 + 9_000) == T0 + 9_000


def test_an_instrument_whose_clock_was_ahead_and_is_set_right_is_of_its_right_time_again():
    present = Present()
    assert present.read(T0 + HOUR, T0) == T0 + HOUR
    right = [present.read(T0 + 1_000 * n, T0 + 1_000 * n + 20) for n in range(1, 5)]
    assert right == [T0 + 1_000 * n for n in range(1, 5)]
    assert present.of(T0 + 9_020) == T0 + 9_000, "and what it repeats stands now"


@given(st.lists(st.tuples(st.integers(0, 10_000), st.booleans()), max_size=20), st.integers(-APART, HOUR))
def test_readings_by_a_clock_that_is_not_ours_go_forward_with_it(turns, apart):
    present, now, source, before = Present(), T0, T0 + apart, 0
    for passed, new in turns:
        now += passed
        source = now + apart if new else source
        at = present.read(source, now)
        assert source <= at <= max(now, now + apart)
        assert new or at >= before
        before = at
