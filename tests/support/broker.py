"""A real mosquitto on a free port, which can be stopped and started again on the same one."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

PROGRAM = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Mosquitto:
    """A mosquitto as an async context manager.

    `config` holds lines of mosquitto.conf: those that belong to the listener (cafile, certfile …) work too, as they
    stand behind it. Anonymous clients are let in unless a line says otherwise. Its log is in `log`.
    """

    def __init__(self, config: Sequence[str] = (), *, tls: bool = False) -> None:
        self.config = tuple(config)
        self.port = 0
        self._lines: list[str] = []
        self._scheme = "mqtts" if tls else "mqtt"
        self._process: asyncio.subprocess.Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it said since it was started last."""
        return "".join(self._lines)

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="mosquitto-")
        for _ in range(10):
            self.port = free_port()  # another process may take it before mosquitto does
            try:
                await self.start()
            except RuntimeError:
                if "Address already in use" not in self.log:
                    raise
            else:
                return self
        raise RuntimeError(self.log)

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        assert self._folder is not None
        self._folder.cleanup()

    async def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        assert self._folder is not None
        file = Path(self._folder.name) / "mosquitto.conf"
        anonymous = [] if any(line.startswith("allow_anonymous") for line in self.config) else ["allow_anonymous true"]
        # As root it would change to a user of its own, who cannot read the test's files.
        lines = [f"user {getpass.getuser()}", f"listener {self.port} 127.0.0.1", *anonymous, *self.config]
        await asyncio.to_thread(file.write_text, "\n".join(lines) + "\n")
        self._lines.clear()
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM, "-c", str(file), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        ready = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(self._process, ready))
        await ready

    async def _read(self, process: asyncio.subprocess.Process, ready: asyncio.Future[None]) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self._lines.append(line.decode())
            if not ready.done() and line.endswith(b" running\n"):
                ready.set_result(None)
        if not ready.done():
            ready.set_exception(RuntimeError(self.log))

    async def stop(self) -> None:
        """Stop it as a service manager does; clients see their connections closed."""
        process, self._process = self._process, None
        if process is not None:
            while process.returncode is None:
                process.terminate()  # just started, it may not have heard the first
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(5):
                        await process.wait()
            assert self._reader is not None
            await self._reader

    async def kill(self) -> None:
        """Kill it at once: nothing is said to anybody."""
        assert self._process is not None
        self._process.kill()
        await self.stop()
