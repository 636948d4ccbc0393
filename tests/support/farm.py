"""Many cheap Modbus TCP instruments in a process of their own, and a site file that reads them.

Every register is readable; the float32 at registers 2n, 2n+1 moves a little with each read. Instrument `i0` is on line
`l0`, and so on. Each notes when it was asked, so that a test sees from outside whether polling keeps its period. Run as
a program it is that process: `farm.py COUNT POINTS HOST`.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

_MBAP = struct.Struct(">HHHB")
_LONGEST = 64 * 1024 * 1024

SITE = """\
[gateway]
site = "farm"
id = "gw"
data = "{data}"
[outbox]
commit = "{commit}"
[[uplink]]
name = "park"
url = "{url}"
window = 20
"""

LINE = """\
[[line]]
name = "l{n}"
url = "modbus-tcp://{host}:{port}"
[[instrument]]
name = "i{n}"
line = "l{n}"
profile = "farm.toml"
every = "{every}"
"""


class Farm:
    """`count` instruments of `points` float32 points each, as an async context manager; a port each, in `ports`."""

    def __init__(self, count: int, points: int, host: str = "127.0.0.1") -> None:
        self.ports: list[int] = []
        self._count, self._points, self._host = count, points, host

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, str(self._count), str(self._points), self._host,
            stdin=pipe, stdout=pipe, limit=_LONGEST,
        )  # fmt: skip
        self.ports = await self._answer()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()

    async def asked(self) -> list[list[float]]:
        """Give when each instrument was asked, seconds since 1970, since this was called last."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return await self._answer()

    async def _answer(self) -> list:
        assert self._process.stdout is not None
        return json.loads(await self._process.stdout.readline())

    def write_site(
        self, folder: Path, url: str, every: str = "1s", commit: str = "auto", alarms: Sequence[int] = ()
    ) -> Path:
        """Write a site file that reads all of them, its profile beside it; the outbox is in `folder`/data.

        Each of the points in `alarms` alarms in one half of its movement: once in 14 reads it is raised or returns.
        """
        rows = "\n".join(
            f'p{n:03d} = {{ at = "input {2 * n}", type = "float32", range = [0, 300], digits = 2'
            f'{_alarm(n) if n in alarms else ""} }}'
            for n in range(self._points)
        )  # fmt: skip
        (folder / "farm.toml").write_text(f'protocol = "modbus"\ntitle = "Farm"\n[points]\n{rows}\n')
        text = SITE.format(data=folder / "data", url=url, commit=commit)
        text += "".join(LINE.format(n=n, host=self._host, port=port, every=every) for n, port in enumerate(self.ports))
        path = folder / "site.toml"
        path.write_text(text)
        return path


def _alarm(n: int) -> str:
    return f', alarms = [ {{ name = "high", above = {n % 200 + 0.5}, priority = "urgent" }} ]'


class _Instrument(asyncio.Protocol):
    def __init__(self, images: list[bytes], asked: list[float]) -> None:
        self._images, self._asked = images, asked
        self._turn = 0
        self._waiting = b""

    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= 12:
            transaction, _, length, unit = _MBAP.unpack_from(self._waiting)
            function, address, count = struct.unpack_from(">BHH", self._waiting, 7)
            self._waiting = self._waiting[6 + length :]
            if address == 0:  # a read of the whole instrument begins
                self._asked.append(time.time())
                self._turn += 1
            body = self._images[self._turn % len(self._images)][2 * address : 2 * (address + count)]
            self._transport.write(_MBAP.pack(transaction, 0, len(body) + 3, unit) + bytes((function, len(body))) + body)


def _images(points: int) -> list[bytes]:
    return [struct.pack(f">{points}f", *(n % 200 + ((turn * 7 + n * 13) % 97) / 100 for n in range(points)))
            for turn in range(97)]  # fmt: skip


async def _main(count: int, points: int, host: str) -> None:
    loop, images = asyncio.get_running_loop(), _images(points)
    asked: list[list[float]] = [[] for _ in range(count)]
    servers = [
        await loop.create_server(lambda times=times: _Instrument(images, times), host, 0) for times in asked
    ]  # fmt: skip
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(asked), flush=True)
        for times in asked:
            times.clear()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
