"""Signed and encrypted OPC UA lines against real servers: what is trusted, and what is never sent."""

import asyncio
import socket
from datetime import timedelta

import pytest
from asyncua import ua
from cryptography.x509.oid import ExtendedKeyUsageOID
from support.opcua_park import Wire, bare, instrument, point
from support.opcua_secured import HOUR, POLICIES, STRONG, Shown, Users, gateway, secure_line, secured

from parkgate.config.site import Secret
from parkgate.drivers.catalog import open_driver
from parkgate.drivers.faults import Unreachable, Unusable
from parkgate.drivers.opcua import certificates
from parkgate.drivers.opcua.driver import OpcUaDriver
from parkgate.drivers.opcua.trust import grouped

TANK = instrument(point("level"))
GOOD = Shown()
OTHER = Shown()
AUTHORITY = Shown(name="plant CA", ca=True)
USER = Shown(name="operator", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
PASSWORD = "pass-word-in-the-clear"


@pytest.fixture
def own(tmp_path):
    """This gateway, which trusts the good server on its line."""
    made = gateway(tmp_path)
    certificates.pin(made, "dcs", GOOD.certificate)
    return made


@pytest.fixture(autouse=True)
def the_library_says_nothing(caplog):
    yield
    assert [record for record in caplog.records if record.name.startswith("asyncua")] == []


async def read(line, application):
    async with OpcUaDriver(line, [TANK], lambda: 0, application) as opened:
        (snapshot,) = await opened.read(TANK)
    return snapshot.values


async def refusal(line, application):
    with pytest.raises(Unreachable) as caught:
        await read(line, application)
    return str(caught.value)


@pytest.fixture
def password(tmp_path):
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return Secret(file=file)


@pytest.mark.parametrize("security", list(POLICIES))
async def test_each_policy_and_mode_reads_and_is_what_the_server_sees(security, own):
    async with secured(GOOD) as park:
        async with open_driver(secure_line(park.url, security), [TANK], lambda: 0, own) as opened:
            (snapshot,) = await opened.read(TANK)
            (seen,) = park.server.bserver.clients
            policy = seen.processor._connection.security_policy
        assert snapshot.values == (2.5,)
    assert (policy.URI.rpartition("#")[2], policy.Mode.name) == tuple(security.split("/"))


async def test_a_server_that_nobody_trusted_is_refused_with_its_fingerprint_and_the_command(tmp_path):
    async with secured(GOOD) as park:
        said = await refusal(secure_line(park.url), gateway(tmp_path))
        assert park.sessions == 0
    assert grouped(GOOD.facts.fingerprint) in said
    assert "not trusted" in said
    assert "display, then: parkgate trust SITE dcs" in said


async def test_trust_given_to_one_line_is_none_for_another(own):
    async with secured(GOOD) as park:
        said = await refusal(secure_line(park.url).model_copy(update={"name": "mirror"}), own)
    assert "parkgate trust SITE mirror" in said


async def test_a_renewed_certificate_is_refused_with_both_fingerprints_and_read_once_it_is_trusted(own):
    async with secured(OTHER) as park:
        said = await refusal(secure_line(park.url), own)
        certificates.pin(own, "dcs", OTHER.certificate)
        assert await read(secure_line(park.url), own) == (2.5,)
    assert grouped(GOOD.facts.fingerprint) in said
    assert grouped(OTHER.facts.fingerprint) in said
    assert "parkgate trust SITE dcs" in said


async def test_a_server_whose_certificate_changes_under_a_running_line_is_refused_at_the_next_connect(own):
    async with secured(GOOD) as park:
        port = park.server.bserver.port
        opened = OpcUaDriver(secure_line(park.url), [TANK], lambda: 0, own)
        async with opened:
            await opened.read(TANK)
    async with secured(OTHER, port=port) as park:
        with pytest.raises(Unreachable, match="another certificate"):
            await opened.__aenter__()
        assert park.sessions == 0


async def test_an_expired_certificate_is_refused_with_its_date_until_a_person_trusts_it(tmp_path):
    old = Shown(begins=timedelta(days=-400), ends=timedelta(days=-35))
    async with secured(old) as park:
        said = await refusal(secure_line(park.url), gateway(tmp_path))
        certificates.pin(gateway(tmp_path), "dcs", old.certificate)
        assert await read(secure_line(park.url), gateway(tmp_path)) == (2.5,)
    assert f"expired on {old.facts.ends:%Y-%m-%d}" in said


async def test_a_certificate_that_the_lines_authority_signed_is_trusted_without_asking(tmp_path):
    ca, _ = AUTHORITY.write(tmp_path, "ca")
    async with secured(Shown(by=AUTHORITY)) as park:
        assert await read(secure_line(park.url, ca=ca), gateway(tmp_path)) == (2.5,)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({"ends": timedelta(minutes=-1)}, "expired on"),
        ({"begins": HOUR, "ends": 2 * HOUR}, "valid from"),
        ({"host": "10.0.0.9"}, r"is for 10\.0\.0\.9, not for 127\.0\.0\.1"),
        ({"uri": "urn:test:client"}, "is for urn:test:client, not for urn:test:server"),
        ({"usage": ExtendedKeyUsageOID.CLIENT_AUTH}, "not one for a server"),
    ],
)
async def test_an_authority_vouches_only_for_a_server_of_this_name_within_its_dates(shown, words, tmp_path):
    ca, _ = AUTHORITY.write(tmp_path, "ca")
    async with secured(Shown(by=AUTHORITY, **shown)) as park:
        with pytest.raises(Unreachable, match=words):
            await read(secure_line(park.url, ca=ca), gateway(tmp_path))


LAPSED = Shown(name="plant CA", ca=True, begins=-2 * HOUR, ends=-HOUR)
NONE = Shown(name="plant CA", ca=False)


@pytest.mark.parametrize(
    ("signer", "known"),
    [(AUTHORITY, Shown(name="plant CA", ca=True)), (NONE, NONE), (LAPSED, LAPSED)],
    ids=["another of its name", "no authority", "an authority that expired"],
)
async def test_what_no_authority_signed_is_refused(signer, known, tmp_path):
    ca, _ = known.write(tmp_path, "ca")
    async with secured(Shown(by=signer)) as park:
        said = await refusal(secure_line(park.url, ca=ca), gateway(tmp_path))
    assert f"no authority in {ca}" in said
    assert "parkgate trust SITE dcs" in said


async def test_a_server_that_only_offers_no_security_is_refused_before_a_session(own):
    async with bare() as park:
        said = await refusal(secure_line(park.url), own)
        assert park.sessions == 0
    assert f"does not offer {STRONG}, but none" in said


async def test_a_lesser_mode_is_never_taken_for_the_one_asked_for(own):
    async with secured(GOOD, POLICIES["Basic256Sha256/Sign"], ua.SecurityPolicyType.NoSecurity) as park:
        said = await refusal(secure_line(park.url), own)
        assert park.sessions == 0
    assert f"does not offer {STRONG}, but Basic256Sha256/Sign, none" in said


class Tapped(Wire):
    """Keeps what a client says."""

    def __init__(self, target):
        super().__init__(target)
        self.heard = b""

    async def _questions(self, reader, back, writer):
        while data := await reader.read(1 << 16):
            self.heard += data
            back.write(data)
        back.close()


@pytest.mark.parametrize("policy", [None, "None"])
@pytest.mark.parametrize("security", ["Basic256Sha256/Sign", "Basic256Sha256/SignAndEncrypt"])
async def test_a_password_is_never_on_the_wire_in_clear(security, policy, own, password):
    users = Users({"gw": PASSWORD})
    tokens = [ua.UserNameIdentityToken]
    async with secured(GOOD, users=users, tokens=tokens) as park, Tapped(park.url) as wire:
        for endpoint in park.server.iserver.endpoints:
            for token in endpoint.UserIdentityTokens:
                token.SecurityPolicyUri = policy and f"http://opcfoundation.org/UA/SecurityPolicy#{policy}"
        line = secure_line(wire.url, security, username="gw", password=password)
        if policy and security.endswith("/Sign"):
            with pytest.raises(Unreachable, match=r"wants the password unencrypted.*SignAndEncrypt"):
                await read(line, own)
            assert users.told == []
        else:
            assert await read(line, own) == (2.5,)
            assert users.told == [("gw", PASSWORD)]
    assert wire.heard
    assert PASSWORD.encode() not in wire.heard


async def test_an_impostor_hears_neither_user_nor_password(own, password):
    users = Users({"gw": PASSWORD})
    async with secured(OTHER, users=users, tokens=[ua.UserNameIdentityToken]) as park, Tapped(park.url) as wire:
        await refusal(secure_line(wire.url, username="gw", password=password), own)
    assert users.told == []
    assert wire.heard
    assert PASSWORD.encode() not in wire.heard


async def test_a_wrong_password_says_so_and_never_the_password(own, password):
    users = Users({"gw": "right"})
    async with secured(GOOD, users=users, tokens=[ua.UserNameIdentityToken]) as park:
        said = await refusal(secure_line(park.url, username="gw", password=password), own)
        assert park.sessions == 0
    assert "does not admit the user: BadUserAccessDenied" in said
    assert "username and password" in said
    assert PASSWORD not in said


async def test_a_password_that_cannot_be_read_says_where_it_should_be(own):
    async with secured(GOOD) as park:
        line = secure_line(park.url, username="gw", password=Secret(file="/nowhere/password"))
        assert "/nowhere/password: No such file" in await refusal(line, own)


async def test_a_user_certificate_is_admitted_and_another_is_not(own, tmp_path):
    users = Users(certificates=[certificates_der(USER)])
    async with secured(GOOD, users=users, tokens=[ua.X509IdentityToken]) as park:
        cert, key = USER.write(tmp_path, "user")
        assert await read(secure_line(park.url, cert=cert, key=key), own) == (2.5,)
        cert, key = OTHER.write(tmp_path, "other")
        assert "does not admit the user" in await refusal(secure_line(park.url, cert=cert, key=key), own)
        key.write_text("nothing")
        assert "user certificate cannot be used" in await refusal(secure_line(park.url, cert=cert, key=key), own)


def certificates_der(shown):
    return shown.certificate.public_bytes(certificates.serialization.Encoding.DER)


async def test_a_server_that_takes_no_such_user_says_what_it_takes(own, password):
    async with secured(GOOD, tokens=[ua.UserNameIdentityToken, ua.X509IdentityToken]) as park:
        assert "no anonymous clients, but user and password, user certificates" in await refusal(
            secure_line(park.url), own
        )
    async with secured(GOOD) as park:
        line = secure_line(park.url, username="gw", password=password)
        assert "no user and password, but anonymous clients" in await refusal(line, own)


async def test_a_server_is_read_at_the_address_of_the_line_whatever_its_endpoints_say(own):
    async with secured(GOOD, host="plc-of-nowhere.invalid") as park:
        assert await read(secure_line(park.url), own) == (2.5,)


async def test_a_server_that_does_not_trust_the_gateway_says_which_certificate_to_accept(own):
    async def refuse(certificate, _):
        raise ua.uaerrors.BadCertificateUntrusted

    async with secured(GOOD) as park:
        park.server.set_certificate_validator(refuse)
        said = await refusal(secure_line(park.url), own)
    shown, _ = certificates.own(own, "host")
    assert "accept its certificate there" in said
    assert str(own.certificate) in said
    assert grouped(certificates.facts(shown).fingerprint) in said


async def test_the_gateway_says_by_its_certificate_who_it_is(own):
    seen = []

    async def note(certificate, application):
        seen.append((certificates.facts(certificate).uris, application.ApplicationUri))

    async with secured(GOOD) as park:
        park.server.set_certificate_validator(note)
        await read(secure_line(park.url), own)
    assert set(seen) == {(("urn:parkgate:xuwei:gw-01",), "urn:parkgate:xuwei:gw-01")}


async def test_what_is_trusted_but_damaged_says_which_folder(own):
    (own.trusted / "dcs.der").write_bytes(b"no certificate")
    async with secured(GOOD) as park:
        assert str(own.trusted) in await refusal(secure_line(park.url), own)


async def test_a_weak_key_is_refused_whoever_trusts_it(tmp_path):
    weak = Shown(bits=1024)
    certificates.pin(gateway(tmp_path), "dcs", weak.certificate)
    async with secured(weak) as park:
        assert "no RSA key of 2048 bits" in await refusal(secure_line(park.url), gateway(tmp_path))


async def test_leaving_and_giving_up_leave_nothing_open(own):
    async with secured(GOOD) as park:
        before = asyncio.all_tasks()
        await read(secure_line(park.url), own)
        await refusal(secure_line(park.url).model_copy(update={"name": "untrusted"}), own)
        async with asyncio.timeout(5):
            await park.until_no_client()
            while asyncio.all_tasks() - before:  # the server's own, for clients that left
                await asyncio.sleep(0.01)


async def test_a_port_where_nobody_listens_is_unreachable(own):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "no OPC UA session" in await refusal(secure_line(f"opc.tcp://127.0.0.1:{port}"), own)


def test_a_line_that_does_not_say_its_security_or_has_no_keys_is_never_opened_without(own):
    for line, application in [
        (secure_line("opc.tcp://h", None), own),
        (secure_line("opc.tcp://h", None), None),
        (secure_line("opc.tcp://h"), None),
    ]:
        with pytest.raises(Unusable, match='as "Basic256Sha256/SignAndEncrypt"'):
            OpcUaDriver(line, [TANK], lambda: 0, application)


async def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "data").write_text("a file")
    async with secured(GOOD) as park:
        said = await refusal(secure_line(park.url), gateway(tmp_path / "data"))
    assert f"own certificate in {tmp_path}/data/opcua cannot be used: Not a directory" in said
