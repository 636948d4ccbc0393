"""The Unix socket into a running agent: a JSON object a line in, one a line out. Rights by file mode and group."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from parkgate.config.language import say

SOCKET = "control.sock"
"""Name of the socket in the data folder."""
AGAIN = 30.0
"""Seconds between two tries to make it, on a disk that is read-only or full."""
_LONGEST = 65_536
_SLOWEST = 60.0
_log = logging.getLogger("parkgate.agent")

Handler = Callable[[Mapping[str, object]], Awaitable[Mapping[str, object]]]


class ControlServer:
    """Answers requests of the commands `status`, `watch` … by the handler of their `verb`."""

    def __init__(self, data: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = data / SOCKET
        self._handlers = handlers

    async def run(self) -> None:
        """Serve until cancelled; the socket is gone then. Where the disk takes no socket it is tried again later."""
        server = await self._opened()
        try:
            async with server:
                await server.serve_forever()
        finally:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    async def _opened(self) -> asyncio.Server:
        said = False
        while True:
            try:
                self._path.unlink(missing_ok=True)
                server = await asyncio.start_unix_server(self._serve, self._path, limit=_LONGEST)
                self._path.chmod(0o660)
            except OSError as error:
                if not said:
                    _log.error(say("no command can ask this agent: no socket in its data folder: {error}", error=error))
                said = True
                await asyncio.sleep(AGAIN)
            else:
                return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await self._asked(reader):
                reply = await self._answer(line)
                writer.write(json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
                await writer.drain()
        except (ConnectionError, TimeoutError, ValueError):
            pass  # the asker left, fell silent or sent an endless line: nothing to tell it
        finally:
            writer.close()

    async def _asked(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(_SLOWEST):
            return await reader.readline()

    async def _answer(self, line: bytes) -> Mapping[str, object]:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return {"error": say("a request is one JSON object on one line")}
        handler = self._handlers.get(str(request.get("verb")))
        if handler is None:
            return {"error": say("unknown verb; known: {verbs}", verbs=", ".join(sorted(self._handlers)))}
        return await handler(request)
