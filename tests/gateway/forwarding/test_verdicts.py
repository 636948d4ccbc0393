"""What becomes of a message by its PUBACK: the table itself. Each row's fate in the outbox: test_forwarder.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.forwarding.verdicts import TOO_LARGE, VERDICTS, Verdict, verdict

D, T, Q, C = Verdict.DELIVERED, Verdict.RETRY, Verdict.QUARANTINE, Verdict.RECONNECT


@pytest.mark.parametrize(
    ("code", "fate"),
    [(0x00, D), (0x10, D), (0x80, T), (0x83, T), (0x87, T), (0x90, Q), (0x91, C), (0x95, Q), (0x97, T), (0x99, Q)],
)
def test_each_code_has_its_fate(code, fate):
    assert verdict(code, hold=False, rows=True) is fate


def test_nobody_listening_is_delivered_or_held_as_the_site_wants():
    assert verdict(0x10, hold=True, rows=True) is T
    assert verdict(0x10, hold=True, rows=False) is D


def test_what_carries_no_rows_is_never_quarantined():
    assert verdict(0x99, hold=False, rows=False) is T


@given(st.integers(0x80, 0xFF), st.booleans(), st.booleans())
def test_refused_is_never_taken_for_delivered(code, hold, rows):
    assert verdict(code, hold=hold, rows=rows) is not D


@given(st.integers(0x00, 0x7F), st.booleans())
def test_what_is_no_failure_is_delivered_whether_the_standard_knows_its_code_or_not(code, rows):
    assert verdict(code, hold=False, rows=rows) is D


def test_the_table_has_every_code_of_the_standard_and_the_one_that_is_ours():
    of_puback = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}  # MQTT 5, table 3-4
    assert set(VERDICTS) == of_puback | {TOO_LARGE}
