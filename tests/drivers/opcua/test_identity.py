"""Asking an OPC UA server what it is."""

import pytest
from asyncua import ua
from support.opcua_park import Wire, bare, datavalue, instrument, line, point

from parkgate.drivers.faults import Unreachable
from parkgate.drivers.identity import Identity
from parkgate.drivers.opcua.driver import OpcUaDriver
from parkgate.simulator.opcua import OpcUaPlant

TANK = instrument(point("level"))
MANUFACTURER, PRODUCT = 2263, 2261


def driver(url, **more):
    return OpcUaDriver(line(url, **more), [TANK], lambda: 1_000)


async def test_the_simulator_says_that_it_is_one():
    async with OpcUaPlant("opc.tcp://127.0.0.1:0/parkgate", [TANK]) as plant, driver(plant.url) as opened:
        said = await opened.identify(TANK)
    assert (said.vendor, said.product) == ("Parkgate", "Parkgate simulator")
    assert said.revision
    assert said.simulated


async def test_another_server_is_what_it_says_and_asked_once():
    async with bare() as park, driver(park.url) as opened:
        said = await opened.identify(TANK)
        await park.server.get_node(ua.NodeId(MANUFACTURER)).write_value("Somebody else")
        assert await opened.identify(TANK) is said
    assert said.vendor == "FreeOpcUa"
    assert not said.simulated


async def test_a_server_that_has_no_text_there_says_nothing():
    async with bare() as park:
        for number in (MANUFACTURER, PRODUCT):
            bad = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNodeIdUnknown)))
            park.server.set_attribute_value_callback(ua.NodeId(number), lambda *_, bad=bad: bad)
        async with driver(park.url) as opened:
            assert await opened.identify(TANK) is None


async def test_silence_says_nothing_and_the_session_goes_on():
    async with bare() as park, Wire(park.url) as wire:
        await park.put("level", datavalue(2.5))
        async with driver(wire.url, timeout=300) as opened:
            await opened.read(TANK)
            wire.hold()
            assert await opened.identify(TANK) is None
            (snapshot,) = await opened.read(TANK)
    assert snapshot.values == (2.5,)


async def test_a_session_that_is_gone_has_not_answered():
    async with bare() as park:
        opened = driver(park.url)
        async with opened:
            for client in tuple(park.server.bserver.clients):
                client.transport.close()
            await park.until_no_client()
            with pytest.raises(Unreachable):
                await opened.identify(TANK)
        with pytest.raises(Unreachable):
            await opened.identify(TANK)
        async with opened:
            assert isinstance(await opened.identify(TANK), Identity)
