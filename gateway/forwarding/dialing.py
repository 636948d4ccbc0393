"""Opening a connection: what blocks (DNS, TCP, TLS) runs beside the loop and can be given up; socket options."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    # A radio link that went silent: without these Linux resends for about 15 minutes before it tells (tcp(7)).
    # Both are needed: keepalive notices nothing while data is unacknowledged, the user timeout nothing while idle.
    # Together, a probe without an answer ends an idle connection once the user timeout has passed.
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 12_000),
)


def tune(sock: socket.socket) -> None:
    """Let a TCP socket send at once, and notice within about 15 s, idle or sending, that nobody is there any more."""
    for level, option, value in _OPTIONS:
        sock.setsockopt(level, option, value)


async def aside(work: Callable[[], None], *, undo: Callable[[], None], name: str) -> None:
    """Run `work` in a thread and wait for it; what it raises is raised here.

    If the caller stops waiting (a timeout, a cancellation), `undo` is called once `work` has ended after all, on the
    loop, or in the thread if the loop is closed by then. It is a daemon thread and not one of the loop's executor,
    whose threads are waited for at the end: a stuck DNS lookup must not keep the agent from leaving.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def arrived(failure: Exception | None) -> None:
        if done.done():  # nobody waits any more
            undo()
        elif failure is not None:
            done.set_exception(failure)
        else:
            done.set_result(None)

    def run() -> None:
        failure: Exception | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the boundary of a thread: it is raised where the caller waits
            failure = error
        try:
            loop.call_soon_threadsafe(arrived, failure)
        except RuntimeError:  # the loop is closed
            undo()

    threading.Thread(target=run, name=name, daemon=True).start()
    await done
