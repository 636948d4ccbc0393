"""Refused topics: passed over, but for their oldest message."""

from parkgate.gateway.forwarding.lanes import Lane, Message
from parkgate.gateway.forwarding.refused import Refused


def message(row, topic="data/a"):
    return Message(Lane.LIVE, topic, b"", (row,))


def test_other_topics_pass_and_of_a_refused_one_only_its_oldest_message():
    refused = Refused()
    first, second = message(1), message(2)
    assert refused.passes(first)
    refused.add(second)
    refused.add(first)
    assert "data/a" in refused
    assert refused.passes(first)
    assert not refused.passes(second)
    assert not refused.passes(message(3))
    assert refused.passes(message(3, "data/b"))
    assert refused.probes(()) == [first]
    assert refused.probes({"data/a"}) == []


def test_a_topic_is_tried_by_its_oldest_message_also_where_that_was_refused_first():
    refused = Refused()
    first, second = message(1), message(2)
    refused.add(first)
    refused.add(second)
    assert refused.probes(()) == [first]
    assert refused.passes(first)
    assert not refused.passes(second)


def test_once_it_is_taken_rows_that_were_passed_over_are_read_again():
    refused = Refused()
    probe = message(1)
    refused.add(probe)
    assert not refused.taken(message(1, "data/b"))
    assert not refused.passes(message(2))
    assert refused.taken(probe)
    assert not refused
    assert not refused.taken(probe)


def test_a_message_that_was_only_late_needs_no_reading_again():
    refused = Refused()
    probe = message(1)
    refused.add(probe)
    assert not refused.taken(probe)


def test_while_another_topic_is_refused_what_was_skipped_is_remembered():
    refused = Refused()
    one, other = message(1), message(2, "data/b")
    refused.add(one)
    refused.add(other)
    refused.passes(message(3))
    assert refused.taken(one)
    assert refused.taken(other)


def test_of_two_refused_messages_the_one_that_does_not_try_the_topic_is_read_again():
    refused = Refused()
    one, two = message(1), message(2)
    refused.add(one)
    refused.add(two)
    assert refused.taken(one)
