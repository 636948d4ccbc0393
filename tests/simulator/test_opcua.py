"""The simulated OPC UA server, asked by the driver and by a bare client."""

import errno
import logging

import pytest
from asyncua import Client, ua
from support.opcua_park import T0, URI, instrument, line, point, state

from parkgate.config.flag import Flag
from parkgate.drivers.faults import Unusable
from parkgate.drivers.opcua.driver import OpcUaDriver
from parkgate.simulator.opcua import OpcUaPlant

ANY_PORT = "opc.tcp://127.0.0.1:0/parkgate"


def tank(name="tank-1", **more):
    points = (
        point("level", at=f"nsu={URI};s={name}.Level"),
        point("temperature", "float32", at=f"nsu={URI};s={name}.Temperature", digits=1),
        point("overfill", "bool", at=f"nsu=urn:test:switches;s={name}.Overfill"),
        point("raw", "int16", at=f"ns=5;s={name}.Raw", scale=0.1),
        point("total", "uint64", at=f"nsu={URI};s={name}.Total", **{"as": "string"}),
        point("batch", "string", at=f"nsu={URI};s={name}.Batch"),
    )
    states = (state(f"{name}.Health", 1), state(f"{name}.Health", 2, "maintenance"), state(f"{name}.Word", bits=(4, 7)))
    return instrument(*points, states=states, name=name, **more)


VALUES = {"level": 3.123, "temperature": 21.4, "overfill": 1, "raw": 10.5, "total": str(2**60), "batch": "B-7"}


async def read(plant, asked):
    async with OpcUaDriver(line(plant.url), [asked], lambda: T0 + 60_000) as driver:
        (snapshot,) = await driver.read(asked)
    return snapshot


async def test_what_is_written_is_what_the_driver_reads_at_the_time_it_was_written_for():
    async with OpcUaPlant(ANY_PORT, [tank(), tank("tank-2")]) as plant:
        await plant.update("tank-1", T0, VALUES, (0, 2, 9))
        await plant.update("tank-2", T0 + 5, VALUES | {"level": 4}, (1, 0, 0))
        one, two = await read(plant, tank()), await read(plant, tank("tank-2"))
    assert one.values == tuple(VALUES.values())
    assert (one.at, one.flags, one.uncertain, one.offsets) == (T0, {}, frozenset(), {})
    assert one.states == (2, 2, 9)
    assert (two.at, two.values[0], two.states) == (T0 + 5, 4.0, (1, 1, 0))


async def test_before_the_first_update_and_where_there_is_no_value_the_points_are_without_communication():
    async with OpcUaPlant(ANY_PORT, [tank()]) as plant:
        waiting = await read(plant, tank())
        assert waiting.flags == dict.fromkeys(range(6), Flag.NO_COMMUNICATION)
        assert waiting.states == (None, None, None)
        await plant.update("tank-1", T0, VALUES | {"level": None}, (0, 0, 0))
        part = await read(plant, tank())
        assert part.flags == {0: Flag.NO_COMMUNICATION}
        await plant.update("tank-1", T0 + 1, VALUES, (0, 0, 0))
        whole = await read(plant, tank())
        assert (whole.at, whole.flags) == (T0 + 1, {})


async def test_a_value_too_large_for_its_type_does_not_spoil_the_others():
    async with OpcUaPlant(ANY_PORT, [tank()]) as plant:
        await plant.update(
            "tank-1", T0, VALUES | {"temperature": 1e300, "raw": 1e9, "total": str(2**70)}, (2**40, 0, 0)
        )
        snapshot = await read(plant, tank())
    assert snapshot.flags == {1: Flag.FAULT}
    assert snapshot.values == (3.123, None, 1, 3276.7, str(2**64 - 1), "B-7")
    assert snapshot.states[0] == 2**31 - 1


async def test_any_client_sees_typed_read_only_variables_under_an_object_for_each_instrument():
    async with OpcUaPlant(ANY_PORT, [tank()]) as plant:
        await plant.update("tank-1", T0, VALUES, (0, 0, 0))
        async with Client(plant.url) as client:
            folder = await client.nodes.objects.get_child(["1:tank-1"])
            kinds = {(await node.read_browse_name()).Name: (await node.read_data_value()).Value.VariantType.name
                     for node in await folder.get_children()}  # fmt: skip
            level = client.get_node(ua.NodeId("tank-1.Level", await client.get_namespace_index(URI)))
            assert await level.read_value() == 3.123
            with pytest.raises(ua.UaStatusCodeError):
                await level.write_value(9.9)
            product = await client.get_node(ua.ObjectIds.Server_ServerStatus_BuildInfo_ProductName).read_value()
            endpoints = await client.get_endpoints()
    assert kinds == {"level": "Double", "temperature": "Float", "overfill": "Boolean", "raw": "Int16",
                     "total": "UInt64", "batch": "String", "state_1": "Int32", "state_3": "Int32"}  # fmt: skip
    assert product == "Parkgate simulator"
    assert [(each.SecurityMode.name, each.EndpointUrl) for each in endpoints] == [("None_", plant.url)]


async def test_two_points_on_one_node_and_two_instruments_that_share_one_are_fine():
    twin = instrument(point("a", at=f"nsu={URI};s=Shared"), point("b", at=f"nsu={URI};s=Shared"))
    other = instrument(point("c", at=f"nsu={URI};s=Shared"), name="tank-2")
    async with OpcUaPlant(ANY_PORT, [twin, other]) as plant:
        await plant.update("tank-1", T0, {"a": 1.0, "b": 1.0}, ())
        assert (await read(plant, twin)).values == (1.0, 1.0)
        assert (await read(plant, other)).values == (1.0,)


async def test_a_name_with_several_addresses_gets_one_free_port():
    async with OpcUaPlant("opc.tcp://localhost:0/x", [tank()]) as plant:
        assert plant.url.startswith("opc.tcp://localhost:")
        assert not plant.url.endswith(":0/x")
        assert (await read(plant, tank())).flags


async def test_a_port_in_use_is_an_error_that_names_the_url_and_the_plant_can_stand_elsewhere():
    async with OpcUaPlant(ANY_PORT, [tank()]) as plant:
        with pytest.raises(OSError, match=f"cannot listen at {plant.url}: .*in use") as caught:
            await OpcUaPlant(plant.url, [tank()]).__aenter__()
        assert caught.value.errno == errno.EADDRINUSE
        assert (await read(plant, tank())).values == (None,) * 6
    async with OpcUaPlant(plant.url, [tank()]) as again:
        assert again.url == plant.url
        assert (await read(again, tank())).values == (None,) * 6


async def test_an_instrument_it_does_not_have_is_an_error():
    async with OpcUaPlant(ANY_PORT, [tank()]) as plant:
        with pytest.raises(KeyError):
            await plant.update("tank-9", T0, {}, ())


def test_what_cannot_be_a_node_or_a_server_is_refused_when_it_is_made():
    with pytest.raises(Unusable, match="not an OPC UA node id"):
        OpcUaPlant(ANY_PORT, [instrument(point("a", at="holding 1"))])
    with pytest.raises(Unusable, match="not the address of an OPC UA server"):
        OpcUaPlant("modbus-tcp://127.0.0.1:0", [tank()])


def test_the_library_is_quiet():
    assert not logging.getLogger("asyncua.server.server").isEnabledFor(logging.CRITICAL)
