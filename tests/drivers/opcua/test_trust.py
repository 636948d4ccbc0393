"""Whether a server's certificate is trusted, decided from what it says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.drivers.opcua.trust import Authority, Facts, doubt, grouped, remarks

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PRINT, OTHER = "AB" * 32, "CD" * 32
CA = Path("/etc/parkgate/ca.pem")


def facts(**more):
    about = {
        "fingerprint": PRINT, "thumbprint": "EF" * 20, "subject": "CN=server", "issuer": "CN=server",
        "begins": NOW - DAY, "ends": NOW + DAY, "uris": ("urn:plc",), "hosts": ("plc", "10.0.0.9"),
        "serves": True, "bits": 2048, **more,
    }  # fmt: skip
    return Facts(**about)


def asked(found, *, host="plc", uri="urn:plc", pinned=None, signed=None):
    return doubt(found, "dcs", host, uri, NOW, pinned, None if signed is None else Authority(CA, signed))


def test_a_fingerprint_is_written_in_groups_of_four():
    assert grouped("0123456789AB") == "0123 4567 89AB"


@given(st.booleans(), st.booleans(), st.sampled_from(["plc", "10.0.0.9", "other"]), st.sampled_from(["urn:plc", ""]))
def test_without_a_fingerprint_or_an_authority_nothing_is_trusted_whatever_it_says(expired, serves, host, uri):
    found = facts(ends=NOW - DAY if expired else NOW + DAY, serves=serves)
    for signed in (None, False):
        said = asked(found, host=host, uri=uri, signed=signed)
        assert said is not None
        assert grouped(PRINT) in said.what
        assert said.hint.endswith("parkgate trust SITE dcs")


@given(st.booleans(), st.booleans(), st.sampled_from([None, True, False]))
def test_a_fingerprint_that_was_compared_counts_whatever_the_dates_and_names_are(expired, serves, signed):
    found = facts(ends=NOW - DAY if expired else NOW + DAY, serves=serves)
    assert asked(found, host="other", uri="", pinned=PRINT, signed=signed) is None


def test_another_fingerprint_than_the_trusted_one_is_told_with_both():
    said = asked(facts(), pinned=OTHER)
    assert f"SHA-256 {grouped(PRINT)}, trusted is {grouped(OTHER)}" in said.what
    assert "If nobody renewed it, something else answers" in said.hint


def test_an_authority_vouches_for_a_renewed_certificate_too():
    assert asked(facts(), pinned=OTHER, signed=True) is None
    assert asked(facts(), pinned=OTHER, signed=False) is not None


@pytest.mark.parametrize(
    ("change", "asks", "words"),
    [
        ({"ends": NOW - DAY}, {}, "expired on 2026-02-28"),
        ({"begins": NOW + DAY}, {}, "valid from 2026-03-02 only, and it is 2026-03-01 here"),
        ({"serves": False}, {}, "not one for a server"),
        ({}, {"host": "other"}, "is for plc, 10.0.0.9, not for other"),
        ({}, {"uri": "urn:other"}, "is for urn:plc, not for urn:other"),
        ({"hosts": ()}, {}, "is for -, not for plc"),
    ],
)
def test_an_authority_counts_only_within_the_dates_and_for_the_server_that_was_asked(change, asks, words):
    said = asked(facts(**change), signed=True, **asks)
    assert words in said.what
    assert "parkgate trust SITE dcs" in said.hint
    assert words in remarks(facts(**change), asks.get("host", "plc"), asks.get("uri", "urn:plc"), NOW)[0]


@pytest.mark.parametrize("host", ["plc", "PLC", "10.0.0.9"])
def test_a_host_is_the_same_in_capitals_and_as_an_address(host):
    assert asked(facts(), host=host, signed=True) is None


def test_an_untrusted_certificate_that_expired_says_its_date():
    assert "expired on 2026-02-28 and is not trusted" in asked(facts(ends=NOW - DAY)).what


def test_an_authority_that_did_not_sign_is_named():
    assert f"no authority in {CA} vouches" in asked(facts(), signed=False).what


@pytest.mark.parametrize("bits", [0, 1024, 2047])
def test_a_weak_key_is_never_trusted(bits):
    assert "no RSA key of 2048 bits" in asked(facts(bits=bits), pinned=PRINT, signed=True).what
