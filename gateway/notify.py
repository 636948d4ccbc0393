"""Telling systemd how the agent is: ready, alive, stopping (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send a state such as `READY=1` or `WATCHDOG=1` to the service manager; nothing where there is none.

    It neither waits nor fails: a service manager that is gone or does not listen is no reason to stop collecting. If it
    misses a sign of life that it waits for, it starts the agent again, which is its job.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as manager:
        manager.connect(address)
        manager.send(state.encode())


def watchdog_seconds() -> float | None:
    """Give how often the service manager wants a sign of life, halved for safety; None where it wants none."""
    microseconds = os.environ.get("WATCHDOG_USEC")
    return int(microseconds) / 2_000_000 if microseconds else None
