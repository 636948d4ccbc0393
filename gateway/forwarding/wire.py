"""An MQTT client's socket on the running loop: its hooks, one timer, and a way to leave in order.

It works on asyncio's loop and on uvloop. The client is paho's, in its external-loop mode: it calls the hooks below and
does its work in `loop_read`, `loop_write` and `loop_misc`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from parkgate.gateway.forwarding.dialing import tune

GOODBYE_S = 1.0
"""How long leaving waits for the broker: once for the DISCONNECT to go out, once for the broker's FIN."""
_TURN_S = 1.0  # how often the client looks at its keepalive


class LoopClient(Protocol):
    """What is used of paho's client."""

    on_socket_close: Any
    on_socket_register_write: Any
    on_socket_unregister_write: Any

    def socket(self) -> Any:
        """Give the open socket, or None."""
        ...

    def want_write(self) -> bool:
        """Tell whether something waits to be written."""
        ...

    def loop_read(self) -> object:
        """Read what is there and call the callbacks."""
        ...

    def loop_write(self) -> object:
        """Write what waits, as far as the socket takes it."""
        ...

    def loop_misc(self) -> object:
        """Send a PINGREQ when it is time."""
        ...

    def disconnect(self) -> object:
        """Put a DISCONNECT behind what waits to be written."""
        ...


class Wire:
    """One connected socket, from `attach` to `close` or `leave`.

    `after` is called after each step of paho, with what the step raised, if it did.
    """

    def __init__(self, client: LoopClient, after: Callable[[Exception | None], None]) -> None:
        self._client = client
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._fd: int | None = None  # while the loop watches it
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._leaving = False
        self._tail: socket.socket | None = None

    def attach(self) -> bool:
        """Put the open socket on the loop; False if it broke already."""
        client = self._client
        sock = client.socket()
        if not isinstance(sock, socket.socket):
            return False
        tune(sock)
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_written
        self._fd = sock.fileno()
        self._loop.add_reader(self._fd, self._read)
        self._timer = self._loop.call_later(_TURN_S, self._tick)
        self._write()
        return True

    def close(self) -> None:
        """Close the socket as it is."""
        self._detach()
        if (sock := self._client.socket()) is not None:
            self._client.on_socket_close = None
            sock.close()

    def leave(self) -> None:
        """Send DISCONNECT behind what waits to be sent; paho closes its socket then, and `hear_out` the connection."""
        self._leaving = True
        self._client.disconnect()

    async def hear_out(self) -> None:
        """Wait for the broker's FIN after DISCONNECT.

        Closed at once, with PUBACKs unread, the socket would answer with RST, which may overtake the DISCONNECT and
        raise the will (RFC 2525, 2.17).
        """
        if self._tail is None:
            return
        with self._tail as tail, suppress(OSError):  # a TimeoutError is one
            tail.settimeout(0)
            tail.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(GOODBYE_S):
                while await self._loop.sock_recv(tail, 65_536):
                    pass
        self._tail = None

    def _step(self, step: Callable[[], object]) -> None:
        failure: Exception | None = None
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the boundary to the library: whatever it is, the connection is over
            failure = error
        self._after(failure)

    def _read(self) -> None:
        self._step(self._client.loop_read)
        sock = self._client.socket()
        if self._fd is not None and isinstance(sock, ssl.SSLSocket) and sock.pending():
            self._loop.call_soon(self._read)  # it is decrypted already, so the selector will not tell

    def _write(self) -> None:
        self._step(self._client.loop_write)
        if self._fd is not None and not self._writing and self._client.want_write():  # the socket took no more
            self._writing = True
            self._loop.add_writer(self._fd, self._write)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TURN_S, self._tick)
        self._step(self._client.loop_misc)

    def _on_want_write(self, _client: object, _data: object, _sock: object) -> None:
        # Not add_writer: the socket nearly always takes it, and all that is published in one turn goes out together.
        self._loop.call_soon(self._write)

    def _on_written(self, _client: object, _data: object, _sock: object) -> None:
        if self._writing and self._fd is not None:
            self._writing = False
            self._loop.remove_writer(self._fd)

    def _on_socket_close(self, _client: object, _data: object, _sock: object) -> None:
        if self._leaving and self._fd is not None:
            self._tail = socket.socket(fileno=os.dup(self._fd))
        self._detach()

    def _detach(self) -> None:
        """Take the socket off the loop, before its number is free for another file."""
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = None
        if self._timer is not None:
            self._timer.cancel()
