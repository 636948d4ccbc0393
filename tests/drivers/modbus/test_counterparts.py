"""The driver against servers that others wrote: every type in every order, at the limits, and what they refuse.

What stands in their registers is made here with struct, by the letters of an order, and not by our encoder.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from support.counterparts import WAYS, serving
from support.modbus_maps import instrument, point

from parkgate.config.flag import Flag
from parkgate.config.profile import State
from parkgate.config.site import Line
from parkgate.drivers.catalog import open_driver
from parkgate.drivers.faults import Garbled
from parkgate.drivers.modbus.route import Route

ORDERS = {"ABCD": (False, False), "CDAB": (True, False), "BADC": (False, True), "DCBA": (True, True)}
"""Whether an order reverses the words of a value, and the bytes of a word."""
UNIT = 3

MOST, LEAST = (2 - 2**-23) * 2.0**127, 2.0**-126  # the largest float32, and the smallest that is not subnormal
VALUES = [
    *(("int16", each, each) for each in (-32_768, -1, 0, 32_767)),
    *(("uint16", each, each) for each in (0, 1, 0x8000, 65_535)),
    *(("int32", each, each) for each in (-(1 << 31), -2, (1 << 31) - 1, 0x01020304)),
    *(("uint32", each, each) for each in (0, 0x01020304, (1 << 32) - 1)),
    *(("int64", each, each) for each in (-(1 << 53), -1, 1 << 53, 0x01020304050607)),
    *(("uint64", each, each) for each in (0, 0x01020304050607, 1 << 53)),
    ("float32", 0.1, 0.1), ("float32", -123456.0, -123456.0), ("float32", MOST, 3.4028235e38),
    ("float32", LEAST, 1.1754944e-38), ("float32", -0.0, -0.0),
    *(("float64", each, each) for each in (0.1, -1.7976931348623157e308, 5e-324, 3.141592653589793)),
    ("double", 2.718281828459045, 2.718281828459045),
    *(("bcd16", each, each) for each in (0, 1_234, 9_999)),
    *(("bcd32", each, each) for each in (0, 12_345_678, 99_999_999)),
    *((f"string:{width}", each, each) for width, each in ((1, "A"), (3, "ABCDEF"), (5, "1# 烟囱"), (2, ""))),
]  # fmt: skip
"""Type, what the registers hold, and what is read."""

SCALED = [
    ("int16", -123, {"scale": 0.1}, -12.3),
    ("int16", -32_768, {"scale": 0.5, "offset": -40}, -16_424.0),
    ("uint16", 65_535, {"scale": 0.001}, 65.535),
    ("int32", -(1 << 31), {"scale": 0.01}, -21_474_836.48),
    ("uint32", (1 << 32) - 1, {"scale": 0.1, "offset": 5}, 429_496_734.5),
    ("int64", -12_345, {"scale": 10}, -123_450.0),
    ("uint64", 12_345, {"scale": 0.01, "offset": -100}, 23.45),
    ("bcd16", 9_999, {"scale": 0.1}, 999.9),
    ("bcd32", 12_345_678, {"scale": 0.001}, 12_345.678),
    ("int64", -(1 << 63), {"as_": "string"}, "-9223372036854775808"),
    ("uint64", (1 << 64) - 1, {"as_": "string"}, "18446744073709551615"),
    ("uint64", (1 << 64) - 1, {"as_": "string", "scale": 0.001}, "18446744073709551.615"),
]
"""The same of scaled and offset values, and of those that only a text can hold."""

LETTERS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f",
    "float64": "d", "double": "d",
}  # fmt: skip


def words(kind, raw, order):
    """The registers in which an instrument of this order holds a raw value."""
    if kind.startswith("string"):
        data = raw.encode().ljust(2 * int(kind.partition(":")[2]), b"\0")
    elif kind.startswith("bcd"):
        data = bytes.fromhex(f"{raw:0{int(kind[3:]) // 4}}")
    else:
        data = struct.pack(f">{LETTERS[kind]}", raw)
    reverse_words, swap_bytes = ORDERS[order]
    found = struct.unpack(f"{'<' if swap_bytes else '>'}{len(data) // 2}H", data)
    return found[::-1] if reverse_words and not kind.startswith("string") else found


@dataclass
class Map:
    """An instrument, what its registers hold and what must be read of it."""

    site: object
    expected: tuple


def every_type(order, tables, start):
    """Put every value into the tables of registers from a start on, in turn, with gaps; bits into all four."""
    places = {"holding": start, "input": start}
    points, expected = [], []

    def put(kind, raw, value, bit=None, **more):
        table = ("holding", "input")[len(points) % 2]
        at = places[table]
        found = words(kind, raw, order)
        tables[table][at : at + len(found)] = found
        places[table] += len(found) + len(points) % 3
        points.append(point(f"{table} {at}" if bit is None else f"{table} {at}.{bit}", kind, **more))
        expected.append(value)

    for kind, raw, value in VALUES:
        put(kind, raw, value)
    for kind, raw, more, value in SCALED:
        put(kind, raw, value, **more)
    for bit in (0, 7, 8, 15):
        for raw in (1 << bit, 0xFFFF ^ 1 << bit):
            put("uint16", raw, raw >> bit & 1, bit)
            points[-1] = points[-1].model_copy(update={"type": "bool"})
    for table in ("coil", "discrete"):
        for place in (start, start + 7, start + 8, start + 300):
            tables[table][place] = (place + start) % 3 != 0
            points.append(point(f"{table} {place}", "bool"))
            expected.append(int(tables[table][place]))
    return Map(instrument(*points, order=order, unit=UNIT), tuple(expected))


END = {"coil": 65_536, "discrete": 3_000, "holding": 65_536, "input": 1_200}
"""How long the tables are: two of them as long as can be."""
TABLES = {table: [0] * count for table, count in END.items()}
MAPS = {order: every_type(order, TABLES, 250 * index) for index, order in enumerate(ORDERS)}
COUNTED, BITS = 2_000, [int(bit) for bit in f"{0x5A3C_F00F_1234_8001:064b}" * 32][:2_000]
TABLES["holding"][COUNTED : COUNTED + 125] = range(1, 126)
TABLES["coil"][COUNTED : COUNTED + 2_000] = BITS
TABLES["holding"][-4:] = words("float64", -0.1, "ABCD")
TABLES["coil"][-1] = 1
TABLES["input"][-1] = 4_711


@pytest.fixture(autouse=True)
def _nobody_asked_before(monkeypatch):
    """Nobody's answer can still be on its way on a line that only this test reads: it need not be waited for."""
    monkeypatch.setattr("parkgate.drivers.modbus.wire.LATEST", 0)


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def counterpart(request):
    server, transport = request.param
    with serving(server, transport, TABLES, UNIT) as url:
        yield server, url


def driver_of(counterpart, *sites, timeout="10s"):
    return open_driver(Line(name="line-1", url=counterpart[1], timeout=timeout), sites, lambda: 0)


async def read(counterpart, site):
    async with driver_of(counterpart, site) as driver:
        (found,) = await driver.read(site)
    return found


def told(value):
    """A value with its type: 1 is not 1.0 and 0.0 not -0.0."""
    return repr(value)


@pytest.mark.parametrize("order", ORDERS)
async def test_every_type_is_read_in_every_order(counterpart, order):
    found = await read(counterpart, MAPS[order].site)
    assert dict(found.flags) == {}
    assert list(map(told, found.values)) == list(map(told, MAPS[order].expected))


def test_the_map_holds_every_type_that_a_profile_can_name():
    kinds = {each.type.partition(":")[0] for each in MAPS["ABCD"].site.points}
    assert kinds == {*LETTERS, "bool", "bcd16", "bcd32", "string"}


async def test_a_status_word_is_read_whole_and_by_its_bits(counterpart):
    states = [
        State(at=f"holding {COUNTED + 4}", bits=(0, 1), equals=1, flag="fault"),
        State(at=f"holding {COUNTED + 4}.2", equals=1, flag="fault"),
        State(at=f"coil {COUNTED + 1}", equals=1, flag="fault"),
        State(at=f"holding {COUNTED}", type="uint32", equals=1, flag="fault"),
    ]
    found = await read(counterpart, instrument(point(f"holding {COUNTED + 4}"), states=tuple(states), unit=UNIT))
    assert (found.values, found.states) == ((5,), (1, 1, BITS[1], 0x0001_0002))


WIDE = instrument(
    *(point(f"holding {COUNTED + place}") for place in range(125)),
    *(point(f"coil {COUNTED + place}", "bool") for place in range(2_000)),
    unit=UNIT,
)


async def test_125_registers_and_2000_bits_are_one_question_each(counterpart):
    assert [block.count for block in Route(WIDE).blocks] == [2_000, 125]
    found = await read(counterpart, WIDE)
    assert (found.values, dict(found.flags)) == ((*range(1, 126), *BITS), {})


async def test_the_last_register_and_the_last_bit_of_a_table_are_read(counterpart):
    site = instrument(point("holding 65535"), point("coil 65535", "bool"), point("holding 65532", "float64"), unit=UNIT)
    (last,) = words("float64", -0.1, "ABCD")[-1:]
    assert (await read(counterpart, site)).values == (last, 1, -0.1)


BEHIND = instrument(
    point("holding 2000"), point("input 1199"), point("input 1200"), point("input 1190", "float32"),
    point("input 1199", "uint32"), point("discrete 2999", "bool"), point("discrete 3000", "bool"), unit=UNIT,
)  # fmt: skip
"""Some of these are behind the end of their table, or reach over it."""


def only(*servers, transports=("tcp", "rtu", "rtu-over-tcp")):
    """A test for some of the servers, over some of the transports."""
    ways = [(server, transport) for server, transport in WAYS if server in servers and transport in transports]
    return pytest.mark.parametrize("counterpart", ways, indirect=True, ids="-".join)


@only("libmodbus")
async def test_what_libmodbus_refuses_is_bad_configuration_and_the_others_stand(counterpart):
    async with driver_of(counterpart, BEHIND) as driver:
        for _ in range(2):
            (found,) = await driver.read(BEHIND)
            assert found.values == (1, 4_711, None, 0.0, None, 0, None)
            assert dict(found.flags) == dict.fromkeys((2, 4, 6), Flag.BAD_CONFIGURATION)


@only("jsmodbus")
async def test_an_answer_that_jsmodbus_cuts_short_is_garbled_and_the_line_reads_on(counterpart):
    other = instrument(point("input 1199"), name="stack-2", unit=UNIT + 1)
    async with driver_of(counterpart, BEHIND, other) as driver:
        with pytest.raises(Garbled, match="stack-1"):
            await driver.read(BEHIND)
        (found,) = await driver.read(other)
    assert (found.values, dict(found.flags)) == ((4_711,), {})


async def not_identified_and_read(counterpart):
    site = MAPS["DCBA"].site
    async with driver_of(counterpart, site, timeout="2s") as driver:  # most are silent at it
        assert await driver.identify(site) is None
        (found,) = await driver.read(site)
    assert list(map(told, found.values)) == list(map(told, MAPS["DCBA"].expected))


@only("libmodbus")
async def test_libmodbus_does_not_know_the_question_what_it_is_and_is_read_all_the_same(counterpart):
    await not_identified_and_read(counterpart)


@only("jsmodbus", transports=["tcp"])  # on a serial line it never again finds where a question begins
async def test_jsmodbus_does_not_know_the_question_what_it_is_and_is_read_over_a_new_connection(counterpart):
    await not_identified_and_read(counterpart)
