"""A Modbus TCP instrument at the level of bytes, as faulty as a script says; it shares no code with the product."""

import asyncio
import struct
from collections import deque
from dataclasses import dataclass, field

TIME_PASSES = object()
"""In what a script sends: the reader's timeout runs out here, however long it is, and nobody waits for it."""

TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}


@dataclass(frozen=True)
class Question:
    transaction: int
    unit: int
    function: int
    start: int
    count: int

    @property
    def table(self):
        return TABLES[self.function]


def frame(question, pdu, **changed):
    """A reply as MBAP frame, with what a script wants otherwise: transaction, protocol, length, unit."""
    header = {"transaction": question.transaction, "protocol": 0, "length": len(pdu) + 1, "unit": question.unit}
    return struct.pack(">HHHB", *(header | changed).values()) + pdu


@dataclass
class Wire:
    """Listens on a free port. `script` holds what to do with the next questions; then it answers honestly.

    `registers` maps (table, register) to a word or bit; what is not in it is refused with exception 2. Each entry of
    the script is a function of the wire and the question that gives the bytes to send, None for honesty.
    """

    registers: dict = field(default_factory=dict)
    script: deque = field(default_factory=deque)
    asked: list = field(default_factory=list)
    held: bytes = b""
    connections: int = 0
    skipped: float = 0.0
    _server: asyncio.Server | None = None
    _writers: list = field(default_factory=list)
    _serving: list = field(default_factory=list)

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        clock = loop.time
        loop.time = lambda: clock() + self.skipped
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.hang_up()
        await asyncio.gather(*self._serving)
        await self._server.wait_closed()

    @property
    def port(self):
        return self._server.sockets[0].getsockname()[1]

    def hang_up(self):
        for writer in self._writers:
            writer.close()

    def answer(self, question):
        """The honest PDU."""
        if question.function not in TABLES:
            return bytes((question.function | 0x80, 1))
        places = [(question.table, question.start + index) for index in range(question.count)]
        if any(place not in self.registers for place in places):
            return bytes((question.function | 0x80, 2))
        values = [self.registers[place] for place in places]
        if question.function in {1, 2}:
            packed = sum(bit << index for index, bit in enumerate(values))
            data = packed.to_bytes((len(values) + 7) // 8, "little")
        else:
            data = struct.pack(f">{len(values)}H", *values)
        return bytes((question.function, len(data))) + data

    def honest(self, question):
        return frame(question, self.answer(question))

    async def _serve(self, reader, writer):
        self.connections += 1
        self._writers.append(writer)
        self._serving.append(asyncio.current_task())
        try:
            while True:
                transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                function, *data = await reader.readexactly(length - 1)
                start, count = struct.unpack(">HH", bytes(data)) if function in TABLES else (0, 0)
                question = Question(transaction, unit, function, start, count)
                self.asked.append(question)
                act = self.script.popleft() if self.script else None
                for piece in act(self, question) if act else [self.honest(question)]:
                    if piece is None:
                        writer.close()
                        return
                    await self._send(writer, piece)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _send(self, writer, piece):
        if piece is TIME_PASSES:
            self.skipped += 86_400
            return
        writer.write(piece)
        await writer.drain()
        for _ in range(10):  # the reader is in the same loop: let it see this piece by itself
            await asyncio.sleep(0)


def honest(wire, question):
    return [wire.honest(question)]


def silent(_wire, _question):
    return [TIME_PASSES]


def refuse(code):
    return lambda _wire, question: [frame(question, bytes((question.function | 0x80, code)))]


def late(wire, question):
    """Nothing now; the honest answer goes out in front of the next one."""
    wire.held += wire.honest(question)
    return [TIME_PASSES]


def after_the_late_one(wire, question):
    held, wire.held = wire.held, b""
    return [held, wire.honest(question)]


def in_one_piece_with_the_late_one(wire, question):
    held, wire.held = wire.held, b""
    return [held + wire.honest(question)]


def half(wire, question):
    return [wire.honest(question)[:-1], TIME_PASSES]


def in_another_transaction(transaction):
    return lambda wire, question: [frame(question, wire.answer(question), transaction=transaction), TIME_PASSES]


def otherwise(**changed):
    return lambda wire, question: [frame(question, wire.answer(question), **changed)]


def say(pdu):
    return lambda _wire, question: [frame(question, pdu)]


def raw(*pieces):
    return lambda _wire, _question: list(pieces)


def byte_by_byte(wire, question):
    return [bytes((byte,)) for byte in wire.honest(question)]


def half_and_close(wire, question):
    return [wire.honest(question)[:11], None]


def close(_wire, _question):
    return [None]
