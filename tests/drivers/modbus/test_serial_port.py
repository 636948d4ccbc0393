"""A serial port as a technician meets it: absent, forbidden, taken, echoing, slow; and what is said of each."""

import asyncio
import os
import tty
from pathlib import Path
from time import monotonic

import pytest
import serial
from support.late_replies import expected, instrument_at
from support.serial_wire import SerialWire, late, word

from parkgate.config.profile import Point
from parkgate.config.site import Line, Rs485
from parkgate.drivers.faults import Garbled, Silent, Unreachable
from parkgate.drivers.modbus import wire as wires
from parkgate.drivers.modbus.connection import Connection, _Rtu
from parkgate.drivers.modbus.driver import ModbusDriver
from parkgate.drivers.modbus.frames import Shape
from parkgate.drivers.modbus.pause import Pause
from parkgate.drivers.modbus.plan import Block
from parkgate.drivers.modbus.rests import LATEST

SITE = instrument_at(1, 0)


def driver_of(url, site=SITE, **line):
    return ModbusDriver(
        Line(name="rs485-1", url=url, **{"timeout": 400, "baudrate": 115_200} | line), (site,), lambda: 0
    )


@pytest.fixture(autouse=True)
def _listens_to_nobody_first(monkeypatch):
    monkeypatch.setattr(wires, "LATEST", 0.0)


async def refusal(url, **line):
    with pytest.raises(Unreachable) as caught:
        async with driver_of(url, **line):
            pass
    return str(caught.value)


async def test_a_port_that_is_not_there_is_named_and_how_to_find_those_that_are(tmp_path):
    said = await refusal(f"modbus-rtu://{tmp_path}/ttyUSB0")
    assert f"there is no serial port {tmp_path}/ttyUSB0" in said
    assert "/dev/serial/by-id" in said


async def test_a_port_that_another_program_has_is_told_so():
    async with SerialWire() as wire:
        with serial.Serial(wire.url.removeprefix("modbus-rtu://"), exclusive=True):
            said = await refusal(wire.url)
    assert "another program has the serial port" in said


async def test_what_is_no_serial_port_is_told_so(tmp_path):
    (tmp_path / "notes").write_text("")
    assert "cannot be opened" in await refusal(f"modbus-rtu://{tmp_path}/notes")


async def test_a_port_without_rs485_says_to_leave_it_out():
    async with SerialWire() as wire:
        assert "cannot switch an RS-485 transmitter" in await refusal(wire.url, rs485=Rs485())


def descriptors():
    return len([*Path("/proc/self/fd").iterdir()])


async def test_a_port_that_is_refused_again_and_again_leaves_no_descriptor_behind():
    async with SerialWire() as wire:
        await refusal(wire.url, rs485=Rs485())
        await asyncio.sleep(0)
        before = descriptors()
        for _ in range(3):
            await refusal(wire.url, rs485=Rs485())
        await asyncio.sleep(0)
        assert descriptors() == before


@pytest.mark.root
async def test_a_port_that_the_user_may_not_open_names_the_group(tmp_path, monkeypatch):
    def forbidden(*_args, **_more):
        raise serial.SerialException(13, "could not open port: Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", forbidden)  # root may open everything
    assert "may not be opened by this user" in await refusal(f"modbus-rtu://{tmp_path}/ttyS1")


async def test_an_echo_is_passed_over_whether_it_is_configured_or_not():
    def echoing(wire, question):
        asked = bytes((question.unit, question.function, 0, question.start, 0, question.count))
        return [(0, wire_frame(asked)), (0.005, wire.answer(question))]

    def wire_frame(body):
        from support.serial_wire import crc  # noqa: PLC0415

        return body + crc(body)

    for echo in (True, False):
        async with SerialWire() as wire, driver_of(wire.url, echo=echo) as driver:
            wire.script[1].append(echoing)
            assert (await driver.read(SITE))[0].values == expected(SITE)


async def test_a_unit_that_rests_says_so_and_how_late_its_answer_came():
    async with SerialWire() as wire, driver_of(wire.url) as driver:
        wire.script[1].append(late(0.6))
        with pytest.raises(Silent, match="no answer within 400 ms"):
            await driver.read(SITE)
        with pytest.raises(Silent, match=r"not asked for \d+ ms more: its late answer may still come"):
            await driver.read(SITE)
        assert len(wire.asked) == 1
        await asyncio.sleep(driver._wire.resting(1))
        wire.script[1].append(late(0.6))
        with pytest.raises(Silent, match=r"the one before came \d+ ms late"):
            await driver.read(SITE)


async def test_an_answer_that_is_spoilt_twice_is_garbled_and_the_next_turn_asks_again():
    from support.serial_wire import bad_crc  # noqa: PLC0415

    async with SerialWire() as wire, driver_of(wire.url) as driver:
        wire.script[1].extend([bad_crc, bad_crc])
        with pytest.raises(Garbled, match="checksum"):
            await driver.read(SITE)
        assert (await driver.read(SITE))[0].values == expected(SITE)


async def test_the_line_is_silent_for_its_gap_and_a_unit_has_its_pause(monkeypatch):
    waited = []
    real = Pause.wait

    async def noted(pause, seconds):
        waited.append(seconds)
        await real(pause, seconds)

    monkeypatch.setattr(Pause, "wait", noted)
    async with SerialWire() as wire, driver_of(wire.url, baudrate=1_200) as driver:
        await driver.read(SITE)
        waited.clear()
        await driver.read(SITE)
        assert 0 < sum(waited) <= 0.0292, "3.5 characters of 10 bits at 1200 baud"
    slow = SITE.model_copy(update={"pause": 3_000})
    async with SerialWire() as wire, driver_of(wire.url, slow) as driver:
        await driver.read(slow)
        waited.clear()
        await driver.read(slow)
        assert 0.5 < sum(waited) <= 3.0


async def test_who_was_asked_before_the_line_was_opened_gets_the_time_to_answer(monkeypatch):
    monkeypatch.setattr(wires, "LATEST", LATEST)
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    wire = SerialWire()
    stray = wire.frame(_Question(1), b"\x03\x08" + bytes(8))
    driver = driver_of(f"modbus-rtu://{Path(os.ttyname(theirs))}", timeout=100)
    asyncio.get_running_loop().call_later(0.1, os.write, ours, stray)
    try:
        async with driver:
            with pytest.raises(Silent):
                await driver.read(SITE)
    finally:
        os.close(ours)
        os.close(theirs)


class _Question:
    def __init__(self, unit):
        self.unit = unit


async def test_a_refusal_is_known_soon_and_a_long_answer_is_not_watched_byte_by_byte(monkeypatch):
    looked = []
    real = Connection._drained

    async def drained(connection):
        transport = connection._client.ctx.transport
        received = transport.intern_protocol.data_received
        transport.intern_protocol.data_received = lambda data: (looked.append(len(data)), received(data))
        await real(connection)
        monkeypatch.undo()

    points = tuple(Point(name=f"p{place}", at=f"holding {place}", type="uint16") for place in range(125))
    wide = SITE.model_copy(update={"points": points})
    async with SerialWire() as wire, driver_of(wire.url, wide, baudrate=9_600) as driver:
        monkeypatch.setattr(Connection, "_drained", drained)

        def dripping(wire, question):
            frame = wire.answer(question)
            return [(0.008, frame[start : start + 8]) for start in range(0, len(frame), 8)]

        wire.script[1].append(dripping)
        assert (await driver.read(wide))[0].values == tuple(word(1, place) for place in range(125))
        assert sum(looked) == 255
        assert len(looked) < 16, "32 pieces came"


async def test_silences_of_a_search_are_not_the_lines_fault():
    async with SerialWire(units=frozenset({1})) as wire, driver_of(wire.url, timeout=10) as driver:
        for unit in range(100, 106):
            with pytest.raises(Silent):
                await driver.ask(unit, Block("holding", 0, 1, ()))
        assert (await driver.read(SITE))[0].values == expected(SITE)


async def test_a_pause_is_as_long_as_it_says_to_the_millisecond_and_can_be_given_back():
    pause = Pause()
    began = monotonic()
    await pause.wait(0.00175)
    assert monotonic() - began >= 0.00175
    pause.close()
    pause.close()
    await pause.wait(0.0)


async def test_a_unit_that_owes_another_instrument_of_its_number_a_reply_is_not_asked_in_the_midst_of_a_turn():
    wide = SITE.model_copy(
        update={"name": "wide", "points": (*SITE.points, Point(name="far", at="holding 400", type="uint16"))}
    )
    async with SerialWire() as wire:
        driver = ModbusDriver(Line(name="l", url=wire.url, timeout=400, baudrate=115_200), (wide, SITE), lambda: 0)

        async def between(_):
            wire.script[1].append(late(0.6))
            with pytest.raises(Silent, match="no answer"):
                await driver.read(SITE)

        async with driver:
            with pytest.raises(Silent, match="its late answer may still come"):
                await driver.read(wide, between)


async def test_a_connection_that_is_lost_behind_a_question_leaves_the_reply_owed():
    def hang_up(wire, question):
        for writer in wire._writers:
            writer.close()
        return []

    async with SerialWire("rtu-over-tcp") as wire:
        driver = driver_of(wire.url)
        async with driver:
            wire.script[1].append(hang_up)
            with pytest.raises(Unreachable):
                await driver.read(SITE)
        async with driver:
            with pytest.raises(Silent, match="its late answer may still come"):
                await driver.read(SITE)


async def test_an_echo_of_a_question_that_looks_like_an_answer_is_no_answer():
    coils = tuple(Point(name=f"c{place}", at=f"coil {773 + place}", type="bool") for place in range(20))
    site = SITE.model_copy(update={"points": coils})

    def echoing(wire, question):
        asked = wire.frame(question, bytes((1, 3, 5, 0, 20)))
        return [(0, asked), (0.005, wire.frame(question, b"\x01\x03\xff\x00\x0f"))]

    async with SerialWire() as wire, driver_of(wire.url, site) as driver:
        wire.script[1].append(echoing)
        (snapshot,) = await driver.read(site)
    assert snapshot.values == (1,) * 8 + (0,) * 8 + (1,) * 4


async def test_a_pause_longer_than_the_timeout_is_kept():
    slow = SITE.model_copy(update={"pause": 1_000})
    async with SerialWire() as wire, driver_of(wire.url, slow) as driver:
        await driver.read(slow)
        began = monotonic()
        await driver.read(slow)
        assert monotonic() - began >= 0.9


async def test_a_device_that_babbles_keeps_nobody_busy(monkeypatch):
    framer = _Rtu(None, lambda frame: None)
    framer.shape = Shape(1, 3, 8)
    kept, scanned = b"", 0
    for _ in range(512):
        data = kept + b"\x01\x03\xfe\x00\x01\x03\xfe\x00"
        scanned = max(scanned, len(data))
        used, reply = framer.handleFrame(data, 1, 0)
        assert reply is None
        kept = data[used:]
    assert scanned <= 256 + 8
