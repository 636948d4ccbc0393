from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.certificates import Authority

from parkgate.config.site import Secret, Uplink
from parkgate.gateway.forwarding.credentials import Door, read_password
from parkgate.gateway.forwarding.refusals import Misconfigured

WHERE = 'uplink "park" (broker:8883)'


def uplink(**files):
    return Uplink(name="park", url="mqtts://broker", **files)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1))
def test_a_password_file_gives_back_what_was_written_with_or_without_a_last_newline(tmp_path_factory, password):
    file = tmp_path_factory.mktemp("secret") / "password"
    for ending in ("", "\n", "\r\n"):
        file.write_bytes((password + ending).encode())
        assert read_password(Secret(file=file), where=WHERE) == password


def test_only_one_newline_is_dropped_and_spaces_are_part_of_the_password(tmp_path):
    file = tmp_path / "password"
    file.write_bytes(b" se cret \n\n")
    assert read_password(Secret(file=file), where=WHERE) == " se cret \n"


def test_a_renewed_password_is_read_the_next_time(tmp_path):
    file = tmp_path / "password"
    file.write_text("old")
    secret = Secret(file=file)
    assert read_password(secret, where=WHERE) == "old"
    file.write_text("new")
    assert read_password(secret, where=WHERE) == "new"


def test_a_credential_is_read_from_where_systemd_puts_it(tmp_path, monkeypatch):
    (tmp_path / "park-password").write_text("secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_password(Secret(credential="park-password"), where=WHERE) == "secret"


def test_a_password_can_stand_in_the_environment(monkeypatch):
    monkeypatch.setenv("PARK_PASSWORD", "secret")
    assert read_password(Secret(env="PARK_PASSWORD"), where=WHERE) == "secret"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (Secret(file="/nowhere/password"), ("/nowhere/password", "No such file", "readable by the agent")),
        (Secret(env="PARK_PASSWORD"), ("PARK_PASSWORD", "not set", "Environment=")),
        (Secret(credential="park-password"), ("park-password", "not started with credentials", "LoadCredential=")),
    ],
)
def test_a_missing_password_says_which_and_where_to_put_it(secret, words, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("PARK_PASSWORD", raising=False)
    with pytest.raises(Misconfigured) as caught:
        read_password(secret, where=WHERE)
    assert all(word in str(caught.value) for word in (WHERE, *words))


def test_a_credential_that_systemd_was_not_told_of_names_the_line_to_add(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(Misconfigured, match="LoadCredential=park-password:"):
        read_password(Secret(credential="park-password"), where=WHERE)


def test_a_password_that_is_not_text_is_refused(tmp_path):
    file = tmp_path / "password"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="UTF-8"):
        read_password(Secret(file=file), where=WHERE)


def test_tls_is_at_least_1_2_and_checks_certificate_and_name():
    context = Door(uplink()).context(where=WHERE)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_with_a_ca_nothing_else_is_trusted(tmp_path):
    authority = Authority(tmp_path, "ca")
    context = Door(uplink(ca=authority.file)).context(where=WHERE)
    assert [dict(item[0] for item in each["subject"])["commonName"] for each in context.get_ca_certs()] == ["ca"]


@pytest.mark.parametrize("wrong", ["missing", "not PEM", "another's key"])
def test_certificates_that_cannot_be_used_are_said_before_anything_is_sent(tmp_path, wrong):
    authority = Authority(tmp_path, "ca")
    cert, key = authority.issue("client")
    _, other = authority.issue("other")
    (tmp_path / "text").write_text("no certificate")
    files = {
        "missing": {"ca": tmp_path / "nowhere.pem"},
        "not PEM": {"ca": tmp_path / "text"},
        "another's key": {"ca": authority.file, "cert": cert, "key": other},
    }[wrong]
    with pytest.raises(Misconfigured, match="certificates of the uplink"):
        Door(uplink(**files)).context(where=WHERE)
    assert Door(uplink(ca=authority.file, cert=cert, key=key)).context(where=WHERE)
