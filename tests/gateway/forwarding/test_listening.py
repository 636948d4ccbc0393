"""A late will must not have the last word."""

import json

import pytest

from parkgate.gateway.forwarding.listening import Listening

OURS = 7


class Publisher:
    """Notes what is subscribed to."""

    def __init__(self):
        self.subscribed = []

    def subscribe(self, topic, heard, answered):
        self.subscribed.append((topic, heard, answered))


def listening(said, *, wanted=True):
    return Listening("s", OURS, lambda: said.append("online"), wanted=wanted)


@pytest.mark.parametrize(
    ("state", "connection", "contradicted"),
    [
        ("offline", OURS - 1, True),
        ("offline", OURS, True),
        ("offline", OURS + 1, False),
        ("online", OURS - 1, False),
        ("online", OURS, False),
    ],
)
def test_offline_of_this_connection_or_an_older_one_is_contradicted(state, connection, contradicted):
    said, publisher = [], Publisher()
    listening(said).begin(publisher)
    ((topic, heard, _),) = publisher.subscribed
    heard(json.dumps({"state": state, "connection": connection}).encode())
    assert topic == "s"
    assert said == (["online"] if contradicted else [])


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[]", b"null", b'{"state":"offline"}', b'{"state":"offline","connection":"x"}']
)
def test_what_is_no_status_of_ours_says_nothing(payload):
    said, publisher = [], Publisher()
    listening(said).begin(publisher)
    publisher.subscribed[0][1](payload)
    assert said == []


def test_it_is_asked_for_once_and_remembered_while_there_is_no_answer():
    publisher, ear = Publisher(), listening([])
    assert not ear.unanswered
    ear.begin(publisher)
    ear.begin(publisher)
    assert ear.unanswered
    ((_, _, answered),) = publisher.subscribed
    answered()
    assert not ear.unanswered


def test_where_it_is_not_wanted_nothing_is_asked_for():
    publisher, ear = Publisher(), listening([], wanted=False)
    ear.begin(publisher)
    assert publisher.subscribed == []
    assert not ear.unanswered
