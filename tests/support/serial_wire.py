"""Modbus instruments on one line at the level of bytes, as faulty as a script says; it shares no code with the product.

Served as RTU on a pseudo-terminal, as RTU over TCP, or as Modbus TCP. Every register holds a number that tells its unit
and its address, so that a value that belongs to another question is known for what it is.
"""

import asyncio
import os
import struct
import tty
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

TRANSPORTS = ("rtu", "rtu-over-tcp", "tcp")


def crc(data):
    """CRC-16 as the standard describes it, bit by bit (MODBUS over Serial Line V1.02, 6.2.2)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


def word(unit, register):
    """What stands in a register of a unit."""
    return unit * 251 + register & 0xFFFF


@dataclass(frozen=True)
class Question:
    transaction: int
    unit: int
    function: int
    start: int
    count: int


@dataclass
class SerialWire:
    """One line of any of `TRANSPORTS`. `script[unit]` holds what to do with the next questions to that unit.

    An entry is a function of the wire and the question that gives pieces: (seconds to wait, bytes). Units not in
    `units` are silent.
    """

    transport: str = "rtu"
    units: frozenset = frozenset(range(1, 11))
    script: dict = field(default_factory=lambda: defaultdict(deque))
    asked: list = field(default_factory=list)
    path: str = ""
    _tasks: set = field(default_factory=set)
    _writers: list = field(default_factory=list)

    async def __aenter__(self):
        if self.transport == "rtu":
            self.plug()
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            port = self._server.sockets[0].getsockname()[1]
            self.url = f"modbus-{self.transport}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_):
        if self.transport == "rtu":
            self.unplug()
        else:
            self._server.close()
            for writer in self._writers:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def plug(self):
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        device = os.ttyname(self._theirs)
        if self.path:
            Path(self.path).symlink_to(device)
        self.url = f"modbus-rtu://{self.path or device}"
        self._buffer = bytearray()
        asyncio.get_running_loop().add_reader(self._ours, self._readable)

    def unplug(self):
        if self._ours < 0:
            return
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._theirs)
        os.close(self._ours)
        self._ours = -1
        if self.path:
            Path(self.path).unlink()

    def _readable(self):
        try:
            self._buffer += os.read(self._ours, 4096)
        except OSError:
            return
        self._rtu(self._buffer, lambda data: self._ours >= 0 and os.write(self._ours, data))

    async def _serve(self, reader, writer):
        self._writers.append(writer)
        buffer = bytearray()
        try:
            while data := await reader.read(4096):
                buffer += data
                cut = self._rtu if self.transport == "rtu-over-tcp" else self._tcp
                cut(buffer, lambda out: writer.is_closing() or writer.write(out))
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _rtu(self, buffer, write):
        while len(buffer) >= 8:
            frame = bytes(buffer[:8])
            if crc(frame[:6]) != frame[6:]:
                del buffer[0]
                continue
            del buffer[:8]
            self._take(Question(0, *struct.unpack(">BBHH", frame[:6])), write)

    def _tcp(self, buffer, write):
        while len(buffer) >= 12:
            transaction, _, _, *rest = struct.unpack(">HHHBBHH", buffer[:12])
            del buffer[:12]
            self._take(Question(transaction, *rest), write)

    def _take(self, question, write):
        self.asked.append(question)
        todo = self.script[question.unit]
        if question.unit not in self.units:
            return
        pieces = (todo.popleft() if todo else honest)(self, question)
        task = asyncio.get_running_loop().create_task(self._play(pieces, write))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, pieces, write):
        began = monotonic()
        for wait, data, *latest in pieces:
            if wait:
                await asyncio.sleep(wait)
            if not latest or latest[0] is None or monotonic() - began <= latest[0]:
                write(data)

    def frame(self, question, pdu, unit=None):
        body = bytes((question.unit if unit is None else unit,)) + pdu
        if self.transport == "tcp":
            return struct.pack(">HHH", question.transaction, 0, len(body)) + body
        return body + crc(body)

    def answer(self, question, **changed):
        """The frame of a good answer, or of that to a question that differs in `changed`."""
        other = Question(**{**question.__dict__, **changed})
        words = [word(other.unit, other.start + place) for place in range(other.count)]
        data = struct.pack(f">{len(words)}H", *words)
        return self.frame(question, bytes((other.function, len(data))) + data)


def honest(wire, question):
    return [(0, wire.answer(question))]


def silence(wire, question):
    return []


def late(seconds, latest=None):
    """An answer after so many seconds; none where the machine's load makes it later than `latest`."""
    return lambda wire, question: [(seconds, wire.answer(question), latest)]


def refuse(code):
    return lambda wire, question: [(0, wire.frame(question, bytes((question.function | 0x80, code))))]


def short(wire, question):
    return [(0, wire.answer(question, count=question.count - 1))]


def long(wire, question):
    return [(0, wire.answer(question, count=question.count + 1))]


def wrong_unit(wire, question):
    return [
        (
            0,
            wire.frame(
                question, wire.answer(question)[1:-2] if wire.transport != "tcp" else wire.answer(question)[7:], 99
            ),
        )
    ]


def wrong_function(wire, question):
    return [(0, wire.answer(question, function=question.function ^ 7))]


def bad_crc(wire, question):
    frame = wire.answer(question)
    return [(0, frame[:-1] + bytes((frame[-1] ^ 0xFF,)))]


def noise_before(wire, question):
    return [(0, b"\x00\x03\xff" + wire.answer(question))]


def noise_after(wire, question):
    return [(0, wire.answer(question) + b"\x00\x03\xff")]


def cut(wire, question):
    return [(0, wire.answer(question)[:-3])]


def byte_by_byte(wire, question):
    return [(0.001, bytes((byte,))) for byte in wire.answer(question)]
