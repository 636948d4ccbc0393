"""TLS from one connection to the next, against a real mosquitto: sessions are resumed, renewed files are taken."""

import ssl

import pytest
from support.broker import Mosquitto
from support.certificates import Authority

from parkgate.config.site import Uplink
from parkgate.gateway.forwarding.credentials import Door
from parkgate.gateway.forwarding.refusals import HungUp, NotTrusted

TOPIC = "park/v1/xuwei/gw-01/data/stack-1"
TLS = pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ca")


def broker_config(authority, tls):
    cert, key = authority.issue("broker", address="127.0.0.1")
    return [f"certfile {cert}", f"keyfile {key}", f"tls_version tlsv1.{2 if tls == ssl.TLSVersion.TLSv1_2 else 3}"]


@pytest.fixture
def connected(publisher, acks):
    """Connect through a door, send a message, leave; tell the TLS version and whether a session was resumed."""

    async def connect(broker, door, tls, **files):
        # Mosquitto's `tls_version` is the least it takes: without this it would be TLS 1.3 each time.
        door.context(where="test").maximum_version = tls
        link = publisher(broker.url, door=door, **files)
        await link.connect()
        sock = link._client.socket()
        seen = sock.version(), sock.session_reused
        known = len(acks.told)
        link.publish(TOPIC, b"1")
        await acks.until(known + 1)
        await link.disconnect()
        return seen

    return connect


def door_of(broker, **files):
    return Door(Uplink(name="park", url=broker.url, **files))


@TLS
async def test_the_second_connection_resumes_the_session_of_the_first_and_so_on(connected, authority, tls):
    async with Mosquitto(broker_config(authority, tls), tls=True) as broker:
        door = door_of(broker, ca=authority.file)
        seen = [await connected(broker, door, tls, ca=authority.file) for _ in range(4)]
        version = {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[tls]
        assert seen == [(version, False), (version, True), (version, True), (version, True)]
        other = door_of(broker, ca=authority.file)
        assert await connected(broker, other, tls, ca=authority.file) == (version, False)


@TLS
async def test_a_broker_that_was_restarted_and_knows_no_ticket_takes_us_all_the_same(connected, authority, tls):
    async with Mosquitto(broker_config(authority, tls), tls=True) as broker:
        door = door_of(broker, ca=authority.file)
        assert not (await connected(broker, door, tls, ca=authority.file))[1]
        await broker.stop()
        await broker.start()
        assert [(await connected(broker, door, tls, ca=authority.file))[1] for _ in range(2)] == [False, True]


@TLS
async def test_a_renewed_ca_is_taken_without_a_restart(connected, authority, tmp_path, tls):
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    async with Mosquitto(broker_config(authority, tls), tls=True) as broker:
        door = door_of(broker, ca=trusted)
        await connected(broker, door, tls, ca=trusted)
        await broker.stop()
        renewed = Authority(tmp_path, "renewed")
        broker.config = tuple(broker_config(renewed, tls))
        await broker.start()
        with pytest.raises(NotTrusted, match="Set ca of the uplink"):
            await connected(broker, door, tls, ca=trusted)
        trusted.write_bytes(renewed.file.read_bytes())
        assert [(await connected(broker, door, tls, ca=trusted))[1] for _ in range(2)] == [False, True]


@TLS
async def test_a_renewed_client_certificate_is_taken_without_a_restart(connected, authority, tmp_path, tls):
    (tmp_path / "stranger").mkdir()
    stranger = Authority(tmp_path / "stranger", "ca")
    wants = [*broker_config(authority, tls), f"cafile {authority.file}", "require_certificate true"]
    async with Mosquitto(wants, tls=True) as broker:
        cert, key = stranger.issue("gw-01")
        files = {"ca": authority.file, "cert": cert, "key": key}
        door = door_of(broker, **files)
        # In TLS 1.3 the alert comes after the handshake, and an RST may overtake it.
        with pytest.raises((NotTrusted, HungUp)):
            await connected(broker, door, tls, **files)
        for new, old in zip(authority.issue("gw-01"), (cert, key), strict=True):
            new.replace(old)
        assert [(await connected(broker, door, tls, **files))[1] for _ in range(2)] == [False, True]
