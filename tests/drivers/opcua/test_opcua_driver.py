"""The driver against real OPC UA servers, whole and broken."""

import asyncio
import logging
import socket

import pytest
from asyncua import ua
from asyncua.client.ua_client import UaClientState
from asyncua.common.callback import CallbackType
from asyncua.common.utils import ServiceError
from support.opcua_park import T0, URI, Wire, bare, datavalue, instrument, line, point, state

from parkgate.config.flag import Flag
from parkgate.drivers.catalog import open_driver
from parkgate.drivers.faults import Garbled, Silent, Unreachable, Unusable
from parkgate.drivers.opcua.driver import OpcUaDriver

NOW = T0 + 60_000
SHORT = 100  # ms: how long a question lasts where no answer can come
LONG = 1_500  # ms: the same where others must still be answered, however busy the computer


def driver(url, *instruments, **more):
    return OpcUaDriver(line(url, **more), instruments, lambda: NOW)


async def read(url, asked, **more):
    async with driver(url, asked, **more) as opened:
        (snapshot,) = await opened.read(asked)
    return snapshot


@pytest.fixture(autouse=True)
def the_library_says_nothing(caplog):
    yield
    assert [record for record in caplog.records if record.name.startswith("asyncua")] == []


async def test_ten_bad_nodes_among_a_hundred_leave_the_ninety_unaffected():
    tank = instrument(*(point(f"p{number}") for number in range(100)))
    async with bare() as park:
        for number in range(100):
            if number % 10:
                await park.put(f"p{number}", datavalue(number / 8))
        snapshot = await read(park.url, tank)
    assert snapshot.flags == dict.fromkeys(range(0, 100, 10), Flag.BAD_CONFIGURATION)
    assert snapshot.values == tuple(number / 8 if number % 10 else None for number in range(100))
    assert (snapshot.at, snapshot.offsets) == (T0, {})


async def test_each_status_becomes_the_flag_of_its_own_point_alone():
    statuses = {
        "fine": (0, None),
        "gone": (ua.StatusCodes.BadNotConnected, Flag.NO_COMMUNICATION),
        "off": (ua.StatusCodes.BadOutOfService, Flag.OUT_OF_SERVICE),
        "broken": (ua.StatusCodes.BadSensorFailure, Flag.FAULT),
        "rough": (ua.StatusCodes.UncertainSensorNotAccurate, None),
        "old": (ua.StatusCodes.UncertainLastUsableValue, Flag.STALE),
    }
    tank = instrument(*map(point, statuses), states=[state()])
    async with bare() as park:
        for name, (status, _) in statuses.items():
            await park.put(name, datavalue(1.5, status=status))
        await park.put("Health", datavalue(3, ua.VariantType.Int32))
        snapshot = await read(park.url, tank)
    assert snapshot.flags == {place: flag for place, (_, flag) in enumerate(statuses.values()) if flag}
    assert snapshot.values == (1.5, None, None, None, 1.5, 1.5)
    assert snapshot.uncertain == {4}
    assert snapshot.states == (3,)


async def test_values_of_every_server_type_come_as_the_profile_says_or_are_flagged():
    held = {
        "level": ("double", datavalue(21.4, ua.VariantType.Float), 21.4),
        "flow": ("float32", datavalue(4.1, ua.VariantType.Float), 4.1),
        "count": ("uint64", datavalue(2**53, ua.VariantType.UInt64), 2**53),
        "small": ("int16", datavalue(-3, ua.VariantType.SByte), -3),
        "door": ("bool", datavalue(True, ua.VariantType.Boolean), 1),  # noqa: FBT003  a node's value
        "mode": ("string", datavalue(ua.LocalizedText("自动", "zh"), ua.VariantType.LocalizedText), "自动"),
        "batch": ("string", datavalue("B-7", ua.VariantType.String), "B-7"),
        "whole": ("double", datavalue(5, ua.VariantType.Int32), 5.0),
        "spectrum": ("double", datavalue([1.0, 2.0], ua.VariantType.Double), None),
        "label": ("double", datavalue("4.2", ua.VariantType.String), None),
        "when": ("double", datavalue(datavalue(0).SourceTimestamp, ua.VariantType.DateTime), None),
        "build": ("string", datavalue(ua.BuildInfo(), ua.VariantType.ExtensionObject), None),
        "empty": ("double", datavalue(None, ua.VariantType.Null), None),
    }
    tank = instrument(*(point(name, kind) for name, (kind, *_) in held.items()))
    async with bare() as park:
        for name, (_, value, _) in held.items():
            await park.put(name, value)
        snapshot = await read(park.url, tank)
    assert snapshot.values == tuple(value for *_, value in held.values())
    assert snapshot.flags == dict.fromkeys(range(8, 13), Flag.BAD_CONFIGURATION)


async def test_every_kind_of_node_id_reaches_its_node():
    points = [
        point("time", "int32", at="i=2259"),  # the server's State: Running
        point("index", at="ns=2;s=level"),
        point("uri", at=f"nsu={URI};s=level"),
        point("number", at="ns=2;i=70000"),
        point("bytes", at="ns=2;b=AAE="),
        point("guid", at="ns=2;g=09087e75-8e5e-499b-954f-f2a9603db28a"),
    ]
    async with bare() as park:
        assert park.space == 2
        await park.put("level", datavalue(1.0))
        for other in points[3:]:
            node = ua.NodeId.from_string(other.at)
            await park.server.nodes.objects.add_variable(node, ua.QualifiedName(other.name, 2), 2.5)
        snapshot = await read(park.url, instrument(*points))
    assert snapshot.values == (0, 1.0, 1.0, 2.5, 2.5, 2.5)
    assert snapshot.flags == {}


async def test_a_point_whose_own_time_differs_says_by_how_much():
    tank = instrument(point("a"), point("b"), point("c"))
    async with bare() as park:
        await park.put("a", datavalue(1.0, source=T0 - 400))
        await park.put("b", datavalue(2.0))
        await park.put("c", datavalue(3.0, source=None, server=T0 - 7))
        snapshot = await read(park.url, tank)
    assert (snapshot.at, snapshot.offsets) == (T0, {0: -400, 2: -7})


async def test_where_a_server_gives_no_time_ours_counts():
    async with bare() as park:
        await park.put("a", datavalue(1.0, source=None, server=None))
        snapshot = await read(park.url, instrument(point("a")))
    assert (snapshot.at, snapshot.offsets) == (NOW, {})


@pytest.mark.parametrize(("limit", "sizes"), [(10_000, [3, 200, 200, 50]), (120, [3, 120, 120, 120, 90])])
async def test_one_cycle_asks_in_blocks_within_our_limit_and_the_servers(limit, sizes):
    tank = instrument(*(point(f"p{number}") for number in range(450)))
    asked = []

    async def note(event, _):
        asked.append(len(event.request_params.NodesToRead))

    async with bare() as park:
        await park.put("p449", datavalue(7.0))
        most = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead)
        await park.server.write_attribute_value(most, datavalue(limit, ua.VariantType.UInt32))
        async with driver(park.url, tank) as opened:
            park.server.subscribe_server_callback(CallbackType.PreRead, note)
            (snapshot,) = await opened.read(tank)
            assert asked[: len(sizes) - 1] == sizes[1:]  # what is asked behind it is what its values mean
    assert (snapshot.values[449], snapshot.values[448]) == (7.0, None)


async def test_entering_asks_for_the_namespaces_once_whatever_the_number_of_points():
    tank = instrument(point("a"), point("b"), point("c"))
    asked = []

    async def note(event, _):
        asked.append([node.NodeId.Identifier for node in event.request_params.NodesToRead])

    async with bare() as park:
        park.server.subscribe_server_callback(CallbackType.PreRead, note)
        async with driver(park.url, tank):
            assert asked == [[2255, 11705, 11714]]


async def test_a_namespace_the_server_does_not_have_costs_its_own_points_until_the_server_has_it():
    tank = instrument(point("a"), point("late", at="nsu=urn:test:late;s=late"))
    async with bare() as park:
        await park.put("a", datavalue(1.0))
        async with driver(park.url, tank) as opened:
            (before,) = await opened.read(tank)
            space = await park.server.register_namespace("urn:test:late")
            node = ua.NodeId("late", space)
            await park.server.nodes.objects.add_variable(node, ua.QualifiedName("late", space), 2.0)
            (after,) = await opened.read(tank)
    assert (before.values, before.flags) == ((1.0, None), {1: Flag.BAD_CONFIGURATION})
    assert (after.values, after.flags) == ((1.0, 2.0), {})


async def test_values_are_asked_for_as_they_are_now_with_both_times():
    tank = instrument(point("a"))
    asked = []

    async def note(event, _):
        asked.append((event.request_params.MaxAge, event.request_params.TimestampsToReturn.name))

    async with bare() as park, driver(park.url, tank) as opened:
        park.server.subscribe_server_callback(CallbackType.PreRead, note)
        await opened.read(tank)
    assert asked == [(0, "Both")]


async def test_several_instruments_share_one_session_one_after_the_other():
    tanks = [instrument(point("a"), name="tank-1"), instrument(point("b"), name="tank-2")]
    async with bare() as park:
        await park.put("a", datavalue(1.0))
        await park.put("b", datavalue(2.0))
        async with driver(park.url, *tanks) as opened:
            said = [(await opened.read(tank))[0] for tank in (*tanks, *tanks)]
            assert park.sessions == 1
    assert [(each.instrument, each.values) for each in said] == [("tank-1", (1.0,)), ("tank-2", (2.0,))] * 2


async def test_leaving_leaves_no_session_no_connection_and_no_task():
    tank = instrument(point("a"))
    async with bare() as park:
        before = asyncio.all_tasks()
        for _ in range(3):
            await read(park.url, tank)
            assert park.sessions == 0
        with pytest.raises(ZeroDivisionError):
            async with driver(park.url, tank):
                raise ZeroDivisionError
        async with asyncio.timeout(5):
            await park.until_no_client()
        assert asyncio.all_tasks() - before == set()


async def test_a_server_that_stops_is_unreachable_and_one_that_is_back_is_read_again():
    tank = instrument(point("a"))
    async with bare() as park:
        await park.put("a", datavalue(1.0))
        port = park.server.bserver.port
        opened = driver(park.url, tank)
        await opened.__aenter__()
        assert (await opened.read(tank))[0].values == (1.0,)
    for _ in range(2):
        with pytest.raises(Unreachable, match=f'line "dcs" \\(127.0.0.1:{port}\\): the OPC UA session is gone'):
            await opened.read(tank)
    await opened.__aexit__(None, None, None)
    with pytest.raises(Unreachable, match="no OPC UA session"):
        await opened.__aenter__()
    async with bare(port) as park:
        await park.put("a", datavalue(2.0))
        async with opened:
            assert (await opened.read(tank))[0].values == (2.0,)
        assert park.sessions == 0


async def test_a_driver_that_was_left_says_so():
    tank = instrument(point("a"))
    async with bare() as park:
        opened = driver(park.url, tank)
        async with opened:
            await opened.read(tank)
        with pytest.raises(Unreachable, match="not open"):
            await opened.read(tank)


async def test_a_session_that_the_server_has_forgotten_is_unreachable():
    tank = instrument(point("a"))
    async with bare() as park, driver(park.url, tank) as opened:
        (protocol,) = park.server.bserver.clients
        await protocol.processor.session.close_session()
        protocol.processor.session = None
        with pytest.raises(Unreachable, match="session is gone"):
            await opened.read(tank)


async def test_a_connection_that_goes_dead_without_a_word_is_unreachable():
    tank = instrument(point("a"))
    async with bare() as park, Wire(park.url) as wire, driver(wire.url, tank, timeout=LONG) as opened:
        await opened.read(tank)
        wire.cut()
        with pytest.raises(Unreachable, match="no answer in time"):
            await opened.read(tank)


async def test_a_line_that_went_dead_between_two_polls_is_found_and_its_socket_closed(monkeypatch):
    monkeypatch.setattr("parkgate.drivers.opcua.session._KEEPALIVE_S", 0.01)
    tank = instrument(point("a"))
    async with bare() as park, Wire(park.url) as wire, asyncio.timeout(20):
        opened = await driver(wire.url, tank, timeout=LONG).__aenter__()
        client = opened._open.session.client
        protocol = client.uaclient.protocol
        async with client.subscribe_state() as states:
            wire.cut()
            await states.wait_for_state(UaClientState.DISCONNECTED)
        assert protocol.transport is not None
        with pytest.raises(Unreachable, match="session is gone"):
            await opened.read(tank)
        await opened.__aexit__(None, None, None)
        assert protocol.transport is None


async def test_a_late_answer_is_silence_of_its_instrument_and_never_taken_for_the_next_one():
    slow, quick = instrument(point("a"), name="slow"), instrument(point("b"), name="quick")
    async with bare() as park, Wire(park.url) as wire, driver(wire.url, slow, quick, timeout=LONG) as opened:
        await park.put("a", datavalue(1.0))
        await park.put("b", datavalue(2.0))
        wire.hold()
        with pytest.raises(Silent, match=r'instrument "slow".*no answer in time'):
            await opened.read(slow)
        assert (await opened.read(quick))[0].values == (2.0,)
        assert (await opened.read(slow))[0].values == (1.0,)
        assert park.sessions == 1


async def test_a_question_that_the_server_refuses_is_silence_of_its_instrument_alone():
    bad, good = instrument(point("a"), name="bad"), instrument(point("b"), name="good")

    async def refuse(event, _):
        if any(node.NodeId.Identifier == "a" for node in event.request_params.NodesToRead):
            raise ServiceError(ua.StatusCodes.BadInternalError)

    async with bare() as park:
        await park.put("b", datavalue(2.0))
        park.server.subscribe_server_callback(CallbackType.PreRead, refuse)
        async with driver(park.url, bad, good) as opened:
            with pytest.raises(Silent, match=r'instrument "bad".*BadInternalError'):
                await opened.read(bad)
            assert (await opened.read(good))[0].values == (2.0,)


async def test_an_answer_without_a_result_for_each_node_is_garbled_and_nothing_of_it_is_used():
    tank = instrument(point("a"), point("b"))

    async def shorten(event, _):
        if len(event.request_params.NodesToRead) == len(tank.points):
            event.response_params.pop()

    async with bare() as park, driver(park.url, tank) as opened:
        park.server.subscribe_server_callback(CallbackType.PostRead, shorten)
        with pytest.raises(Garbled, match="1 results came for 2 nodes"):
            await opened.read(tank)


async def test_an_answer_that_cannot_be_decoded_is_garbled_and_the_line_goes_on():
    tank = instrument(point("a"))
    async with bare() as park:
        await park.put("a", datavalue("#" * 40))

        class Bent(Wire):
            async def _answers(self, there, writer):
                while data := await there.read(1 << 16):
                    writer.write(data.replace(b"\x28\x00\x00\x00" + b"#" * 40, b"\xff\xff\xff\x7f" + b"#" * 40))

        async with Bent(park.url) as wire, driver(wire.url, tank) as opened:
            with pytest.raises(Garbled, match="cannot be used"):
                await opened.read(tank)
            await park.put("a", datavalue(4.5))
            assert (await opened.read(tank))[0].values == (4.5,)


async def test_a_port_where_nobody_listens_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=f'line "dcs" \\(127.0.0.1:{port}\\): no OPC UA session') as caught:
        await driver(f"opc.tcp://user:secret@127.0.0.1:{port}/x", instrument(point("a"))).__aenter__()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256)), b"ACKF\x08\x00\x00\x00", b"ERRF" + bytes(12),
     b"ACKF\x1c\x00\x00\x00" + bytes(20) + b"OPNF\xff\x00\x00\x00" + bytes(300)],
)  # fmt: skip
async def test_what_is_not_an_opc_ua_server_is_unreachable(said):
    async def answer(reader, writer):
        await reader.read(1)
        if said is not None:
            writer.write(said)
            if not said:
                writer.close()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(Unreachable, match="no OPC UA session"):
            await driver(url, instrument(point("a")), timeout=SHORT).__aenter__()


async def test_a_server_that_only_offers_secured_endpoints_says_what_to_allow():
    async with bare() as park:
        park.server.iserver.endpoints[0].SecurityMode = ua.MessageSecurityMode.Sign
        with pytest.raises(Unreachable, match=r"no endpoint without security.*security policy"):
            await driver(park.url, instrument(point("a"))).__aenter__()
        for session in tuple(park.server.iserver._external_sessions.values()):
            await session.close_session()  # never activated: a server drops it by itself after a while


async def test_a_server_that_refuses_anonymous_clients_says_so():
    def named_only(server):
        server.set_identity_tokens([ua.UserNameIdentityToken])

    async with bare(prepare=named_only) as park:
        with pytest.raises(Unreachable, match=r"BadIdentityTokenRejected.*admits anonymous"):
            await driver(park.url, instrument(point("a"))).__aenter__()


async def test_giving_up_while_connecting_leaves_nothing_open():
    gone = asyncio.Event()

    async def listen(reader, writer):
        await reader.read(1)
        started.set()
        await reader.read()
        gone.set()
        writer.close()

    started = asyncio.Event()
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        url = f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        connecting = asyncio.create_task(driver(url, instrument(point("a")), timeout=60_000).__aenter__())
        await started.wait()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await gone.wait()


async def test_the_catalogue_opens_this_driver_for_an_opc_ua_line():
    tank = instrument(point("a"))
    async with bare() as park:
        await park.put("a", datavalue(1.0))
        async with open_driver(line(park.url), [tank], lambda: NOW) as opened:
            assert isinstance(opened, OpcUaDriver)
            assert (await opened.read(tank))[0].values == (1.0,)


def test_what_cannot_work_is_refused_before_anything_is_opened():
    with pytest.raises(Unusable, match="not an OPC UA node id"):
        driver("opc.tcp://127.0.0.1", instrument(point("a", at="input 0")))
    with pytest.raises(Unusable, match="not the address of an OPC UA server"):
        driver("modbus-tcp://127.0.0.1", instrument(point("a")))


def test_the_library_is_quiet():
    assert not logging.getLogger("asyncua.client.client").isEnabledFor(logging.CRITICAL)
