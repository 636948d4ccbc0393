from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.backoff import next_delay

attempts = st.integers(min_value=-3, max_value=10**9)
seconds = st.floats(min_value=0, max_value=1e6)


@given(attempts, seconds, seconds, seconds, st.integers())
def test_a_delay_is_never_below_its_floor_nor_above_the_larger_of_floor_and_cap(attempt, base, cap, floor, seed):
    delay = next_delay(attempt, random.Random(seed), base=base, cap=cap, floor=floor)
    assert floor <= delay <= max(floor, cap)


@given(st.integers(0, 40), st.floats(0.01, 100), st.integers())
def test_the_ceiling_doubles_with_each_attempt_until_the_cap(attempt, base, seed):
    delay = next_delay(attempt, random.Random(seed), base=base, cap=1e30)
    fraction = random.Random(seed).uniform(0, 1)
    assert delay == pytest.approx(fraction * base * 2**attempt)


def test_the_same_seed_gives_the_same_delays():
    first = [next_delay(n, random.Random(7)) for n in range(10)]
    assert first == [next_delay(n, random.Random(7)) for n in range(10)]
    assert len(set(first)) > 1


def test_delays_are_spread_evenly_from_zero_so_that_a_fleet_does_not_return_at_once():
    rng = random.Random(1)
    delays = [next_delay(20, rng) for _ in range(10_000)]
    shares = [sum(low <= delay < low + 6 for delay in delays) / len(delays) for low in range(0, 60, 6)]
    assert statistics.mean(delays) == pytest.approx(30, rel=0.03)
    assert all(share == pytest.approx(0.1, rel=0.15) for share in shares)


def test_without_other_wishes_the_first_wait_is_at_most_a_second_and_the_longest_a_minute():
    rng = random.Random(2)
    assert max(next_delay(0, rng) for _ in range(1_000)) <= 1.0
    assert 59 < max(next_delay(99, rng) for _ in range(1_000)) <= 60.0
