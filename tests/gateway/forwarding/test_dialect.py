from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.forwarding.dialect import NEWEST, Dialect
from parkgate.gateway.forwarding.refusals import (
    Busy,
    HungUp,
    LinkLost,
    NotAdmitted,
    NotReached,
    VersionRefused,
    WillRefused,
)


def fault(kind, code=None):
    return kind("what", where="where", hint="hint", code=code)


def after(*events, dialect=NEWEST):
    for event in events:
        dialect = dialect.after(event)
    return dialect


def test_a_new_broker_is_spoken_to_in_mqtt_5_with_a_retained_will_of_qos_1():
    assert Dialect(version=5, certain=False, will_qos=1, will_retain=True, hung_up=0) == NEWEST


def test_a_refused_version_is_remembered_over_connections():
    learnt = after(fault(VersionRefused, 0x84))
    assert learnt.version == 4
    assert after(None, fault(LinkLost), fault(NotReached), None, dialect=learnt).version == 4


def test_one_close_before_connack_changes_nothing_and_two_mean_mqtt_3_1_1():
    assert after(fault(HungUp)).version == 5
    assert after(fault(HungUp), fault(HungUp)).version == 4
    assert after(fault(HungUp), fault(NotReached), fault(HungUp)).version == 4


def test_closes_count_again_from_zero_after_an_accepted_connection():
    assert after(fault(HungUp), None, fault(HungUp)).version == 5


def test_a_version_that_was_only_guessed_is_doubted_once_per_connection():
    guessed = after(fault(HungUp), fault(HungUp))
    lost = after(None, fault(LinkLost), dialect=guessed)
    assert lost.version == 5
    assert after(fault(HungUp), dialect=lost).version == 4
    assert after(None, fault(HungUp), dialect=lost).version == 5


def test_a_broker_that_hangs_up_on_both_versions_is_tried_with_both_in_turn():
    versions, dialect = [], NEWEST
    for _ in range(6):
        versions.append(dialect.version)
        dialect = dialect.after(fault(HungUp))
    assert versions == [5, 5, 4, 4, 5, 5]


def test_a_refused_retained_will_is_sent_without_the_mark_and_a_refused_qos_with_0():
    assert after(fault(WillRefused, 0x9A)) == replace(NEWEST, will_retain=False)
    assert after(fault(WillRefused, 0x9B)) == replace(NEWEST, will_qos=0)
    both = after(fault(WillRefused, 0x9A), fault(WillRefused, 0x9B), None)
    assert (both.will_retain, both.will_qos) == (False, 0)


@pytest.mark.parametrize("kind", [Busy, LinkLost, NotAdmitted, NotReached])
def test_a_fault_that_says_nothing_of_the_language_changes_nothing(kind):
    assert after(fault(kind)) == NEWEST


events = st.sampled_from(
    [None, *(fault(kind) for kind in (HungUp, VersionRefused, NotReached, LinkLost)), fault(WillRefused, 0x9A)]
)


@given(st.lists(events, max_size=30))
def test_whatever_happens_it_stays_one_of_the_two_versions_and_a_will_of_qos_0_or_1(history):
    dialect = after(*history)
    assert dialect.version in {4, 5}
    assert dialect.will_qos in {0, 1}
    assert dialect.hung_up < 2
