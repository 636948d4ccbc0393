"""An MQTT broker without installing one: `iotcore` (rumqttd inside) in a child process, for demos and tests.

The child runs this module. It is in a session of its own, so that Ctrl-C reaches whoever started it and the gateway can
still deliver its last records, and it ends by itself when its parent is gone. Why this one: docs/decisions/0006.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import socket
import sys
import tempfile
import threading
from types import TracebackType
from typing import Self

from parkgate.config.language import say

HOST = "127.0.0.1"
_START = 10.0
_STOP = 5.0
_POLL = 0.02

CONFIGURATION = """\
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "v5"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 200
dynamic_filters = true
"""
"""rumqttd's own configuration: one MQTT 5 listener, no TLS, no authentication, this computer only."""


class BrokerFailed(Exception):
    """The embedded broker does not run: the text says why and what to do."""


class EmbeddedBroker:
    """An MQTT 5 broker on this computer for as long as the context lasts; `url` says where.

    Port 0 takes a free one. Nothing is kept: it forgets sessions and retained messages when it stops.

    Raises:
        BrokerFailed: the package is missing, the port is in use, or the child did not start.

    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._child: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it listens, as `mqtt://127.0.0.1:PORT`."""
        return f"mqtt://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child else None

    async def __aenter__(self) -> Self:
        if importlib.util.find_spec("iotcore") is None:
            raise BrokerFailed(say('the embedded broker needs a package more: pip install "parkgate[demo]"'))
        self.port = _reserve(self.port)
        try:
            await self._start(CONFIGURATION.format(host=HOST, port=self.port))
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self, configuration: str) -> None:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, configuration,
            stdin=asyncio.subprocess.PIPE,  # it ends when this pipe closes, however the parent ended
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_START):
                while not await _listens(self.port):
                    if self._child.returncode is not None:
                        raise BrokerFailed(await self._last_words())
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise BrokerFailed(say("the embedded broker did not start within {count} s", count=round(_START))) from None

    async def _last_words(self) -> str:
        errors = await self._child.stderr.read() if self._child and self._child.stderr else b""
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        return say("the embedded broker ended at its start: {error}", error=last)

    async def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None or child.stdin is None or child.stderr is None:
            return
        child.stdin.close()
        try:
            async with asyncio.timeout(_STOP):
                await child.stderr.read()
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


def _reserve(port: int) -> int:
    """Give a port that can be listened on now: the one asked for, or any for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = error.strerror or str(error)
            sentence = say("cannot listen on {host}:{port}: {error}. Choose another port, or stop what is using it.",
                           host=HOST, port=port, error=reason)  # fmt: skip
            raise BrokerFailed(sentence) from error
        found: int = probe.getsockname()[1]
        return found


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _end_with_parent() -> None:
    try:
        sys.stdin.buffer.read()  # returns when the parent's end of the pipe closes
    finally:
        os._exit(0)  # rumqttd has no other way to stop, and keeps nothing that could be lost


def serve(configuration: str) -> None:
    """Run the broker in this process, by the text of rumqttd's configuration, until standard input closes."""
    from iotcore import Broker  # noqa: PLC0415  an optional package, and 14 MB: only the child loads it

    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    # rumqttd wraps every packet in an error span, which would be logged as an error.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(configuration)
        file.flush()
        broker = Broker(config_path=file.name)  # reads it now: nothing is left when this process is killed
    broker.run_forever()


if __name__ == "__main__":
    serve(sys.argv[1])
