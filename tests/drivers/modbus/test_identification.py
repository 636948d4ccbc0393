"""Asking a Modbus unit what it is: what it may answer, and that no answer and no silence harms the line."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.modbus_maps import instrument, point
from support.modbus_wire import Wire, close, honest, raw, refuse, say, silent

from parkgate.config.site import Line
from parkgate.drivers.faults import Unreachable
from parkgate.drivers.identity import Identity
from parkgate.drivers.modbus.driver import ModbusDriver
from parkgate.drivers.modbus.identification import decode
from parkgate.simulator.image import Image
from parkgate.simulator.modbus import ModbusPlant

METER = instrument(point("holding 0"))
REAL = bytes.fromhex("2b 0e 01 01 00 00 03 00 03") + b"SIG\x01\x04ULTI\x02\x031.2"
words = st.binary(max_size=20)
objects = st.dictionaries(st.integers(0, 255), words, min_size=1, max_size=8)


def encoded(said):
    return b"".join(struct.pack("BB", number, len(text)) + text for number, text in said.items())


@given(objects, st.binary(min_size=3, max_size=3))
def test_the_three_basic_objects_are_found_among_any(said, head):
    found = decode(b"\x0e\x01" + head + bytes((len(said),)) + encoded(said))
    texts = [said.get(number, b"").decode("ascii", "replace").strip("\0 ") for number in (0, 1, 2)]
    assert found == Identity(*texts)


@given(objects, st.data())
def test_what_is_cut_or_has_something_behind_it_says_nothing(said, data):
    whole = b"\x0e\x01\x01\x00\x00" + bytes((len(said),)) + encoded(said)
    assert decode(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None
    assert decode(whole + b"\x00") is None


@given(st.binary(max_size=252))
def test_any_bytes_are_an_identity_or_none(data):
    assert decode(data) is None or isinstance(decode(data), Identity)


def driver(port, *instruments):
    line = Line(name="tcp-1", url=f"modbus-tcp://127.0.0.1:{port}", timeout="30s")
    return ModbusDriver(line, instruments, lambda: 1_000)


@pytest.fixture
async def wire():
    async with Wire({("holding", 0): 7}) as listening:
        yield listening


async def test_a_simulated_unit_is_known_by_what_it_says():
    image = Image([("holding", 0, 1)])
    async with (
        ModbusPlant("modbus-tcp://127.0.0.1:0", {3: image}) as plant,
        driver(plant.url.rpartition(":")[2], METER) as opened,
    ):
        await opened.read(METER)
        said = await opened.identify(METER)
    assert said is not None
    assert said.simulated


@pytest.mark.parametrize(
    ("act", "said", "connections"),
    [
        (refuse(1), None, 1),
        (refuse(11), None, 1),
        (say(REAL), Identity("SIG", "ULTI", "1.2"), 1),
        (say(REAL[:-1]), None, 1),
        (say(b"\x03\x02\x00\x07"), None, 1),
        (silent, None, 2),
        (raw(b"ERROR 43: unknown command\r\n"), None, 2),
    ],
    ids=["exception", "gateway", "real", "cut", "another function", "silence", "garbage"],
)
async def test_it_is_asked_once_and_the_next_read_is_not_disturbed(wire, act, said, connections):
    twin = METER.model_copy(update={"name": "stack-2"})
    async with driver(wire.port, METER, twin) as opened:
        wire.script.extend([honest, act])
        await opened.read(METER)
        assert await opened.identify(METER) == said
        assert await opened.identify(METER) == said
        assert await opened.identify(twin) == said, "the same unit: the same answer"
        (snapshot,) = await opened.read(METER)
    assert snapshot.values == (7,)
    assert [each.function for each in wire.asked] == [3, 43, 3]
    assert wire.connections == connections


async def test_another_unit_is_asked_by_itself(wire):
    other = METER.model_copy(update={"name": "stack-2", "unit": 4})
    async with driver(wire.port, METER, other) as opened:
        await opened.identify(METER)
        await opened.identify(other)
    assert [(each.function, each.unit) for each in wire.asked] == [(43, 3), (43, 4)]


async def test_who_hangs_up_at_the_question_has_not_answered(wire):
    opened = driver(wire.port, METER)
    async with opened:
        wire.script.append(close)
        with pytest.raises(Unreachable):
            await opened.identify(METER)
    async with opened:
        assert await opened.identify(METER) is None
        (snapshot,) = await opened.read(METER)
    assert snapshot.values == (7,)


async def test_a_line_that_cannot_be_opened_anew_is_unreachable_and_the_unit_not_asked_again(wire):
    opened = driver(wire.port, METER)
    async with opened:
        wire.script.append(raw(b"nonsense"))
        wire._server.close()
        with pytest.raises(Unreachable):
            await opened.identify(METER)
        with pytest.raises(Unreachable):
            await opened.read(METER)
        assert await opened.identify(METER) is None
