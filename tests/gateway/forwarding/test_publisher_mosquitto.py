"""The publisher against a real broker: mosquitto, over TCP and TLS."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from datetime import timedelta
from pathlib import Path

import pytest
from support.broker import Mosquitto, free_port
from support.certificates import Authority
from support.subscriber import Subscriber

from parkgate.config.site import Secret
from parkgate.gateway.forwarding.dialect import Dialect
from parkgate.gateway.forwarding.publisher import Will
from parkgate.gateway.forwarding.refusals import HungUp, LinkLost, NotAdmitted, NotReached, NotTrusted, TakenOver

TOPIC = "park/v1/xuwei/gw-01/data/stack-1"
VERSIONS = pytest.mark.parametrize("version", [5, 4])


def password_line(user, password):
    """Give a line of mosquitto's password file: PBKDF2 with SHA-512, as mosquitto_passwd writes it."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_message_that_somebody_gets_is_0x00_and_one_that_nobody_gets_0x10(publisher, acks):
    async with Mosquitto() as broker, Subscriber(broker.port, "park/#") as platform:
        link = publisher(broker.url)
        accepted = await link.connect()
        heard, unheard = link.publish(TOPIC, b"1"), link.publish("nobody/listens", b"2")
        assert await acks.until(2) == [(heard, 0x00), (unheard, 0x10)]
        (message,) = await platform.until(1)
    assert (message.topic, message.payload, message.qos) == (TOPIC, b"1", 1)
    assert (accepted.version, accepted.window, accepted.keepalive) == (5, 10, 30)


async def test_the_window_is_the_brokers_if_that_is_smaller(publisher):
    async with Mosquitto(["max_inflight_messages 4"]) as broker:
        assert (await publisher(broker.url, window=10).connect()).window == 4


async def test_a_topic_that_the_acl_denies_is_0x87_and_others_go_on(publisher, acks, tmp_path):
    (tmp_path / "acl").write_text("topic write park/v1/xuwei/#\n")
    async with Mosquitto([f"acl_file {tmp_path}/acl"]) as broker:
        link = publisher(broker.url)
        await link.connect()
        denied, allowed = link.publish("park/v1/another/gw-02/data/x", b"1"), link.publish(TOPIC, b"2")
        assert await acks.until(2) == [(denied, 0x87), (allowed, 0x10)]


async def test_a_3_1_1_broker_cannot_tell_a_denied_message_which_is_why_mqtt_5_comes_first(publisher, acks, tmp_path):
    (tmp_path / "acl").write_text("topic write park/v1/xuwei/#\n")
    async with Mosquitto([f"acl_file {tmp_path}/acl"]) as broker:
        link = publisher(broker.url, dialect=Dialect(version=4))
        assert (await link.connect()).version == 4
        denied = link.publish("park/v1/another/gw-02/data/x", b"1")
        assert await acks.until(1) == [(denied, 0)]


@VERSIONS
async def test_credentials_open_the_door_and_wrong_ones_are_refused(publisher, tmp_path, version):
    (tmp_path / "passwords").write_text(password_line("gw-01", "geheim"))
    (tmp_path / "right").write_text("geheim\n")
    (tmp_path / "wrong").write_text("falsch\n")
    config = ["allow_anonymous false", f"password_file {tmp_path}/passwords"]
    async with Mosquitto(config) as broker:
        for name in ("wrong", "right"):
            link = publisher(
                broker.url, dialect=Dialect(version=version), username="gw-01", password=Secret(file=tmp_path / name)
            )
            if name == "right":
                assert (await link.connect()).version == version
            else:
                with pytest.raises(NotAdmitted, match="username and password"):
                    await link.connect()


@VERSIONS
async def test_the_will_comes_when_the_link_breaks_and_not_when_we_leave(publisher, acks, version):
    will = Will("park/v1/xuwei/gw-01/status", b"vanished")
    async with Mosquitto() as broker, Subscriber(broker.port, "park/#") as platform:
        polite, broken = (
            publisher(broker.url, client_id=name, will=will, dialect=Dialect(version=version)) for name in ("a", "b")
        )
        await polite.connect()
        polite.publish(TOPIC, b"last")
        await acks.until(1)
        await polite.disconnect()
        await broken.connect()
        broken.publish(TOPIC, b"first")
        await acks.until(2)
        broken._wire.close()
        payloads = [each.payload for each in await platform.until(3)]
    assert payloads == [b"last", b"first", b"vanished"]


async def test_the_will_is_retained_for_those_who_come_later(publisher):
    async with Mosquitto() as broker:
        async with Subscriber(broker.port) as witness:
            link = publisher(broker.url, will=Will("park/status", b"vanished"))
            await link.connect()
            link._wire.close()
            await witness.until(1)
        async with Subscriber(broker.port) as late:
            (message,) = await late.until(1)
    assert (message.topic, message.payload, message.retain) == ("park/status", b"vanished", True)


async def test_a_second_gateway_with_our_client_id_ends_our_connection(publisher):
    """Mosquitto 2.0.11 closes without its DISCONNECT 0x8E where the session is not kept; later ones say it."""
    async with Mosquitto() as broker:
        first, second = publisher(broker.url), publisher(broker.url)
        await first.connect()
        await second.connect()
        assert type(await asyncio.wait_for(first.lost, 20)) in {TakenOver, LinkLost}
        assert not second.lost.done()


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_a_broker_that_went_away_is_noticed_and_found_again_on_the_same_port(publisher, acks, ending):
    async with Mosquitto() as broker:
        link = publisher(broker.url)
        await link.connect()
        await getattr(broker, ending)()
        assert isinstance(await asyncio.wait_for(link.lost, 20), LinkLost)
        with pytest.raises(NotReached):
            await publisher(broker.url).connect()
        await broker.start()
        again = publisher(broker.url)
        await again.connect()
        again.publish(TOPIC, b"1")
        await acks.until(1)


async def test_connecting_and_leaving_again_and_again_leaves_no_file_open(publisher, tmp_path):
    authority = Authority(tmp_path, "ca")
    cert, key = authority.issue("broker", address="127.0.0.1")
    other = Authority(tmp_path, "other")
    config = [f"certfile {cert}", f"keyfile {key}"]
    async with Mosquitto() as plain, Mosquitto(config, tls=True) as secure:
        ways = ((plain.url, {}), (secure.url, {"ca": authority.file}), (secure.url, {"ca": other.file}))

        async def once(url, files):
            link = publisher(url, **files)
            try:
                await link.connect()
            except NotTrusted:
                assert files["ca"] == other.file
            await link.disconnect()

        for way in ways:
            await once(*way)
        before = open_files()
        for way in ways * 5:
            await once(*way)
        assert open_files() == before


# TLS.


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ca")


@pytest.fixture
def config(authority):
    cert, key = authority.issue("broker", address="127.0.0.1")
    return [f"certfile {cert}", f"keyfile {key}"]


@VERSIONS
async def test_messages_go_over_tls_in_any_number_and_size(publisher, authority, config, version):
    """All PUBACKs of a window often share one TLS record, of which the selector tells only once."""
    told, everything = [], asyncio.Event()
    sizes = [1, 100, 16_000, 60_000]

    def on_ack(_packet_id, code):
        told.append(code)
        if len(told) + 20 <= 600:
            link.publish(TOPIC, bytes(sizes[len(told) % 4]))
        if len(told) == 600:
            everything.set()

    async with Mosquitto([*config, "log_type error", "log_type information"], tls=True) as broker:
        link = publisher(broker.url, ca=authority.file, window=20, on_ack=on_ack, dialect=Dialect(version=version))
        assert (await link.connect()).window == 20
        for _ in range(20):
            link.publish(TOPIC, b"x")
        await asyncio.wait_for(everything.wait(), 30)
        await link.disconnect()
    assert set(told) == {0x10 if version == 5 else 0}


async def test_leaving_over_tls_raises_no_will(publisher, acks, authority, config):
    port = free_port()
    async with Mosquitto([*config, f"listener {port} 127.0.0.1"], tls=True) as broker, Subscriber(port) as platform:
        link = publisher(broker.url, ca=authority.file)
        await link.connect()
        link.publish(TOPIC, b"last")
        await acks.until(1)
        await link.disconnect()
        assert link.lost.result() is None
        other = publisher(broker.url, ca=authority.file, client_id="other")
        await other.connect()
        other.publish(TOPIC, b"after")
        assert [each.payload for each in await platform.until(2)] == [b"last", b"after"]


async def test_a_certificate_of_an_unknown_authority_is_not_trusted(publisher, config, tmp_path):
    other = Authority(tmp_path, "other")
    async with Mosquitto(config, tls=True) as broker:
        with pytest.raises(NotTrusted, match="Set ca of the uplink"):
            await publisher(broker.url, ca=other.file).connect()
        with pytest.raises(NotTrusted, match="Set ca of the uplink"):
            await publisher(broker.url).connect()  # nor does the machine know it


async def test_a_certificate_for_another_name_is_not_trusted(publisher, authority):
    cert, key = authority.issue("elsewhere.example")
    async with Mosquitto([f"certfile {cert}", f"keyfile {key}"], tls=True) as broker:
        with pytest.raises(NotTrusted, match="Write a name that stands in the certificate"):
            await publisher(broker.url, ca=authority.file).connect()


@pytest.mark.parametrize("age", [timedelta(days=2), timedelta(days=-2)])
async def test_a_certificate_out_of_its_dates_points_at_the_clock_first(publisher, authority, age):
    cert, key = authority.issue("broker", address="127.0.0.1", age=age)
    async with Mosquitto([f"certfile {cert}", f"keyfile {key}"], tls=True) as broker:
        with pytest.raises(NotTrusted, match="clock"):
            await publisher(broker.url, ca=authority.file).connect()


async def test_a_broker_that_wants_a_client_certificate_lets_us_in_with_one_and_only_then(publisher, authority, config):
    cert, key = authority.issue("gw-01")
    wants = [*config, f"cafile {authority.file}", "require_certificate true"]
    async with Mosquitto(wants, tls=True) as broker:
        # In TLS 1.3 the alert comes after the handshake, and an RST may overtake it.
        with pytest.raises((NotTrusted, HungUp), match="client certificate"):
            await publisher(broker.url, ca=authority.file).connect()
        assert (await publisher(broker.url, ca=authority.file, cert=cert, key=key).connect()).version == 5


async def test_mqtt_without_tls_on_the_tls_port_is_a_hang_up_that_names_mqtts(publisher, config):
    async with Mosquitto(config, tls=True) as broker:
        with pytest.raises(HungUp, match="mqtts://"):
            await publisher(broker.url.replace("mqtts", "mqtt")).connect()
