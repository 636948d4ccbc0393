"""A gateway's agent as a process of its own: started, asked for its status, stopped, heard to its last words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

COMMAND = (sys.executable, "-m", "parkgate.gateway.commands.main", "run")
"""What runs an agent; the site file is its last argument."""
_TIED = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):  # else it died before this line
    os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Becomes the command behind its first argument, and is told to stop when its parent (the first) ends in any way."""
SOCKET = "control.sock"
_LONGEST = 4 * 1024 * 1024
_ASK = 2.0
_REMEMBERED = 40

Object = Mapping[str, object]


class Agent:
    """The agent of a site, for as long as the context lasts; whatever is left of it then is killed.

    It is in a session of its own, so that Ctrl-C reaches whoever started it and `stop` comes in order. Should whoever
    started it be killed, the kernel tells it to stop (Linux only).
    """

    def __init__(
        self, site: Path, data: Path, *, command: Sequence[str] = COMMAND, secrets: Mapping[str, str] | None = None
    ) -> None:
        self._command = (*command, str(site))
        self._socket = data / SOCKET
        self._secrets = dict(secrets or {})
        self._errors: deque[str] = deque(maxlen=_REMEMBERED)
        self._account: Object | None = None
        self._process: asyncio.subprocess.Process
        self._readers: tuple[asyncio.Task[None], ...] = ()
        self.ended: asyncio.Task[int]

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-ISc", _TIED, str(os.getpid()), *self._command,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env={**os.environ, **self._secrets}, start_new_session=True,
            limit=_LONGEST,
        )  # fmt: skip
        self.ended = asyncio.create_task(self._process.wait())
        self._readers = (asyncio.create_task(self._read_words()), asyncio.create_task(self._read_errors()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await asyncio.gather(self.ended, *self._readers)

    @property
    def errors(self) -> str:
        """The last lines that it wrote for people."""
        return "\n".join(self._errors)

    async def status(self) -> Object | None:
        """Give its answer to the verb `status`; None while it does not listen yet or no more."""
        try:
            async with asyncio.timeout(_ASK):
                reader, writer = await asyncio.open_unix_connection(self._socket, limit=_LONGEST)
                with contextlib.closing(writer):
                    writer.write(b'{"verb":"status"}\n')
                    answer = json.loads(await reader.readline())
        except (OSError, ValueError):  # TimeoutError is an OSError
            return None
        return answer if isinstance(answer, dict) else None

    async def stop(self, seconds: float) -> Object | None:
        """Tell it to flush and leave, and give its account; None if it left without one or took longer."""
        if self._process.returncode is None:
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.shield(self.ended)
                await asyncio.gather(*self._readers)
        return self._account

    async def _read_words(self) -> None:
        if self._process.stdout is not None:
            async for line in self._process.stdout:
                self._account = _account_in(line) or self._account

    async def _read_errors(self) -> None:
        if self._process.stderr is not None:
            async for line in self._process.stderr:
                self._errors.append(line.decode(errors="replace").rstrip())


def _account_in(line: bytes) -> Object | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    account = said.get("account") if isinstance(said, dict) else None
    return account if isinstance(account, dict) else None
