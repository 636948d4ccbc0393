"""The platform's subscriber against real brokers: mosquitto, and rumqttd both as MQTT 5 and as 3.1.1 only."""

import asyncio
import contextlib
import json
import socket

import pytest
from iotcore import Broker
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from support.broker import Mosquitto, free_port

from parkgate.simulator.books import Verdict
from parkgate.simulator.broker import EmbeddedBroker
from parkgate.simulator.platform import NoPlatform, Platform

TOPIC = "park/v1/xuwei/gw-01/data/stack-1"
SOURCE = "xuwei/gw-01/stack-1"
PATIENCE = 20.0


def payload(seq, low=1):
    record = {"source": SOURCE, "epoch": "0001-aaaaaa", "seq": seq, "low": low, "ts": 1, "rev": "9c1d02aa"}
    return json.dumps({**record, "values": {"o2": 6.2}}).encode()


@contextlib.contextmanager
def gateway(port, version=MQTTv5):
    """A publisher that says one message after the other, each acknowledged before the next."""
    client = Client(CallbackAPIVersion.VERSION2, "gateway", protocol=version)
    client.connect("127.0.0.1", port)
    client.loop_start()

    def say(topic, body, *, retain=True):
        client.publish(topic, body, qos=1, retain=retain).wait_for_publish(PATIENCE)

    yield say
    client.disconnect()
    client.loop_stop()


async def said(say, seqs, low=1):
    for seq in seqs:
        await asyncio.to_thread(say, TOPIC, payload(seq, min(low, seq)))


@pytest.mark.parametrize("kind", [EmbeddedBroker, Mosquitto])
async def test_everything_that_is_published_while_it_listens_is_in_the_books(kind):
    async with kind() as broker, Platform(broker.url) as platform:
        with gateway(broker.port) as say:
            await said(say, range(1, 51), low=50)
        assert await platform.until(lambda books: books.received(SOURCE) == 50, PATIENCE)
        (account,) = platform.books.account()
        assert (account.verdict, account.last, account.duplicates) == (Verdict.COMPLETE, 50, 0)
        assert platform.books.copies == 0


async def test_what_the_broker_kept_from_before_is_a_copy_and_not_a_receipt():
    async with EmbeddedBroker() as broker:
        with gateway(broker.port) as say:
            await said(say, [7])
            async with Platform(broker.url) as platform:
                assert await platform.until(lambda books: books.copies == 1, PATIENCE)
                assert platform.books.received(SOURCE) == 0
                await said(say, [8])
                assert await platform.until(lambda books: books.received(SOURCE) == 1, PATIENCE)


async def test_it_hears_only_its_topics_and_tells_a_listener_every_message():
    heard = []
    async with (
        EmbeddedBroker() as broker,
        Platform(broker.url, "park/v1/xuwei/#", lambda *message: heard.append(message)) as platform,
    ):
        with gateway(broker.port) as say:
            await asyncio.to_thread(say, "park/v1/other/gw-01/status", b"{}")
            await asyncio.to_thread(say, "park/v1/xuwei/gw-01/status", b'{"state":"online"}')
            await said(say, [1])
        assert await platform.until(lambda books: books.received(SOURCE) == 1, PATIENCE)
    assert heard == [("park/v1/xuwei/gw-01/status", b'{"state":"online"}', False), (TOPIC, payload(1), False)]


async def test_it_falls_back_to_mqtt_3_1_1_where_the_broker_knows_nothing_newer():
    with Broker(port=free_port(), listen="127.0.0.1") as broker:
        async with Platform(f"mqtt://127.0.0.1:{broker.port}") as platform:
            with gateway(broker.port, MQTTv311) as say:
                await said(say, [1, 2])
            assert await platform.until(lambda books: books.received(SOURCE) == 2, PATIENCE)


async def test_after_a_lost_connection_it_comes_back_and_subscribes_again():
    async with Mosquitto() as broker, Platform(broker.url) as platform:
        await broker.kill()
        await broker.start()
        assert await platform.until(lambda _: platform.connections == 2, PATIENCE)
        with gateway(broker.port) as say:
            await said(say, [1])
        assert await platform.until(lambda books: books.received(SOURCE) == 1, PATIENCE)


async def test_what_came_while_it_was_cut_off_follows_when_it_is_back():
    async with Mosquitto() as broker, Platform(broker.url) as platform:
        with gateway(broker.port) as say:
            await said(say, [1])
            assert await platform.until(lambda books: books.received(SOURCE) == 1, PATIENCE)
            platform._client._sock.shutdown(socket.SHUT_RDWR)
            await said(say, [2, 3, 4])
            assert await platform.until(lambda books: books.received(SOURCE) == 4, PATIENCE)
        assert platform.books.account()[0].verdict is Verdict.COMPLETE
        assert platform.connections == 2


async def test_waiting_for_what_does_not_come_ends_with_no():
    async with EmbeddedBroker() as broker, Platform(broker.url) as platform:
        assert not await platform.until(lambda books: books.received(SOURCE) > 0, 0.01)


async def test_a_broker_that_is_not_there_is_said_with_its_address():
    port = free_port()
    with pytest.raises(NoPlatform, match=f"mqtt://127.0.0.1:{port}.*Check the address"):
        await Platform(f"mqtt://127.0.0.1:{port}").__aenter__()


async def test_a_wrong_password_is_refused_without_showing_it(tmp_path):
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    async with Mosquitto([f"password_file {passwords}", "allow_anonymous false"]) as broker:
        with pytest.raises(NoPlatform, match="0x") as refused:
            await Platform(f"mqtt://someone:secret-word@127.0.0.1:{broker.port}").__aenter__()
    assert "secret-word" not in str(refused.value)


async def test_a_port_that_only_closes_connections_is_said_to_do_so():
    async def close(_, writer):
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NoPlatform, match="closes the connection"):
            await Platform(f"mqtt://127.0.0.1:{port}").__aenter__()


async def test_it_leaves_no_session_in_the_broker():
    async with Mosquitto() as broker:
        async with Platform(broker.url) as platform:
            name = platform._client._client_id.decode()
        assert not await asyncio.to_thread(session_is_kept, broker.port, name)


def session_is_kept(port, name):
    """Ask as the client of that name whether the broker remembers its session."""
    kept = []
    client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTv5)
    client.on_connect = lambda *told: (kept.append(told[2].session_present), client.disconnect())
    client.connect("127.0.0.1", port, clean_start=False)
    client.loop_forever()
    return kept[0]
