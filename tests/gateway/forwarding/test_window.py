"""When a link is dead, by what waits for its PUBACK."""

import pytest

from parkgate.gateway.forwarding.lanes import Lane, Message
from parkgate.gateway.forwarding.window import LONGEST_STUCK, STUCK, Flying

MESSAGE, OTHER = Message(Lane.LIVE, "m", b"m"), Message(Lane.LIVE, "o", b"o")


def test_a_puback_gives_its_message_and_the_seconds_it_took_once():
    flying = Flying()
    flying.add(7, MESSAGE, 100.25)
    flying.add(8, OTHER, 100.5)
    assert (len(flying), list(flying)) == (2, [MESSAGE, OTHER])
    assert flying.acknowledged(7, 101.75) == (MESSAGE, 1.5)
    assert flying.acknowledged(7, 101.75) is None
    assert (len(flying), list(flying)) == (1, [OTHER])


@pytest.mark.parametrize("start", [0.5, 100.25, 1e6])
def test_no_puback_at_all_for_long_is_a_dead_link(start):
    flying = Flying()
    assert flying.stuck(start + 1_000) is None
    flying.add(1, MESSAGE, start)
    flying.add(2, OTHER, start + 5)
    assert flying.stuck(start) is None
    assert flying.stuck(start + STUCK) is None
    assert flying.stuck(start + STUCK + 0.5) == STUCK


@pytest.mark.parametrize("start", [0.5, 100.25, 1e6])
def test_one_message_without_its_puback_is_waited_for_longer_while_others_have_theirs(start):
    flying = Flying()
    flying.add(1, MESSAGE, start)
    for second in range(int(LONGEST_STUCK) + 1):
        assert flying.stuck(start + second) is None
        flying.add(2, OTHER, start + second)
        flying.acknowledged(2, start + second)
    assert flying.stuck(start + LONGEST_STUCK) is None
    assert flying.stuck(start + LONGEST_STUCK + 0.5) == LONGEST_STUCK


def test_the_seconds_of_a_dead_link_begin_with_what_was_sent_and_not_with_an_older_puback():
    flying = Flying()
    flying.add(1, MESSAGE, 100.0)
    flying.acknowledged(1, 101.0)
    flying.add(2, OTHER, 500.0)
    assert flying.stuck(511.0) is None
    assert flying.stuck(512.1) == STUCK


def test_a_slow_link_that_acknowledges_late_but_steadily_is_never_dead():
    flying = Flying()
    for packet_id in range(1, 5):
        flying.add(packet_id, MESSAGE, 0.0)
    for packet_id in range(1, 1000):
        now = packet_id * (STUCK - 0.1)
        assert flying.stuck(now) is None
        assert flying.acknowledged(packet_id, now)
        flying.add(packet_id + 4, MESSAGE, now)
