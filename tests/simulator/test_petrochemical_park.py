"""The petrochemical park: sixty instruments that are believable, and that clients which are not ours can ask."""

import asyncio
import struct
from collections import Counter
from statistics import correlation
from urllib.parse import urlsplit

import pytest
from asyncua import Client
from pymodbus.client import AsyncModbusTcpClient
from support.cabinet import verb

from parkgate.config.load import read_site
from parkgate.drivers.modbus.address import parse
from parkgate.simulator.device import shapes_of
from parkgate.simulator.modbus import ModbusPlant
from parkgate.simulator.park import Clock, Park
from parkgate.simulator.scenario import load_scenario
from parkgate.simulator.shapes import Correlated, Steady
from parkgate.simulator.shapes import Counter as Totaliser
from parkgate.simulator.world import World

NAME = "petrochemical-park"
LETTERS = {"uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "float32": "f"}


@pytest.fixture(scope="module")
def scenario():
    return load_scenario(NAME)


@pytest.fixture(scope="module")
def hour(scenario):
    """What every point of every instrument shows in an hour, every ten seconds."""
    world = World(scenario)
    series = {(name, point): [value] for name, each in world.devices.items() for point, value in each.values().items()}
    for _ in range(360):
        world.advance(10_000)
        for name, device in world.devices.items():
            for point, value in device.values().items():
                series[name, point].append(value)
    return series


def stands(name, shapes):
    """Tell whether a shape is meant to give one value only."""
    shape = shapes.get(name)
    if isinstance(shape, Correlated):
        return not shape.jitter and stands(shape.of, shapes)
    return (isinstance(shape, Steady) and not shape.jitter) or (isinstance(shape, Totaliser) and shape.rate == 0)


async def test_check_accepts_the_site(scenario):
    code, out, err = await verb("check", scenario.site.path)

    assert (code, err) == (0, "")
    assert "12 lines, 60 instruments" in out


def test_it_is_60_instruments_on_11_modbus_lines_and_one_opc_ua_server(scenario):
    site = scenario.site
    schemes = Counter(urlsplit(line.url).scheme for line in site.lines)

    assert (len(site.instruments), schemes) == (60, {"modbus-tcp": 11, "opc.tcp": 1})
    assert min(len(site.on(line)) for line in site.lines) > 1
    assert len({(each.line, each.unit) for each in site.instruments if each.protocol == "modbus"}) == 54
    assert {each.every for each in site.instruments} >= {1_000, 60_000}
    assert all(each.title and not each.title.isascii() for each in (site.gateway, *site.lines, *site.instruments))


def test_every_gas_detector_is_a_safety_instrument_and_nothing_else_is(scenario):
    assert all(each.safety == each.name.startswith("gas-") for each in scenario.site.instruments)


def test_its_ports_are_not_the_demo_s(scenario):
    demo = read_site(scenario.site.path.with_name("demo.toml")).site

    ports = [urlsplit(line.url).port for line in (*scenario.site.lines, *demo.lines)]

    assert len(set(ports)) == len(ports)


def test_every_value_stays_within_its_range_for_an_hour(scenario, hour):
    outside = {
        (each.name, point.name): (min(seen), max(seen))
        for each in scenario.site.instruments
        for point in each.points
        if point.range is not None
        for seen in [hour[each.name, point.name]]
        if min(seen) < point.range[0] or max(seen) > point.range[1]
    }

    assert outside == {}


def test_every_point_moves_unless_it_is_a_contact_or_meant_to_stand_still(scenario, hour):
    still = {key for key, seen in hour.items() if len(set(seen)) == 1}
    meant = set()
    for each in scenario.site.instruments:
        shapes = shapes_of(each, scenario.shapes[each.name])
        meant |= {(each.name, p.name) for p in each.points if p.type == "bool" or stands(p.name, shapes)}

    assert still - meant == set()
    assert ("gate-5", "position") in still


@pytest.mark.parametrize(
    ("one", "other", "sign"),
    [
        (("stack-1", "nox"), ("stack-2", "nox"), 1),
        (("stack-1", "so2"), ("stack-1", "nox"), 1),
        (("stack-4", "co2"), ("stack-4", "o2"), -1),
        (("capture-in", "co2"), ("capture-in", "o2"), -1),
        (("stack-1", "nox"), ("product-1", "mass_flow"), 1),
        (("product-1", "mass_flow"), ("motor-1", "power"), 1),
        (("weather-1", "wind_speed"), ("weather-2", "wind_speed"), 1),
        (("weather-1", "wind_speed"), ("fence-2", "benzene"), -1),
        (("flow-3", "flow"), ("flow-1", "flow"), 1),
        (("flow-3", "flow"), ("gate-1", "position"), 1),
        (("flow-1", "flow"), ("cod-1", "concentration"), -1),
    ],
    ids=lambda value: value if isinstance(value, int) else ".".join(value),
)
def test_what_belongs_together_moves_together(hour, one, other, sign):
    assert sign * correlation(hour[one], hour[other]) > 0.8


def test_a_gate_that_opens_leaves_one_limit_switch_and_reaches_the_other(hour):
    switches = list(zip(hour["gate-2", "closed_limit"], hour["gate-2", "open_limit"], strict=True))

    assert (switches[0], switches[-1]) == ((1, 0), (0, 1))
    assert set(hour["gate-1", "closed_limit"]) == {0}


def test_the_heartbeat_of_an_instrument_that_has_one_moves_at_every_reading(scenario):
    world = World(scenario)
    beating = [each for each in scenario.site.instruments if each.heartbeat is not None]
    assert [each.name for each in beating] == ["gas-12", "gas-13", "gas-14", "gas-15"]
    seen = {each.name: [] for each in beating}
    for _ in range(60):
        world.advance(1_000)
        for name, readings in seen.items():
            readings.append(world.devices[name].states()[-1])
    assert [len(set(readings)) for readings in seen.values()] == [60] * 4


async def _never(_seconds):
    await asyncio.Event().wait()


@pytest.fixture
async def park(scenario):
    """The park on real sockets, its clock held at the start, where a world of its own stands too."""
    async with Park(scenario, any_port=True, clock=Clock(sleep=_never)) as park:
        yield park


def registers(words, point, order):
    """Make a number of registers, as the orders are defined: without our codec."""
    pairs = [struct.pack(">H", word) for word in words]
    if order in ("CDAB", "DCBA"):
        pairs.reverse()
    if order in ("BADC", "DCBA"):
        pairs = [pair[::-1] for pair in pairs]
    (raw,) = struct.unpack(">" + LETTERS[point.type], b"".join(pairs))
    return raw * point.scale + point.offset


async def test_pymodbus_finds_every_modbus_instrument_with_the_value_it_holds(scenario, park):
    world = World(scenario)
    asked = []
    for line in scenario.site.lines:
        url = urlsplit(park.urls[line.name])
        if url.scheme != "modbus-tcp":
            continue
        client = AsyncModbusTcpClient(url.hostname, port=url.port)
        assert await client.connect()
        for each in scenario.site.on(line):
            point = each.points[0]
            address = parse(point.at, each.base)
            read = {"input": client.read_input_registers, "holding": client.read_holding_registers}[address.table]
            count = struct.calcsize(LETTERS[point.type]) // 2
            answer = await read(address.register, count=count, device_id=each.unit)
            value = registers(answer.registers, point, point.order or each.order)
            assert value == pytest.approx(world.devices[each.name].values()[point.name], rel=1e-6), each.name
            asked.append(each.name)
        client.close()

    assert len(asked) == 54


async def test_a_jiangsu_analyser_answers_at_30001_on_the_wire(scenario):
    async with ModbusPlant("modbus-tcp://127.0.0.1:0", World(scenario).units["discharge"]) as plant:
        url = urlsplit(plant.url)
        async with AsyncModbusTcpClient(url.hostname, port=url.port) as client:
            answer = await client.read_holding_registers(0x7531, count=3, device_id=1)

    assert answer.registers[0] == 1
    assert 30 < struct.unpack(">f", struct.pack(">HH", *answer.registers[1:]))[0] < 60


async def test_asyncua_finds_every_node_of_the_tanks_with_the_value_it_holds(scenario, park):
    world = World(scenario)
    tanks = [each for each in scenario.site.instruments if each.protocol == "opcua"]
    async with Client(park.urls["tanks"]) as client:
        space = await client.get_namespace_index("urn:parkgate:park")
        for each in tanks:
            values = world.devices[each.name].values()
            for point in each.points:
                node = client.get_node(f"ns={space};{point.at.partition(';')[2]}")
                assert await node.read_value() == pytest.approx(values[point.name], rel=1e-6), (each.name, point.name)
            for state in each.states:
                assert await client.get_node(f"ns={space};{state.at.partition(';')[2]}").read_value() == 0

    assert len(tanks) == 6
