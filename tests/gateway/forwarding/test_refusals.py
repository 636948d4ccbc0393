from __future__ import annotations

import random
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.drivers.faults import Fault
from parkgate.gateway.backoff import next_delay
from parkgate.gateway.forwarding import refusals
from parkgate.gateway.forwarding.refusals import (
    Busy,
    HungUp,
    LinkLost,
    Misconfigured,
    NotAdmitted,
    NotReached,
    NotTrusted,
    TakenOver,
    UplinkFault,
    VersionRefused,
    WillRefused,
    dismissed,
    hung_up,
    refused,
    unreachable,
)

PLACE = {"where": 'uplink "park" (broker:8883)', "client_id": "xuwei-gw-01"}


@given(st.integers(0x80, 0xFF), st.text(max_size=20), st.sampled_from([refused, dismissed]))
def test_every_code_becomes_a_fault_that_says_what_where_and_what_to_do(code, name, sort):
    fault = sort(code, name, **PLACE)
    assert isinstance(fault, Fault)
    assert fault.code == code
    assert fault.what
    assert str(fault).startswith('uplink "park" (broker:8883): ')
    assert fault.hint.endswith(".")


@given(st.integers(0x80, 0xFF))
def test_a_refusal_never_passes_for_a_lost_link_nor_a_dismissal_for_a_broker_out_of_reach(code):
    assert not isinstance(refused(code, "x", **PLACE), LinkLost)
    assert not isinstance(dismissed(code, "x", **PLACE), NotReached | VersionRefused | WillRefused)


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (ConnectionRefusedError(111, "Connection refused"), NotReached, "port 8883"),
        (socket.gaierror(-2, "Name or service not known"), NotReached, '"broker"'),
        (OSError(113, "No route to host"), NotReached, "No route to host"),
        (TimeoutError("timed out"), NotReached, "timed out"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), NotReached, "EOF"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), NotTrusted, "wrong version number"),
    ],
)
def test_what_dns_tcp_and_tls_say_is_sorted_by_what_to_do_next(error, kind, word):
    fault = unreachable(error, where="uplink", host="broker", port=8883)
    assert type(fault) is kind
    assert word in fault.what


@pytest.mark.parametrize(
    ("code", "word"), [(9, "clock"), (10, "clock"), (62, "name"), (64, "name"), (18, "ca of the uplink"), (20, "ca of")]
)
def test_a_bad_certificate_tells_what_to_look_at_first(code, word):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "because"
    fault = unreachable(error, where="uplink", host="broker", port=8883)
    assert type(fault) is NotTrusted
    assert "because" in fault.what
    assert word in fault.hint


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, HungUp),
        (ConnectionResetError(104, "reset"), HungUp),
        (ssl.SSLEOFError(8, "EOF"), HungUp),
        (ssl.SSLError(1, "alert certificate required"), NotTrusted),
    ],
)
def test_a_close_before_connack_is_a_tls_matter_only_if_tls_said_so(error, kind, tls):
    fault = hung_up(error, where="uplink", port=8883, tls=tls)
    assert type(fault) is kind
    assert ("certificate" in fault.hint) == (tls or kind is NotTrusted)


def test_what_stays_wrong_until_somebody_acts_is_not_tried_within_a_minute():
    rng = random.Random(3)
    for kind in (NotAdmitted, TakenOver, NotTrusted, Misconfigured):
        waits = [next_delay(n, rng, base=kind.base, cap=kind.cap, floor=kind.floor) for n in range(200)]
        assert min(waits) >= 60
        assert max(waits) <= 600
        assert len(set(waits)) > 100  # spread, so that a fleet with one wrong password does not return at once


def test_a_busy_broker_is_left_alone_longer_than_a_broken_link():
    rng = random.Random(4)
    busy = [next_delay(3, rng, base=Busy.base, cap=Busy.cap, floor=Busy.floor) for _ in range(500)]
    lost = [next_delay(3, rng, base=LinkLost.base, cap=LinkLost.cap, floor=LinkLost.floor) for _ in range(500)]
    assert sum(busy) > 5 * sum(lost)


def test_no_fault_hurries_into_a_hot_loop():
    kinds = [kind for kind in vars(refusals).values() if isinstance(kind, type) and issubclass(kind, UplinkFault)]
    assert len(kinds) == 12
    assert all(kind.base > 0 and kind.cap >= kind.floor for kind in kinds)
