"""The publisher against a broker that does what no real one does on request."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import struct
import threading
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.certificates import Authority
from support.scripted_broker import PINGREQ, PUBACK, ScriptedBroker, accept, acknowledge, connack, limits, packet

from parkgate.config.site import Secret, Uplink
from parkgate.gateway.forwarding import publisher as publisher_module
from parkgate.gateway.forwarding import wire
from parkgate.gateway.forwarding.dialect import Dialect
from parkgate.gateway.forwarding.publisher import Accepted, Publisher, TooLarge, Will
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
)

OLD = Dialect(version=4)
TOPIC = "park/v1/xuwei/gw-01/data/stack-1"


def saying(data):
    """Answer every CONNECT with these bytes."""
    return lambda session, _: session.writer.write(data)


def allowing(**what):
    """Accept with these limits."""
    return saying(connack(5, 0, limits(**what)))


def swallow(_session, _publish):
    """Take a message and say nothing."""


def closing(session, _):
    session.writer.close()


# What CONNECT says.


@pytest.mark.parametrize("version", [5, 4])
async def test_connect_says_who_we_are_and_leaves_a_retained_will_of_qos_1(publisher, monkeypatch, version):
    monkeypatch.setenv("PARK_PASSWORD", "geheim-密码")
    will = Will("park/v1/xuwei/gw-01/status", b'{"state":"offline"}')
    async with ScriptedBroker() as broker:
        link = publisher(
            broker.url, will=will, dialect=Dialect(version=version), username="gw", password=Secret(env="PARK_PASSWORD")
        )
        await link.connect()
        said = broker.sessions[0].connect
    assert (said.version, said.clean, said.keepalive, said.client_id) == (version, True, 30, "xuwei-gw-01")
    assert (said.username, said.password) == ("gw", "geheim-密码")
    assert (said.will.topic, said.will.payload, said.will.qos, said.will.retain) == (will.topic, will.payload, 1, True)


@pytest.mark.parametrize(("version", "largest"), [(5, 65_536), (4, None)])
async def test_mqtt_5_says_how_large_a_packet_we_take_and_3_1_1_cannot(publisher, version, largest):
    async with ScriptedBroker() as broker:
        await publisher(broker.url, dialect=Dialect(version=version)).connect()
        assert broker.sessions[0].connect.max_packet == largest


async def test_the_will_is_as_simple_as_the_broker_wants_it(publisher):
    async with ScriptedBroker() as broker:
        await publisher(broker.url, dialect=Dialect(will_qos=0, will_retain=False)).connect()
        will = broker.sessions[0].connect.will
    assert (will.qos, will.retain) == (0, False)


async def test_without_a_username_no_password_is_asked_for_or_sent(publisher):
    async with ScriptedBroker() as broker:
        await publisher(broker.url, password=Secret(env="PARKGATE_NOWHERE")).connect()
        said = broker.sessions[0].connect
    assert (said.username, said.password) == (None, None)


async def test_a_missing_password_is_said_and_nothing_is_sent(publisher):
    async with ScriptedBroker() as broker:
        link = publisher(broker.url, username="gw", password=Secret(file="/nowhere/password"))
        with pytest.raises(Misconfigured, match="/nowhere/password"):
            await link.connect()
    assert broker.sessions == []


# What the broker allows.


async def test_a_broker_without_limits_leaves_our_own(publisher):
    async with ScriptedBroker() as broker:
        accepted = await publisher(broker.url, window=7).connect()
    assert accepted == Accepted(version=5, window=7, max_packet=None, retain=True, max_qos=2, keepalive=30)


async def test_an_mqtt_3_1_1_broker_has_no_limits_to_tell(publisher):
    async with ScriptedBroker() as broker:
        accepted = await publisher(broker.url, dialect=OLD).connect()
    assert accepted == Accepted(version=4, window=10, max_packet=None, retain=True, max_qos=2, keepalive=30)


async def test_the_limits_of_connack_are_obeyed(publisher):
    what = {"receive_maximum": 3, "max_packet": 4096, "retain": False, "max_qos": 1, "keepalive": 12}
    async with ScriptedBroker(allowing(**what)) as broker:
        accepted = await publisher(broker.url).connect()
    assert accepted == Accepted(version=5, window=3, max_packet=4096, retain=False, max_qos=1, keepalive=12)


async def test_a_larger_receive_maximum_does_not_widen_our_window(publisher):
    async with ScriptedBroker(allowing(receive_maximum=1000)) as broker:
        assert (await publisher(broker.url, window=10).connect()).window == 10


async def test_a_broker_without_qos_1_is_left_cleanly_since_it_confirms_nothing(publisher):
    async with ScriptedBroker(allowing(max_qos=0)) as broker:
        with pytest.raises(Misconfigured, match="QoS 1"):
            await publisher(broker.url).connect()
        await broker.until(lambda: broker.sessions[0].ended)
        assert broker.sessions[0].disconnected == 0


# What a broker refuses.


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x80, NotReached),
        (0x83, NotReached),
        (0x84, VersionRefused),
        (0x85, Misconfigured),
        (0x86, NotAdmitted),
        (0x87, NotAdmitted),
        (0x88, Busy),
        (0x89, Busy),
        (0x8A, NotAdmitted),
        (0x8C, NotAdmitted),
        (0x97, Busy),
        (0x9A, WillRefused),
        (0x9B, WillRefused),
        (0x9C, Busy),
        (0x9F, Busy),
    ],
)
async def test_a_refused_connect_is_raised_by_what_to_do_next(publisher, code, kind):
    async with ScriptedBroker(saying(connack(5, code))) as broker:
        link = publisher(broker.url)
        with pytest.raises(UplinkFault) as caught:
            await link.connect()
        assert type(caught.value) is kind
        assert caught.value.code == code
        assert f'uplink "park" (127.0.0.1:{broker.port})' in str(caught.value)
        assert link.lost.result() is caught.value
        await broker.until(lambda: broker.sessions[0].ended)


@pytest.mark.parametrize(("code", "kind"), [(2, Misconfigured), (3, Busy), (4, NotAdmitted), (5, NotAdmitted)])
async def test_the_codes_of_3_1_1_are_understood(publisher, code, kind):
    async with ScriptedBroker(saying(connack(4, code))) as broker:
        with pytest.raises(kind):
            await publisher(broker.url, dialect=OLD).connect()


async def test_a_3_1_1_broker_that_answers_mqtt_5_in_its_own_words_is_understood(publisher):
    async with ScriptedBroker(saying(connack(4, 1))) as broker:
        with pytest.raises(VersionRefused):
            await publisher(broker.url).connect()


async def test_a_broker_that_refuses_3_1_1_too_is_not_tried_in_anything_older(publisher):
    async with ScriptedBroker(saying(connack(4, 1))) as broker:
        with pytest.raises(HungUp):
            await publisher(broker.url, dialect=OLD).connect()
        assert len(broker.sessions) == 1


async def test_a_broker_that_knows_no_mqtt_5_is_reached_in_3_1_1_after_two_closes(publisher):
    def only_old(session, connect):
        (accept if connect.version == 4 else closing)(session, connect)

    async with ScriptedBroker(only_old) as broker:
        dialect = Dialect()
        for _ in range(2):
            with pytest.raises(HungUp) as caught:
                await publisher(broker.url, dialect=dialect).connect()
            dialect = dialect.after(caught.value)
        assert (await publisher(broker.url, dialect=dialect).connect()).version == 4
    assert [session.connect.version for session in broker.sessions] == [5, 5, 4]


async def test_a_reset_before_connack_is_a_hang_up_too(publisher):
    async with ScriptedBroker(lambda session, _: session.cut()) as broker:
        with pytest.raises(HungUp):
            await publisher(broker.url).connect()


async def test_a_port_where_nothing_listens_is_said_with_its_number(publisher):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotReached, match=f"port {port}"):
        await publisher(f"mqtt://127.0.0.1:{port}").connect()


async def test_a_name_without_address_is_said(publisher, monkeypatch):
    def lookup(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(NotReached, match=r'"broker\.example" cannot be resolved'):
        await publisher("mqtt://broker.example").connect()


@pytest.mark.parametrize(("scheme", "port"), [("mqtt", 1883), ("mqtts", 8883)])
async def test_a_url_without_a_port_means_the_one_that_is_registered_for_it(publisher, monkeypatch, scheme, port):
    looked_up = []

    def lookup(*asked, **_kwargs):
        looked_up.append(asked[:2])
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(NotReached, match=rf"broker\.example:{port}"):
        await publisher(f"{scheme}://broker.example").connect()
    assert looked_up == [("broker.example", port)]


async def test_a_url_that_holds_no_host_name_is_a_matter_of_the_site_file(publisher):
    with pytest.raises(Misconfigured, match="url"):
        await publisher(f"mqtt://{'a' * 70}.example").connect()


async def test_a_broker_that_never_answers_is_given_up_and_its_connection_closed(publisher):
    async with ScriptedBroker(lambda *_: None) as broker:
        link = publisher(broker.url, patience=0.2)
        with pytest.raises(NotReached, match="did not answer"):
            await link.connect()
        await broker.until(lambda: not broker.sessions or broker.sessions[0].ended)
        assert isinstance(link.lost.result(), NotReached)


async def test_a_server_that_speaks_no_tls_is_not_trusted(publisher):
    async def refuse(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        with pytest.raises(NotTrusted, match="TLS"):
            await publisher(f"mqtts://127.0.0.1:{server.sockets[0].getsockname()[1]}").connect()


async def test_a_cancelled_connect_leaves_no_connection(publisher):
    async with ScriptedBroker(lambda *_: None) as broker:
        task = asyncio.create_task(publisher(broker.url).connect())
        await broker.until(lambda: broker.sessions and broker.sessions[0].connect is not None)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await broker.until(lambda: broker.sessions[0].ended)


# Messages and their PUBACKs.


async def test_each_puback_is_told_with_its_reason_code_even_one_that_the_standard_does_not_know(publisher, acks):
    async with ScriptedBroker(on_publish=lambda session, message: session.ack(message, message.payload[0])) as broker:
        link = publisher(broker.url, window=100)
        await link.connect()
        sent = []
        for code in range(256):
            sent.append((link.publish(TOPIC, bytes([code])), code))
            assert await acks.until(code + 1) == sent
        assert not link.lost.done()


async def test_a_3_1_1_puback_is_told_as_0(publisher, acks):
    async with ScriptedBroker() as broker:
        link = publisher(broker.url, dialect=OLD)
        await link.connect()
        assert [(link.publish(TOPIC, b"1"), 0)] == await acks.until(1)


async def test_a_message_arrives_as_it_was_given(publisher, acks):
    payload = bytes(range(256)) * 40
    async with ScriptedBroker() as broker:
        link = publisher(broker.url)
        await link.connect()
        ids = [link.publish(TOPIC, payload, retain=True), link.publish("park/v1/a/b/event", b"{}")]
        await acks.until(2)
        first, second = broker.sessions[0].publishes
    assert (first.topic, first.payload, first.qos, first.retain, first.dup) == (TOPIC, payload, 1, True, False)
    assert (second.topic, second.payload, second.qos, second.retain) == ("park/v1/a/b/event", b"{}", 1, False)
    assert [first.packet_id, second.packet_id] == ids


async def test_a_broker_without_retained_messages_gets_them_without_the_mark(publisher, acks):
    async with ScriptedBroker(allowing(retain=False)) as broker:
        link = publisher(broker.url)
        await link.connect()
        link.publish(TOPIC, b"1", retain=True)
        await acks.until(1)
        assert not broker.sessions[0].publishes[0].retain


async def test_no_puback_is_told_before_publish_gave_its_id_even_when_publishing_from_on_ack(publisher):
    given, told, strangers = set(), [], []
    everything = asyncio.Event()

    def on_ack(packet_id, _code):
        told.append(packet_id)
        if packet_id not in given:
            strangers.append(packet_id)
        if len(told) + 10 <= 500:
            given.add(link.publish(TOPIC, b"x"))
        if len(told) == 500:
            everything.set()

    async with ScriptedBroker() as broker:
        link = publisher(broker.url, on_ack=on_ack)
        await link.connect()
        for _ in range(10):
            given.add(link.publish(TOPIC, b"x"))
        await asyncio.wait_for(everything.wait(), 20)
    assert strangers == []
    assert len(told) == len(set(told)) == 500


async def test_packet_ids_begin_again_after_65535_and_skip_0(publisher, acks):
    async with ScriptedBroker() as broker:
        link = publisher(broker.url)
        await link.connect()
        link._client._last_mid = 65_532
        ids = [link.publish(TOPIC, b"x") for _ in range(6)]
        assert ids == [65_533, 65_534, 65_535, 1, 2, 3]
        assert [packet_id for packet_id, _ in await acks.until(6)] == ids


async def test_a_packet_id_that_still_waits_is_not_used_twice(publisher, acks):
    async with ScriptedBroker(on_publish=swallow) as broker:
        link = publisher(broker.url)
        await link.connect()
        waiting = link.publish(TOPIC, b"first")
        link._client._last_mid = waiting - 1
        with pytest.raises(RuntimeError):
            link.publish(TOPIC, b"second")
        await broker.until(lambda: broker.sessions[0].publishes)
        assert [each.payload for each in broker.sessions[0].publishes] == [b"first"]
    assert acks.told == []


async def test_a_full_window_refuses_and_a_puback_makes_room(publisher, acks):
    async with ScriptedBroker(allowing(receive_maximum=2), on_publish=swallow) as broker:
        link = publisher(broker.url)
        await link.connect()
        link.publish(TOPIC, b"1")
        link.publish(TOPIC, b"2")
        with pytest.raises(RuntimeError, match="2 messages"):
            link.publish(TOPIC, b"3")
        session = broker.sessions[0]
        await broker.until(lambda: len(session.publishes) == 2)
        session.ack(session.publishes[0], 0x97)
        await acks.until(1)
        link.publish(TOPIC, b"4")
        await broker.until(lambda: len(session.publishes) == 3)
        assert [each.payload for each in session.publishes] == [b"1", b"2", b"4"]


async def test_a_puback_that_comes_twice_or_for_nothing_is_told_once_or_never(publisher, acks):
    def twice(session, message):
        session.send(PUBACK, struct.pack("!H", message.packet_id + 1000))
        session.ack(message)
        session.ack(message)

    async with ScriptedBroker(on_publish=twice) as broker:
        link = publisher(broker.url, window=1)
        await link.connect()
        first = link.publish(TOPIC, b"1")
        await acks.until(1)
        second = link.publish(TOPIC, b"2")
        assert await acks.until(2) == [(first, 0), (second, 0)]


@pytest.mark.parametrize("largest", [130, 200, 20_000])
async def test_no_packet_passes_the_brokers_maximum_packet_size(publisher, acks, largest):
    sizes = []

    def measure(session, message):
        sizes.append(
            len(packet(3, struct.pack("!H", len(message.topic)) + message.topic.encode() + bytes(3) + message.payload))
        )
        acknowledge(session, message)

    async with ScriptedBroker(allowing(max_packet=largest), measure) as broker:
        link = publisher(broker.url)
        await link.connect()
        sent = refused = 0
        for length in range(largest - len(TOPIC) - 20, largest - len(TOPIC) + 5):
            try:
                link.publish(TOPIC, bytes(length))
            except TooLarge:
                refused += 1
            else:
                sent += 1
                await acks.until(sent)
    assert refused >= 12
    assert sent >= 8
    assert largest - 5 <= max(sizes) <= largest


async def test_publishing_is_only_legal_while_connected(publisher):
    async with ScriptedBroker() as broker:
        link = publisher(broker.url)
        with pytest.raises(LinkLost):
            link.publish(TOPIC, b"too early")
        await link.connect()
        await link.disconnect()
        with pytest.raises(LinkLost):
            link.publish(TOPIC, b"too late")
        again = publisher(broker.url)
        await again.connect()
        await again.disconnect()
    assert [session.publishes for session in broker.sessions] == [[], []]


async def test_what_the_socket_does_not_take_at_once_goes_out_whole_and_in_order(publisher, acks):
    """100 messages of 60 kB are more than socket buffers hold; the broker begins to read late."""
    gate = asyncio.Event()

    async with ScriptedBroker(on_publish=swallow) as broker:
        link = publisher(broker.url, window=100)
        await link.connect()
        session = broker.sessions[0]
        session.reader._transport.pause_reading()
        payloads = [bytes([n]) * 60_000 for n in range(100)]
        for payload in payloads:
            link.publish(TOPIC, payload)
        asyncio.get_running_loop().call_later(0.05, gate.set)
        await gate.wait()
        assert link._client.want_write()
        session.reader._transport.resume_reading()
        await broker.until(lambda: len(session.publishes) == 100)
        assert [each.payload for each in session.publishes] == payloads
        for each in session.publishes:
            session.ack(each)
        await acks.until(100)


async def test_every_packet_of_a_tls_record_is_read_though_the_selector_tells_of_it_only_once(
    publisher, acks, tmp_path
):
    authority = Authority(tmp_path, "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("broker", address="127.0.0.1"))

    def one_record(session, message):
        strangers = [packet(PUBACK, struct.pack("!H", 1_000 + n)) for n in range(50)]
        session.writer.write(b"".join([*strangers, packet(PUBACK, struct.pack("!H", message.packet_id))]))

    async with ScriptedBroker(on_publish=one_record, tls=context) as broker:
        link = publisher(broker.url, ca=authority.file)
        await link.connect()
        packet_id = link.publish(TOPIC, b"x")
        assert await acks.until(1) == [(packet_id, 0)]
        await link.disconnect()


# Losing the connection.


async def test_a_link_cut_before_puback_is_told_once_and_the_message_is_not_told_as_acknowledged(publisher, acks):
    async with ScriptedBroker(on_publish=lambda session, _: session.cut()) as broker:
        link = publisher(broker.url)
        await link.connect()
        told = []
        link.lost.add_done_callback(told.append)
        link.publish(TOPIC, b"1")
        fault = await asyncio.wait_for(link.lost, 20)
    assert type(fault) is LinkLost
    assert "reset" in fault.what
    assert (acks.told, len(told)) == ([], 1)


async def test_a_new_connection_sends_nothing_of_the_last_one(publisher, acks):
    async with ScriptedBroker(on_publish=lambda session, _: session.cut()) as broker:
        link = publisher(broker.url)
        await link.connect()
        link.publish(TOPIC, b"lost")
        await link.lost
        broker.on_publish = acknowledge
        again = publisher(broker.url)
        await again.connect()
        again.publish(TOPIC, b"new")
        await acks.until(1)
        assert [each.payload for each in broker.sessions[1].publishes] == [b"new"]


async def test_pubacks_that_came_with_the_close_are_told_before_the_loss(publisher):
    order = []

    def answer_all_and_close(session, _):
        if len(session.publishes) == 5:
            session.writer.write(
                b"".join(packet(PUBACK, struct.pack("!H", each.packet_id)) for each in session.publishes)
            )
            session.writer.close()

    async with ScriptedBroker(on_publish=answer_all_and_close) as broker:
        link = publisher(broker.url, on_ack=lambda packet_id, _: order.append(packet_id))
        await link.connect()
        link.lost.add_done_callback(lambda _: order.append("lost"))
        ids = [link.publish(TOPIC, b"x") for _ in range(5)]
        await asyncio.wait_for(link.lost, 20)
    assert order == [*ids, "lost"]


async def test_a_dropped_puback_is_not_made_up_and_the_connection_goes_on(publisher, acks):
    def only_even(session, message):
        if message.packet_id % 2 == 0:
            session.ack(message)

    async with ScriptedBroker(on_publish=only_even) as broker:
        link = publisher(broker.url)
        await link.connect()
        ids = [link.publish(TOPIC, b"x") for _ in range(6)]
        await acks.until(3)
        await broker.until(lambda: len(broker.sessions[0].publishes) == 6)
        assert [packet_id for packet_id, _ in acks.told] == [each for each in ids if each % 2 == 0]
        assert not link.lost.done()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x00, LinkLost),
        (0x81, LinkLost),
        (0x87, NotAdmitted),
        (0x89, Busy),
        (0x8B, Busy),
        (0x8D, LinkLost),
        (0x8E, TakenOver),
        (0x93, LinkLost),
        (0x95, LinkLost),
        (0x97, Busy),
        (0x98, LinkLost),
        (0x9A, LinkLost),
        (0x9D, Busy),
    ],
)
async def test_a_disconnect_of_the_broker_is_told_by_what_to_do_next(publisher, code, kind):
    async with ScriptedBroker() as broker:
        link = publisher(broker.url)
        await link.connect()
        broker.sessions[0].dismiss(code)
        fault = await asyncio.wait_for(link.lost, 20)
    assert type(fault) is kind
    assert fault.code == code


async def test_a_close_without_a_word_is_a_lost_link(publisher):
    async with ScriptedBroker() as broker:
        link = publisher(broker.url)
        await link.connect()
        broker.sessions[0].writer.close()
        fault = await asyncio.wait_for(link.lost, 20)
    assert type(fault) is LinkLost
    assert "the broker closed it" in fault.what


@pytest.mark.parametrize("where", ["connack", "later"])
def test_whatever_bytes_a_broker_sends_the_publisher_ends_in_a_fault_of_its_own(where):
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        junk=st.binary(max_size=60) | st.builds(packet, st.integers(0, 15), st.binary(max_size=40), st.integers(0, 15))
    )
    def check(junk):
        asyncio.run(run(junk))

    async def run(junk):
        errors = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

        def answer(session, connect):
            if where == "later":
                accept(session, connect)
            session.writer.write(junk)
            session.writer.close()

        async with ScriptedBroker(answer) as broker:
            link = Publisher(Uplink(name="park", url=broker.url), "c", Will("w", b""), on_ack=lambda *_: None)
            try:
                await link.connect()
            except UplinkFault:
                assert link.lost.done()
            assert isinstance(await asyncio.wait_for(link.lost, 20), UplinkFault)
            await link.disconnect()
        assert errors == []

    check()


@pytest.mark.parametrize("step", ["loop_read", "loop_write", "loop_misc"])
async def test_a_mistake_of_the_library_ends_the_connection_as_a_lost_link(publisher, monkeypatch, step):
    def broken(*_):
        raise KeyError("mid")

    monkeypatch.setattr(wire, "_TURN_S", 0.01)
    async with ScriptedBroker() as broker:
        link = publisher(broker.url)
        await link.connect()
        monkeypatch.setattr(link._client, step, broken)
        link.publish(TOPIC, b"1")
        fault = await asyncio.wait_for(link.lost, 20)
        await broker.until(lambda: broker.sessions[0].ended)
    assert type(fault) is LinkLost
    assert "KeyError('mid')" in fault.what


async def test_a_mistake_in_on_ack_ends_the_connection_and_reaches_who_waits(publisher):
    def broken(_packet_id, _code):
        raise ZeroDivisionError

    async with ScriptedBroker() as broker:
        link = publisher(broker.url, on_ack=broken)
        await link.connect()
        link.publish(TOPIC, b"1")
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(asyncio.shield(link.lost), 20)
        await broker.until(lambda: broker.sessions[0].ended)
        assert broker.sessions[0].disconnected is None
        with pytest.raises(LinkLost):
            link.publish(TOPIC, b"2")


# Keeping it alive.


async def test_silence_is_broken_by_a_pingreq_at_the_servers_keepalive_and_an_unanswered_one_ends_it(
    publisher, monkeypatch
):
    now = [1000.0]
    pings = []
    monkeypatch.setattr("paho.mqtt.client.time_func", lambda: now[0])
    monkeypatch.setattr(wire, "_TURN_S", 0.01)

    class Deaf(ScriptedBroker):
        def _take(self, session, head, body):
            if head >> 4 == PINGREQ:
                pings.append(now[0])
                if len(pings) > 1:
                    return
            super()._take(session, head, body)

    async with Deaf(allowing(keepalive=5)) as broker:
        link = publisher(broker.url)
        assert (await link.connect()).keepalive == 5
        now[0] += 4.9
        await asyncio.sleep(0.05)
        assert pings == []
        now[0] += 0.2
        await broker.until(lambda: len(pings) == 1)
        await asyncio.sleep(0.05)
        now[0] += 5.1
        await broker.until(lambda: len(pings) == 2)
        assert not link.lost.done()
        now[0] += 5.1
        fault = await asyncio.wait_for(link.lost, 20)
    assert type(fault) is LinkLost
    assert "Keep alive" in fault.what


async def test_the_socket_sends_at_once_and_gives_up_a_silent_peer_within_15_seconds(publisher):
    async with ScriptedBroker() as broker:
        link = publisher(broker.url)
        await link.connect()
        sock = link._client.socket()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 12_000
        idle, every = (sock.getsockopt(socket.IPPROTO_TCP, o) for o in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL))
        assert 12 + every <= 15, "the first probe behind the user timeout that has no answer ends it"
        assert idle + every < 12


# Leaving.


@pytest.mark.parametrize("version", [5, 4])
async def test_leaving_sends_disconnect_behind_everything_published(publisher, version):
    payloads = [bytes([n]) * 60_000 for n in range(10)]
    async with ScriptedBroker(on_publish=swallow) as broker:
        link = publisher(broker.url, dialect=Dialect(version=version))
        await link.connect()
        for payload in payloads:
            link.publish(TOPIC, payload)
        await link.disconnect()
        assert link.lost.result() is None
        session = broker.sessions[0]
        await broker.until(lambda: session.ended)
        assert [each.payload for each in session.publishes] == payloads
        assert (session.disconnected, session.ended) == (0, "closed")


async def test_leaving_with_unread_pubacks_does_not_reset_the_connection_under_the_disconnect(publisher):
    def flood(session, _):
        session.writer.write(packet(PUBACK, struct.pack("!H", 9)) * 5_000)

    async with ScriptedBroker(on_publish=flood) as broker:
        link = publisher(broker.url)
        await link.connect()
        link.publish(TOPIC, b"x")
        session = broker.sessions[0]
        await broker.until(lambda: session.publishes)
        await link.disconnect()
        await broker.until(lambda: session.ended)
        assert (session.disconnected, session.ended) == (0, "closed")


async def test_leaving_twice_or_before_connecting_or_after_the_loss_does_nothing(publisher):
    async with ScriptedBroker() as broker:
        never = publisher(broker.url)
        await never.disconnect()
        link = publisher(broker.url)
        await link.connect()
        await link.disconnect()
        await link.disconnect()
        lost = publisher(broker.url)
        await lost.connect()
        broker.sessions[-1].cut()
        fault = await lost.lost
        await lost.disconnect()
        assert lost.lost.result() is fault
        assert len(broker.sessions) == 2


async def test_a_broker_that_takes_nothing_any_more_cannot_hold_us(publisher, monkeypatch):
    monkeypatch.setattr(wire, "GOODBYE_S", 0.05)
    monkeypatch.setattr(publisher_module, "GOODBYE_S", 0.05)
    async with ScriptedBroker(on_publish=swallow) as broker:
        link = publisher(broker.url, window=100)
        await link.connect()
        broker.sessions[0].reader._transport.pause_reading()
        for _ in range(100):
            link.publish(TOPIC, bytes(60_000))
        await link.disconnect()
        assert type(link.lost.result()) is LinkLost


@pytest.mark.parametrize("ending", ["left", "lost", "refused", "failed in on_ack"])
async def test_nothing_of_a_finished_connection_stays_on_the_loop(ending):
    def on_ack(*_):
        raise ZeroDivisionError

    answer = saying(connack(5, 0x87)) if ending == "refused" else accept
    async with ScriptedBroker(answer) as broker:
        link = Publisher(Uplink(name="park", url=broker.url), "c", Will("w", b""), on_ack=on_ack)
        try:
            await link.connect()
            link.publish(TOPIC, b"x") if ending == "failed in on_ack" else None
            broker.sessions[0].cut() if ending == "lost" else None
            if ending == "left":
                await link.disconnect()
            await asyncio.wait([link.lost])
        except UplinkFault:
            assert ending == "refused"
        link.lost.exception()
        for thread in threading.enumerate():
            if thread.name == "dial-park":
                thread.join(20)
        gone = weakref.ref(link)
        del link
        for _ in range(50):  # what is closed, the loop lets go of in one of its next rounds
            await asyncio.sleep(0)
        gc.collect()
        assert gone() is None  # a reader, writer or timer on the loop would hold it
