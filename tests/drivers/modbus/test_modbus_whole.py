"""Plan and codec together against a reader that asks for each point alone and decodes it the slow and obvious way."""

import math
import struct
from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.modbus_maps import NUMBERS, TABLES, instrument, instruments, orders, point, snapshot
from support.modbus_wire import Wire

from parkgate.config.flag import Flag
from parkgate.config.site import Line
from parkgate.drivers.catalog import open_driver
from parkgate.drivers.modbus.address import parse
from parkgate.drivers.modbus.codec import encode

SIZES = {"16": 1, "32": 2, "64": 4, "le": 4}


def canonical(words, order, *, text=False):
    """The big-endian bytes of words as an order has them on the wire."""
    if order in {"CDAB", "DCBA"} and not text:
        words = words[::-1]
    pairs = [word.to_bytes(2, "big") for word in words]
    return b"".join(pair[::-1] if order in {"BADC", "DCBA"} else pair for pair in pairs)


def raw_number(kind, data):
    """The exact raw value, or None if there is none."""
    if kind.startswith("bcd"):
        text = data.hex()
        return Decimal(text) if text.isdecimal() else None
    if kind.startswith(("int", "uint")):
        return Decimal(int.from_bytes(data, "big", signed=kind.startswith("int")))
    (value,) = struct.unpack(">f" if kind == "float32" else ">d", data)
    return value if math.isfinite(value) else None


def text_of(data):
    stripped = data.rstrip(b"\0 ")
    for encoding in ("utf-8", "gb18030"):
        try:
            return stripped.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def slowly(site, each, image):
    """The raw value of one point, read alone: text, Decimal, float, 0 or 1, or None."""
    address, order = parse(each.at, site.base), each.order or site.order
    if address.of_bits:
        return image(address.table, address.register)
    if each.type == "bool":
        word = int.from_bytes(canonical([image(address.table, address.register)], order), "big")
        return int(word != 0) if address.bit is None else word >> address.bit & 1
    text = each.type.startswith("string")
    width = int(each.type.partition(":")[2]) if text else SIZES[each.type[-2:]]
    words = [image(address.table, address.register + index) for index in range(width)]
    data = canonical(words, order, text=text)
    return text_of(data) if text else raw_number(each.type, data)


def assert_is(value, flag, raw, each):
    """Hold a value against the raw one it must have come from."""
    if raw is None:
        assert (value, flag) == (None, Flag.FAULT)
        return
    if isinstance(raw, Decimal) and each.type in {"int64", "uint64"} and each.as_ == "number" and abs(raw) > 1 << 53:
        assert (value, flag) == (None, Flag.OUT_OF_RANGE)
        return
    if isinstance(raw, float) and not math.isfinite(raw * each.scale + each.offset):
        assert (value, flag) == (None, Flag.FAULT)
        return
    assert flag is None
    if each.type == "bool" or each.type.startswith("string"):
        assert value == raw
        return
    assert isinstance(value, str) == (each.as_ == "string")
    if isinstance(raw, Decimal) and each.scale == 1.0:
        assert int(value) == raw
        return
    exact = float(Decimal(raw) * Decimal(repr(each.scale)) + Decimal(repr(each.offset)))
    slack = 0.0 if each.digits is None else 0.5 * 10.0**-each.digits
    precision = 1e-6 if each.type == "float32" and each.digits is None else 1e-14
    assert math.isclose(
        float(value), exact, rel_tol=precision, abs_tol=max(1e-44, slack * (1 + 1e-9) + abs(each.offset) * 1e-6)
    )


def any_image(rng):
    """What an instrument holds: any words and bits, the extreme ones often."""
    held = {}

    def image(table, register):
        limit = 1 if table in {"coil", "discrete"} else 0xFFFF
        return held.setdefault((table, register), rng.choice([0, limit, rng.randint(0, limit), rng.randint(0, limit)]))

    return image


@given(instruments(), st.randoms(use_true_random=False))
def test_a_turn_gives_what_each_point_read_alone_would_give(site, rng):
    image = any_image(rng)
    found = snapshot(site, image)
    for index, each in enumerate(site.points):
        assert_is(found.values[index], found.flags.get(index), slowly(site, each, image), each)
    for state, given_state in zip(found.states, site.states, strict=True):
        assert state == slow_state(site, given_state, image)


def alone(site):
    """An instrument for each point and each state of one, with nothing else on it and no gap to read over."""
    kept = {"order": site.order, "unit": site.unit, "max_gap": 0}
    points = [instrument(each, name=f"point-{index}", **kept) for index, each in enumerate(site.points)]
    return points, [instrument(states=(each,), name=f"state-{index}", **kept) for index, each in enumerate(site.states)]


def assert_as_alone(found, points, states):
    """Hold a snapshot of all against those of each: the same values, flags and raw states, to the last bit."""
    together = [(value, found.flags.get(index)) for index, value in enumerate(found.values)]
    assert together == [(each.values[0], each.flags.get(0)) for each in points]
    assert list(map(type, found.values)) == [type(each.values[0]) for each in points]
    assert list(found.states) == [each.states[0] for each in states]


@given(st.integers(20, 2_000).flatmap(instruments), st.randoms(use_true_random=True))
def test_any_map_with_any_gaps_is_read_to_the_bit_as_each_point_alone(site, rng):
    image = any_image(rng)
    points, states = alone(site)
    assert_as_alone(
        snapshot(site, image), [snapshot(each, image) for each in points], [snapshot(each, image) for each in states]
    )


@settings(max_examples=25)
@given(
    instruments(most=150, size=12),
    st.sets(st.tuples(st.sampled_from(TABLES), st.integers(0, 150)), max_size=20),
    st.randoms(use_true_random=True),
)
async def test_over_a_socket_a_map_with_holes_is_read_as_each_point_alone(site, holes, rng):
    image = any_image(rng)
    places = [(table, register) for table in TABLES for register in range(150 + 20 + 1)]
    points, states = alone(site)
    async with Wire({place: image(*place) for place in places if place not in holes}) as wire:
        line = Line(name="tcp-1", url=f"modbus-tcp://127.0.0.1:{wire.port}", timeout="30s")
        async with open_driver(line, [site, *points, *states], lambda: 0) as driver:

            async def read(each):
                (found,) = await driver.read(each)
                return found

            expected = [await read(each) for each in points], [await read(each) for each in states]
            for _ in range(2):  # while it finds what is refused, and when it knows
                assert_as_alone(await read(site), *expected)


def slow_state(site, each, image):
    address = parse(each.at, site.base)
    if address.of_bits:
        return image(address.table, address.register)
    kind = "uint16" if address.bit is not None else each.type or "uint16"
    words = [image(address.table, address.register + index) for index in range(SIZES[kind[-2:]])]
    data = canonical(words, site.order)
    low, high = each.bits or (None, None) if address.bit is None else (address.bit, address.bit)
    if low is None:
        return int.from_bytes(data, "big", signed=kind.startswith("int"))
    return int(f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"[::-1][low : high + 1][::-1], 2)


def image_of(registers):
    return lambda _table, register: registers[register]


@given(
    st.sampled_from(NUMBERS),
    orders,
    st.sampled_from([(1.0, 0.0), (0.1, 0.0), (0.01, 5.0), (10.0, -40.0)]),
    st.integers(0, 9_999),
)
def test_what_is_encoded_is_decoded_as_the_same_value(kind, order, scaling, raw):
    scale, offset = scaling
    each = point("holding 0", kind, scale=scale, offset=offset, digits=2)
    value = raw if scaling == (1.0, 0.0) else round(raw * scale + offset, 2)
    site = instrument(each, order=order)
    (found,) = snapshot(site, image_of(encode(each, order, value))).values
    assert math.isclose(found, value, rel_tol=1e-6, abs_tol=0.011 if kind == "float32" else 0)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), orders)
def test_every_float32_survives_the_way_to_the_registers_and_back(value, order):
    each = point("holding 0", "float32")
    registers = encode(each, order, value)
    (found,) = snapshot(instrument(each, order=order), image_of(registers)).values
    assert encode(each, order, found) == registers


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=13).filter(
        lambda text: text == text.rstrip(" ")
    ),
    orders,
)
@example("1# 烟囱", "DCBA")
def test_every_text_survives_the_way_to_the_registers_and_back(text, order):
    each = point("holding 0", "string:26")
    registers = encode(each, order, text)
    assert snapshot(instrument(each, order=order), image_of(registers)).values == (text,)


@given(st.lists(st.binary(min_size=2, max_size=2), min_size=1, max_size=20))
def test_any_bytes_as_text_are_text_that_json_can_carry_or_a_fault(pairs):
    registers = [int.from_bytes(pair, "big") for pair in pairs]
    site = instrument(point("holding 0", f"string:{len(pairs)}"))
    found = snapshot(site, image_of(registers))
    if found.values[0] is None:
        assert dict(found.flags) == {0: Flag.FAULT}
    else:
        assert found.values[0].encode("utf-8").decode("utf-8") == found.values[0]
