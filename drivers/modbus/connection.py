"""One open Modbus line, the only door to pymodbus: it carries the bytes and times them, on TCP and on serial lines.

How a reply is recognised is decided in `frames`, what it means in `codec`, so that nothing is unpacked twice and no
reply is believed unchecked.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
import termios
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol, cast

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.framer import FramerRTU, FramerSocket, FramerType
from pymodbus.pdu import DecodePDU, ModbusPDU, ReadCoilsRequest, ReadHoldingRegistersRequest
from pymodbus.pdu.bit_message import ReadDiscreteInputsRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.register_message import ReadInputRegistersRequest

from parkgate.config.site import Line
from parkgate.drivers.faults import Unreachable
from parkgate.drivers.modbus import identification
from parkgate.drivers.modbus.address import Table
from parkgate.drivers.modbus.endpoint import Endpoint
from parkgate.drivers.modbus.frames import (
    IDENTIFY,
    LONGEST_FRAME,
    NOT_MODBUS,
    Frame,
    Shape,
    Traced,
    broken,
    coming,
    rtu_frames,
    tcp_frames,
)
from parkgate.drivers.modbus.plan import Block
from parkgate.drivers.modbus.port import Port, Transport
from parkgate.drivers.modbus.wire_time import REPLY, character_ms

# pymodbus logs each late, odd or missing reply as an error of its own, several lines each. All of these reach us as
# return values or exceptions and are told once, as faults that name the instrument.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

_REQUESTS: Final[dict[Table, type[ModbusPDU]]] = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}
_PARITIES: Final = {"none": "N", "even": "E", "odd": "O"}
_FIFO = 16  # bytes that the UART of a PC, the most common one, holds back (16550A)
_BUFFER = 1_024  # bytes; with its own 264 pymodbus drops a late reply and the right one if they come in one piece


class Lost(Exception):
    """The connection went down."""


class Unanswered(Exception):
    """No reply came in time; `noise` is what came instead of one."""

    def __init__(self, noise: bytes = b"") -> None:
        super().__init__(noise)
        self.noise = noise


class Broken(Exception):
    """A reply came as a whole, but spoilt on the wire."""


class _Reply(ModbusPDU):
    """What ends the wait for a reply: the frame that came, or None where it was spoilt."""

    def __init__(self, asked: int, transaction: int, frame: Frame | None) -> None:
        super().__init__(dev_id=asked, transaction_id=transaction)
        self.frame = frame


class _Framer(Protocol):
    """What both framings have beside pymodbus's own."""

    traced: Traced | None


class _Tcp(FramerSocket):
    """Finds the reply with the transaction number that was asked, skips all others, and recognises garbage at once."""

    traced: Traced | None = None

    def buildFrame(self, message: ModbusPDU) -> bytes:  # noqa: N802 - pymodbus's name
        """Give the bytes of a request."""
        return _told(self, super().buildFrame(message))

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:  # noqa: N802 - the same
        """Give how many bytes are done with, and the reply awaited if it is complete."""
        used = 0
        for transaction, frame in tcp_frames(data):
            if self.traced:
                self.traced(False, data[frame.start : frame.end] or data[used:])  # noqa: FBT003 - no keyword in a Callable
            if frame is NOT_MODBUS:
                return len(data), _Reply(exp_devid, exp_tid, frame)
            used = frame.end
            if transaction == exp_tid:
                return used, _Reply(exp_devid, exp_tid, frame)
        return used, None


class _Rtu(FramerRTU):
    """Finds the reply of the shape that was asked for; what other units say meanwhile is told to `heard`."""

    def __init__(self, decoder: DecodePDU, heard: Callable[[Frame], None]) -> None:
        super().__init__(decoder)
        self.shape: Shape | None = None
        self.traced: Traced | None = None
        self.last = monotonic()
        self._heard = heard
        self._echo = b""

    def buildFrame(self, message: ModbusPDU) -> bytes:  # noqa: N802 - pymodbus's name
        """Give the bytes of a request."""
        self._echo = super().buildFrame(message)
        return _told(self, self._echo)

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:  # noqa: N802 - the same
        """Give how many bytes are done with, and the reply awaited if it is complete."""
        self.last = monotonic()
        shape = self.shape
        if shape is not None and coming(data, shape):
            return 0, None
        used = 0
        for frame in rtu_frames(data):
            used = frame.end
            if data[frame.start : frame.end] == self._echo:
                self._echo = b""  # of coils 768 to 1023 the question looks like an answer
                continue
            if self.traced:
                self.traced(False, data[frame.start : frame.end])  # noqa: FBT003 - no keyword in a Callable
            if shape is not None and frame.may_answer(shape):
                return len(data), _Reply(exp_devid, exp_tid, frame)
            self._heard(frame)
        if shape is not None and broken(data[used:], shape):
            if self.traced:
                self.traced(False, data[used:])  # noqa: FBT003 - the same
            return len(data), _Reply(exp_devid, exp_tid, None)
        return max(used, len(data) - LONGEST_FRAME), None


def _told(framer: _Framer, frame: bytes) -> bytes:
    if framer.traced:
        framer.traced(True, frame)  # noqa: FBT003 - no keyword in a Callable
    return frame


class Connection:
    """One line, open from `opened` to `close`; asked one question at a time.

    `heard` is told of frames on a serial line that answer no question of now.
    """

    def __init__(self, line: Line, endpoint: Endpoint, heard: Callable[[Frame], None]) -> None:
        self._line = line
        self._endpoint = endpoint
        self._client = _client(line, endpoint, self._changed)
        context = self._client.ctx
        self._framer: _Tcp | _Rtu = (
            _Rtu(context.framer.decoder, heard) if endpoint.rtu else _Tcp(context.framer.decoder)
        )
        context.framer = self._framer
        context.max_buffer_size = _BUFFER
        context.max_until_disconnect = sys.maxsize  # pymodbus would hang up after five silences; who does is `wire`
        self._character = character_ms(line) / 1_000
        self._questions: dict[tuple[int, str, int, int], tuple[ModbusPDU, Shape]] = {}
        self._open = False
        self._port: Port | None = None

    @property
    def last(self) -> float:
        """Give when the last byte of a serial line came, by the monotonic clock; what is there is taken first."""
        if self._port is not None:
            self._port.take()
        return self._framer.last if isinstance(self._framer, _Rtu) else 0.0

    @property
    def is_open(self) -> bool:
        """Tell whether it was opened and not lost since."""
        return self._open

    def trace(self, traced: Traced | None) -> None:
        """Tell of every frame from now on."""
        self._framer.traced = traced

    async def opened(self) -> None:
        """Connect.

        Raises:
            Unreachable: nobody accepted the connection within the line's timeout, or the port cannot be opened.

        """
        try:
            # Not `client.connect()`, which does the same and keeps the reason for itself.
            transport, _ = await asyncio.wait_for(self._client.ctx.call_create(), self._line.timeout / 1_000)
            self._client.ctx.transport = transport
            self._open = True
            if self._line.rs485 is not None:
                _drive(transport, self._line)
            if self._endpoint.device:  # last: it holds a timer, which a port that is refused must not leave behind
                self._port = Port(cast("Transport", transport), self._missing)
        except (OSError, ValueError, termios.error) as error:  # the last where the port lacks a parity: no OSError
            self._client.close()
            raise self._unreachable(error) from None

    async def close(self) -> None:
        """Hang up."""
        self._open = False
        self._client.close()
        if self._port is not None:
            self._port.close()
        await asyncio.sleep(0)  # the event loop closes the socket in its next round

    async def read(self, unit: int, block: Block, seconds: float, takes: float, after: float) -> Frame:
        """Ask for a block; give the reply of that unit, whatever it is.

        `after`: the moment, by the monotonic clock, before which nothing may be written to a serial port.
        `takes`: the seconds that question and answer, and the silence between them, take on a serial wire at least.

        Raises:
            Lost: the connection went down.
            Unanswered: there was none within so many seconds.
            Broken: it came spoilt.

        """
        key = (unit, block.table, block.start, block.count)
        question = self._questions.get(key)
        if question is None:
            request = _REQUESTS[block.table](address=block.start, count=block.count, dev_id=unit)
            question = self._questions[key] = request, Shape(unit, request.function_code, block.size)
        return await self._exchange(*question, seconds, takes, after)

    async def identify(self, unit: int, seconds: float, after: float) -> Frame:
        """Ask a unit what it is; as `read`."""
        request = ReadDeviceInformationRequest(read_code=identification.BASIC, dev_id=unit)
        return await self._exchange(request, Shape(unit, IDENTIFY, None), seconds, 0.0, after)

    async def _exchange(self, request: ModbusPDU, shape: Shape, seconds: float, takes: float, after: float) -> Frame:
        """Put a question and wait for what answers it.

        Not by `client.execute()`: it locks and counts what is locked and counted here, and half of its time is that.
        """
        if not self._open:
            raise Lost
        context, framer, loop = self._client.ctx, self._framer, asyncio.get_running_loop()
        if isinstance(framer, _Rtu):
            await self._drained()
            framer.shape = shape
        if self._port is not None:
            self._port.leave(takes, after)
        context.response_future = awaited = loop.create_future()
        request.transaction_id = context.getNextTID()
        timer = loop.call_later(seconds, _give_up, awaited)
        try:
            context.pdu_send(request)
            reply = cast("_Reply", await awaited)
        except Unanswered:
            noise = context.recv_buffer
            if noise and framer.traced:
                framer.traced(False, noise)  # noqa: FBT003 - no keyword in a Callable
            raise Unanswered(noise) from None
        finally:
            timer.cancel()
            awaited.cancel()
            if isinstance(framer, _Rtu):
                framer.shape = None
            if self._port is not None:
                self._port.rest()
        if reply.frame is None:
            raise Broken
        return reply.frame

    def _missing(self) -> float | None:
        """Give the seconds that the rest of an answer takes on a serial line at least; None if none is awaited.

        What a UART still holds back is on its way already.
        """
        shape, context = self._framer.shape if isinstance(self._framer, _Rtu) else None, self._client.ctx
        if shape is None or context.response_future.done():
            return None
        came = context.recv_buffer
        if not came or shape.size is None or not coming(came, shape):
            return 0.0
        return max(0, REPLY + shape.size - len(came) - _FIFO) * self._character

    async def _drained(self) -> None:
        """Take what came before the question: the loop may have been too busy to, and it would pass for the answer."""
        if self._port is not None:
            self._port.take()
        else:
            for _ in range(2):  # the loop looks for bytes in its next round, and hands them on behind us
                await asyncio.sleep(0)
        if not self._open:
            raise Lost

    def _changed(self, up: bool) -> None:  # noqa: FBT001 - pymodbus calls it so
        """Fail the pending request when the connection goes: pymodbus would let it wait out its time."""
        if up:
            return
        self._open = False
        awaited = self._client.ctx.response_future
        if not awaited.done():
            awaited.set_exception(Lost())
            awaited.exception()  # before the first question nobody waits for it

    def _unreachable(self, error: Exception) -> Unreachable:
        what, hint = self._endpoint.trouble(error)
        return Unreachable(what, where=self._line.name, hint=hint)


def _give_up(awaited: asyncio.Future[ModbusPDU]) -> None:
    if not awaited.done():
        awaited.set_exception(Unanswered())


def _client(
    line: Line, endpoint: Endpoint, changed: Callable[[bool], None]
) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
    timeout = line.timeout / 1_000
    if endpoint.device:
        return AsyncModbusSerialClient(
            endpoint.device,
            baudrate=line.baudrate,
            parity=_PARITIES[line.parity],
            stopbits=line.stopbits,
            handle_local_echo=line.echo,
            timeout=timeout,
            retries=0,
            reconnect_delay=0,
            trace_connect=changed,
        )
    client = AsyncModbusTcpClient(
        endpoint.host,
        port=endpoint.port,
        framer=FramerType.RTU if endpoint.rtu else FramerType.SOCKET,
        timeout=timeout,
        retries=0,
        reconnect_delay=0,
        trace_connect=changed,
    )
    client.ctx.comm_params.handle_local_echo = line.echo
    return client


def _drive(transport: object, line: Line) -> None:
    """Let the kernel switch the transmitter of a serial port by its RTS."""
    from serial.rs485 import RS485Settings  # noqa: PLC0415  # only where it is configured

    wanted = line.rs485
    if wanted is None:
        return
    port = transport.sync_serial  # type: ignore[attr-defined]  # pymodbus's serial transport has no types
    try:
        port.rs485_mode = RS485Settings(
            rts_level_for_tx=wanted.rts_on_send,
            rts_level_for_rx=wanted.rts_after_send,
            loopback=wanted.receive_during_send,
            delay_before_tx=wanted.delay_before / 1_000,
            delay_before_rx=wanted.delay_after / 1_000,
        )
    except (OSError, ValueError) as error:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), "rs485") from error
