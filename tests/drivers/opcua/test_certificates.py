"""The certificate files of a gateway: made once, kept from others, and what a certificate says."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from support.opcua_secured import OURS, SERVER, Shown, gateway

from parkgate.config.site import Gateway
from parkgate.drivers.application import Application
from parkgate.drivers.opcua import certificates
from parkgate.drivers.opcua.certificates import BEGINS, ENDS, facts

SHOWN = Shown()
DER = SHOWN.certificate.public_bytes(serialization.Encoding.DER)


def renamed(application):
    return Application("urn:parkgate:xuwei:gw-02", "Parkgate xuwei/gw-02", application.folder)


def test_the_application_is_named_after_the_gateway_and_keeps_its_files_in_its_data(tmp_path):
    made = Application.of(Gateway(site="xuwei", id="gw-01", data=tmp_path))
    assert (made.uri, made.name) == ("urn:parkgate:xuwei:gw-01", "Parkgate xuwei/gw-01")
    assert (made.certificate, made.key) == (tmp_path / "opcua/own.der", tmp_path / "opcua/own.key")


def test_a_key_that_only_the_agent_can_read_and_a_certificate_are_made_once_however_many_lines_ask(tmp_path):
    new = Application.of(Gateway(site="xuwei", id="gw-01", data=tmp_path / "data"))
    with ThreadPoolExecutor(4) as lines:
        pairs = list(lines.map(lambda _: certificates.own(new, "gw-01.local"), range(4)))
    assert len({certificate for certificate, _ in pairs}) == 1
    assert pairs[0][1].key_size == 2048
    assert stat.S_IMODE(new.key.stat().st_mode) == 0o600
    assert sorted(each.name for each in new.folder.iterdir()) == ["own.der", "own.key"]
    assert new.certificate.read_bytes() == pairs[0][0].public_bytes(serialization.Encoding.DER)


def test_our_certificate_says_what_opc_ua_wants_of_a_client_and_is_valid_whatever_the_clock_says(tmp_path):
    certificate, key = certificates.own(gateway(tmp_path), "gw-01.local")
    said = facts(certificate)
    assert (said.uris, said.hosts) == (("urn:parkgate:xuwei:gw-01",), ("gw-01.local",))
    assert (said.begins, said.ends, said.bits, said.serves) == (BEGINS, ENDS, 2048, False)
    assert said.subject == said.issuer == "CN=Parkgate xuwei/gw-01"
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.content_commitment
    assert usage.key_encipherment
    assert usage.data_encipherment
    client = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(client) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(certificate)


def test_a_gateway_that_is_renamed_gets_another_certificate_of_the_same_key(tmp_path):
    before, key = certificates.own(gateway(tmp_path), "h")
    after, same = certificates.own(renamed(gateway(tmp_path)), "h")
    assert after != before
    assert facts(after).uris == ("urn:parkgate:xuwei:gw-02",)
    assert same.private_numbers() == key.private_numbers()


def test_another_host_name_makes_no_other_certificate_since_servers_know_this_one(tmp_path):
    assert certificates.own(gateway(tmp_path), "h")[0] == certificates.own(gateway(tmp_path), "other")[0]


def test_a_certificate_of_another_key_is_made_again(tmp_path):
    own = gateway(tmp_path)
    before, _ = certificates.own(own, "h")
    own.key.write_bytes(SHOWN.pem)
    after, _ = certificates.own(own, "h")
    assert after.public_key() == SHOWN.key.public_key() != before.public_key()


@pytest.mark.parametrize("name", ["own.key", "own.der"])
def test_a_damaged_file_of_ours_is_never_written_over(tmp_path, name):
    own = gateway(tmp_path)
    certificates.own(own, "h")
    (own.folder / name).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"."):
        certificates.own(own, "h")
    assert (own.folder / name).read_bytes() == b"damaged"


def test_what_is_trusted_is_replaced_and_removed_by_line(tmp_path):
    own = gateway(tmp_path)
    assert certificates.pinned(own, "dcs") is None
    assert not certificates.unpin(own, "dcs")
    certificates.pin(own, "dcs", SHOWN.certificate)
    certificates.pin(own, "dcs", OURS.certificate)
    assert certificates.pinned(own, "dcs") == OURS.facts
    assert certificates.pinned(own, "mirror") is None
    assert certificates.unpin(own, "dcs")
    assert certificates.pinned(own, "dcs") is None


@pytest.mark.root
def test_what_root_makes_belongs_to_whom_the_data_folder_belongs(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 12_345, 12_346)
    own = gateway(data)
    os.chown(own.folder, 12_345, 12_346)
    own.key.unlink()
    certificates.own(own, "h")
    certificates.pin(own, "dcs", SHOWN.certificate)
    made = [own.key, own.certificate, own.trusted, own.trusted / "dcs.der"]
    assert {(each.stat().st_uid, each.stat().st_gid) for each in made} == {(12_345, 12_346)}


def test_a_certificate_is_read_as_pem_as_der_and_as_the_first_of_a_chain():
    pem = SHOWN.certificate.public_bytes(serialization.Encoding.PEM)
    chain = DER + OURS.certificate.public_bytes(serialization.Encoding.DER)
    assert [certificates.certificate(each) for each in (DER, pem, b"\n" + pem, chain)] == [SHOWN.certificate] * 4


@pytest.mark.parametrize("content", [b"", b"\x30\x82", DER[:-1], DER[:100] + b"\0" * 200, b"-----BEGIN nothing"])
def test_what_is_no_certificate_is_a_value_error(content):
    with pytest.raises(ValueError, match=r"."):
        facts(certificates.certificate(content))


def test_a_key_with_a_password_or_of_another_kind_is_a_value_error():
    form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    closed = OURS.key.private_bytes(encoding, form, serialization.BestAvailableEncryption(b"secret"))
    for content in (closed, b"", b"nothing"):
        with pytest.raises(ValueError, match=r"."):
            certificates.private_key(content)
    der = OURS.key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    assert certificates.private_key(der).private_numbers() == OURS.key.private_numbers()


def test_a_certificate_says_who_it_is_for_and_until_when():
    said = SHOWN.facts
    assert (said.subject, said.uris, said.hosts, said.serves, said.bits) == (
        "CN=test server", (SERVER,), ("127.0.0.1",), True, 2048,
    )  # fmt: skip
    assert (len(said.fingerprint), len(said.thumbprint)) == (64, 40)
    assert said.ends - said.begins == timedelta(hours=2)
