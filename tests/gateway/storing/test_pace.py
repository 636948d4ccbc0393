"""When the outbox commits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.storing.pace import until_commit


@pytest.mark.parametrize(("now", "wait"), [(10.0, 0.4), (10.3, 0.1), (10.4, 1.0), (10.9, 0.5)])
def test_commits_stand_at_one_lag_behind_the_multiples_of_the_window(now, wait):
    assert until_commit(1.0, now, 0.5, queued=True) == pytest.approx(wait)


def test_the_first_record_after_a_pause_does_not_wait_for_the_window():
    assert until_commit(5.0, 10.4, math.inf, queued=True) == pytest.approx(0.1)
    assert until_commit(0.02, 10.4, math.inf, queued=True) == pytest.approx(0.02)
    assert until_commit(5.0, 10.4, 9.5, queued=True) == pytest.approx(5.0)
    assert until_commit(5.0, 10.4, math.inf, queued=False) == pytest.approx(5.0)


@pytest.mark.parametrize(("paused", "wait"), [(1.5, 1.0), (2.0, 1.0), (2.1, 0.1), (3.0, 0.1)])
def test_a_pause_is_what_lasts_longer_than_two_windows(paused, wait):
    assert until_commit(1.0, 10.4, paused, queued=True) == pytest.approx(wait)


@pytest.mark.parametrize(("window", "now", "wait"), [(0.5, 10.0, 0.2), (0.2, 10.01, 0.07), (5.0, 10.0, 0.4)])
def test_the_lag_is_a_part_of_a_short_window(window, now, wait):
    assert until_commit(window, now, 0.1, queued=True) == pytest.approx(wait)


@given(st.floats(0.01, 60), st.floats(0, 4e9), st.floats(0, 100), st.booleans())
def test_a_stopped_clock_asks_for_no_more_than_ten_commits_a_second_or_five_a_window(window, now, paused, queued):
    wait = until_commit(window, now, paused, queued=queued)
    assert min(0.1, 0.2 * window) <= wait <= window
