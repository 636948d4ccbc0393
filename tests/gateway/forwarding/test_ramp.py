"""How much backfill may be on its way."""

from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.forwarding.ramp import LEAST, QUICK, SLOW, Ramp

FULL = 60_000
acks = st.lists(st.tuples(st.floats(0, 60), st.integers(1, FULL)), max_size=50)


@given(acks, st.integers(LEAST, 10**6))
def test_it_stays_between_its_bounds_whatever_comes(told, most):
    ramp = Ramp(most)
    for seconds, size in told:
        ramp.acknowledged(seconds, size)
        assert LEAST <= ramp.allowed <= most


def test_on_a_quick_link_it_comes_to_the_whole_share_within_a_few_packs():
    ramp = Ramp(3 * FULL)
    count = 0
    while ramp.allowed < 3 * FULL:
        ramp.acknowledged(QUICK / 10, min(FULL, ramp.allowed))
        count += 1
    assert count <= 6


def test_a_link_of_two_kilobytes_a_second_keeps_to_small_packs():
    ramp = Ramp(3 * FULL)
    for _ in range(50):
        ramp.acknowledged(min(FULL, ramp.allowed) / 2_000, min(FULL, ramp.allowed))
    assert ramp.allowed / 2_000 < 12, "less than what the watch on a dead link waits for"


def test_slow_acknowledgements_halve_it_down_to_the_least():
    ramp = Ramp(3 * FULL, 3 * FULL)
    ramp.acknowledged(SLOW + 1, FULL)
    assert ramp.allowed == 1.5 * FULL
    for _ in range(20):
        ramp.acknowledged(SLOW + 1, FULL)
    assert ramp.allowed == LEAST


def test_half_of_an_odd_allowance_is_whole_bytes():
    ramp = Ramp(3 * FULL, 2 * FULL + 1)
    ramp.acknowledged(SLOW + 1, FULL)
    assert ramp.allowed == FULL


def test_a_small_message_that_was_quick_opens_no_door_for_large_ones():
    ramp = Ramp(3 * FULL)
    for _ in range(50):
        ramp.acknowledged(0.01, 300)
    assert ramp.allowed == LEAST


def test_one_message_may_always_go_and_more_only_as_far_as_is_allowed():
    ramp = Ramp(FULL)
    assert ramp.admits(0, FULL)
    assert ramp.admits(LEAST - 10, 10)
    assert not ramp.admits(LEAST - 10, 11)


def test_what_is_allowed_doubles_but_never_beyond_eight_times_what_was_quick():
    ramp, seen = Ramp(3 * FULL), []
    for seconds, size in [(0.1, 8_000), (0.1, 1_500), (0.1, 3_000), (QUICK, FULL), (SLOW, FULL), (SLOW + 0.1, 100)]:
        ramp.acknowledged(seconds, size)
        seen.append(ramp.allowed)
    assert seen == [16_000, 16_000, 24_000, 24_000, 24_000, 12_000]
