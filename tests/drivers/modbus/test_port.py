"""A serial port's bytes, on a real pseudo-terminal: written whole, taken when they are due, and lost out loud."""

import asyncio
import os
import select
import tty
from contextlib import asynccontextmanager

from pymodbus.transport.serialtransport import SerialTransport

from parkgate.drivers.modbus.pause import Pause
from parkgate.drivers.modbus.port import Port


class Heard(asyncio.Protocol):
    """What came, and what ended it."""

    def __init__(self):
        self.pieces = []
        self.came = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.pieces.append(data)
        self.came.set()

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@asynccontextmanager
async def opened(missing=lambda: None):
    """Give the other end of a port, the port, its transport and what is heard on it."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    heard = Heard()
    transport = SerialTransport(asyncio.get_running_loop(), heard, os.ttyname(theirs), 9_600, 8, "N", 1, 1.0)
    port = Port(transport, missing)
    try:
        yield ours, port, transport, heard
    finally:
        port.close()
        transport.close()
        os.close(theirs)
        try:
            os.close(ours)
        except OSError:
            assert heard.lost.done(), "a test closed it"


async def test_a_question_that_the_port_does_not_take_at_once_goes_out_whole():
    question = bytes(range(256)) * 400
    async with opened() as (ours, _, transport, _):
        transport.write(question)
        os.set_blocking(ours, False)
        got = bytearray()
        while len(got) < len(question):
            try:
                got += os.read(ours, 65_536)
            except BlockingIOError:
                await asyncio.sleep(0.001)
        assert bytes(got) == question


async def test_what_comes_while_a_port_is_left_alone_is_taken_when_it_is_due():
    async with opened(missing=lambda: 0.0) as (ours, port, _, heard):
        port.leave(30.0)
        os.write(ours, b"early")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert heard.pieces == [], "nobody watches"
        await heard.came.wait()
        assert heard.pieces == [b"early"], "a look now and then finds it"
        heard.came.clear()
        port.leave(0.001)
        os.write(ours, b"brief")
        await heard.came.wait()
        assert heard.pieces == [b"early", b"brief"]


async def test_after_an_answer_a_port_is_watched_again_by_itself():
    async with opened() as (ours, port, _, heard):
        port.leave(30.0)
        port.rest()
        os.write(ours, b"late reply")
        await heard.came.wait()
        assert heard.pieces == [b"late reply"]


async def test_the_rest_of_an_answer_is_waited_for_and_not_watched():
    rest = [1.0, 0.0, None]
    async with opened(missing=lambda: rest.pop(0)) as (ours, port, _, heard):
        os.write(ours, b"begin")
        await heard.came.wait()
        heard.came.clear()
        os.write(ours, b"ning")
        await heard.came.wait()
        assert heard.pieces == [b"begin", b"ning"]
        assert port._until > asyncio.get_running_loop().time(), "it was left alone for as long as the rest takes"


async def test_a_port_that_goes_away_is_lost_whether_it_is_watched_or_asked():
    async with opened() as (ours, _, _, heard):
        os.close(ours)
        assert isinstance(await heard.lost, OSError)
    async with opened() as (ours, port, transport, heard):
        port.leave(30.0)
        os.close(ours)
        transport.write(b"anybody there")
        port.take()
        assert isinstance(await heard.lost, OSError)
        transport.write(b"nobody")
        port.take()
        assert heard.pieces == []


async def test_what_was_taken_between_the_port_s_being_ready_and_its_turn_is_no_end_of_it():
    async with opened() as (ours, port, transport, heard):
        for number in range(3):
            os.write(ours, bytes([number]))
            select.select([transport.sync_serial], [], [])  # so that the loop finds it ready, behind what it has to do
            asyncio.get_running_loop().call_soon(port.take)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert heard.pieces == [b"\0", b"\1", b"\2"]
        assert not heard.lost.done()


async def test_only_what_a_timer_was_asked_for_last_happens():
    done, happened = asyncio.Event(), []
    pause = Pause()
    pause.call(0.001, lambda: happened.append("first"))
    pause.call(0.002, lambda: (happened.append("second"), done.set()))
    await done.wait()
    assert happened == ["second"]
    pause.call(0.0, lambda: happened.append("third"))
    pause.close()
    await asyncio.sleep(0.005)
    assert happened == ["second"]
