"""Topic names within what every broker takes: at most 7 levels and 200 bytes, no characters that mean something."""

import re

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from parkgate.config.site import Level
from parkgate.gateway.messages.topics import MAX_BYTES, Topics

levels = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True)


def all_topics(topics, instrument, rev="0a1b2c3d"):
    return [
        topics.status,
        topics.meta(instrument),
        topics.meta(instrument, rev),
        topics.live("data", instrument),
        topics.live("event", ""),
        topics.backfill(instrument),
        topics.live("alarm", instrument),
        topics.alarms,
    ]


def test_they_are_the_contracts():
    assert all_topics(Topics.of("park", "xuwei", "gw-01"), "stack-1") == [
        "park/v1/xuwei/gw-01/status",
        "park/v1/xuwei/gw-01/meta/stack-1",
        "park/v1/xuwei/gw-01/meta/stack-1/0a1b2c3d",
        "park/v1/xuwei/gw-01/data/stack-1",
        "park/v1/xuwei/gw-01/event",
        "park/v1/xuwei/gw-01/backfill/stack-1",
        "park/v1/xuwei/gw-01/alarm/stack-1",
        "park/v1/xuwei/gw-01/alarms",
    ]


@given(levels, levels, levels, levels)
def test_whatever_a_site_file_allows_fits_every_broker(prefix, site, gateway, instrument):
    names = [TypeAdapter(Level).validate_python(each) for each in (prefix, site, gateway, instrument)]
    for topic in all_topics(Topics.of(*names[:3]), names[3]):
        assert len(topic.encode()) <= MAX_BYTES
        assert len(topic.split("/")) <= 7
        assert re.fullmatch(r"[A-Za-z0-9_/-]+", topic)


def test_the_longest_names_leave_room():
    longest = "x" * 32
    assert max(len(each) for each in all_topics(Topics.of(longest, longest, longest), longest)) == 148


@given(st.lists(levels, min_size=4, max_size=4, unique=True))
def test_no_two_kinds_or_instruments_share_a_topic(names):
    topics = Topics.of("park", "xuwei", "gw-01")
    every = [topic for each in names for topic in all_topics(topics, each)]
    shared = {topics.status, topics.live("event", ""), topics.alarms}
    own = [topic for topic in every if topic not in shared]
    assert len(own) == len(set(own)) == 5 * len(names)
