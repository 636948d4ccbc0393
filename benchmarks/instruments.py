"""A cheap Modbus TCP instrument farm in a process of its own: one port an instrument, every register readable.

The float32 at registers 2n, 2n+1 is `n % 200` plus something under 1 that changes with each read cycle, as an
instrument's last digits do. Run as `instruments.py COUNT REGISTERS [SILENT]`; prints the ports as one JSON line, those
of SILENT ones that take questions and say nothing behind the others. Serves until its stdin closes; with SILENT it then
prints when each question came.
"""

import asyncio
import json
import struct
import sys
import time
from typing import ClassVar

_MBAP = struct.Struct(">HHHB")


class Instrument(asyncio.Protocol):
    def __init__(self, images: list[bytes]) -> None:
        self.images = images
        self.turn = 0
        self.buffer = b""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        replies = []
        while len(self.buffer) >= 12:
            transaction, _, length, unit = _MBAP.unpack_from(self.buffer)
            function, address, count = struct.unpack_from(">BHH", self.buffer, 7)
            self.buffer = self.buffer[6 + length :]
            if address == 0:
                self.turn += 1
            body = self.images[self.turn % len(self.images)][2 * address : 2 * (address + count)]
            replies.append(_MBAP.pack(transaction, 0, len(body) + 3, unit) + bytes((function, len(body))) + body)
        self.transport.write(b"".join(replies))


def images(registers: int) -> list[bytes]:
    floats = registers // 2
    turns = range(97)
    return [struct.pack(f">{floats}f", *(place % 200 + ((turn * 7 + place * 13) % 97) / 100 for place in range(floats)))
            for turn in turns]  # fmt: skip


class Silent(asyncio.Protocol):
    pass


class Noting(Instrument):
    asked: ClassVar[list[float]] = []  # of all instruments of the process

    def data_received(self, data: bytes) -> None:
        self.asked.append(time.time())
        super().data_received(data)


async def main(count: int, registers: int, silent: int) -> None:
    loop = asyncio.get_running_loop()
    shared = images(registers)
    kind = Noting if silent else Instrument
    servers = [await loop.create_server(lambda: kind(shared), "127.0.0.1", 0) for _ in range(count)]
    servers += [await loop.create_server(Silent, "127.0.0.1", 0) for _ in range(silent)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    if silent:
        print(json.dumps(Noting.asked), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
