"""A serial line on a pseudo-terminal: asked by a real client, and timed as a wire of its baud rate."""

import asyncio
import os
import struct
import tty

from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from parkgate.simulator.image import Image
from parkgate.simulator.modbus import Responder
from parkgate.simulator.rtu import Rtu, seconds, silence
from parkgate.simulator.serial import Pty, timed
from parkgate.simulator.trouble import Answer, Piece


def units():
    image = Image([("input", 0, 20)])
    image.write("input", 0, range(20))
    return {3: image}


async def asked(line, *frames):
    """Send frames to a line, as its client, and give what comes back until there are `expected` bytes."""
    *sent, expected = frames
    wire = os.open(line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(wire)
    loop, heard, came = asyncio.get_running_loop(), bytearray(), asyncio.Event()

    def hear():
        heard.extend(os.read(wire, 300))
        if len(heard) >= expected:
            came.set()

    loop.add_reader(wire, hear)
    try:
        for frame in sent:
            os.write(wire, frame)
        await asyncio.wait_for(came.wait(), 20)
    finally:
        loop.remove_reader(wire)
        os.close(wire)
    return bytes(heard)


def read(unit, first, count):
    """A request as another implementation frames it."""
    frame = bytes((unit, 4)) + first.to_bytes(2, "big") + count.to_bytes(2, "big")
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


async def test_a_client_reads_it_and_nobody_answers_for_a_unit_that_nobody_has():
    async with Pty(Responder(units(), Rtu()), 115_200) as line:
        answer = await asked(line, read(9, 0, 1), read(3, 4, 10), 25)
    assert answer[:3] == bytes((3, 4, 20))
    assert struct.unpack(">10H", answer[3:-2]) == tuple(range(4, 14))
    assert FramerRTU.compute_CRC(answer[:-2]).to_bytes(2, "big") == answer[-2:]


@given(st.binary(min_size=1, max_size=256), st.integers(5, 300), st.sampled_from([1_200, 9_600, 19_200, 115_200]))
def test_an_answer_takes_the_wire_time_of_request_silence_and_answer(data, asked, baudrate):
    pieces = timed(Answer((Piece(0.0, data),)), asked, baudrate).pieces
    expected = seconds(asked, baudrate) + silence(baudrate) + seconds(len(data), baudrate)
    assert b"".join(each.data for each in pieces) == data
    assert abs(sum(each.after for each in pieces) - expected) < 1e-9


def test_what_is_late_is_late_on_top_of_the_wire():
    pieces = timed(Answer((Piece(0.5, b"12"), Piece(0.25, b"3"))), 8, 9_600).pieces
    assert sum(each.after for each in pieces) == 0.75 + seconds(8 + 3, 9_600) + silence(9_600)


def test_a_silent_instrument_takes_no_time():
    assert timed(Answer(), 8, 9_600) == Answer()
