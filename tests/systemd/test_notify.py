"""The notify protocol, sd_notify(3), spoken to a real datagram socket as a service manager has it."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time

import pytest

from parkgate.gateway.notify import notify, watchdog_seconds


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """A service manager's socket, its address in NOTIFY_SOCKET."""
    name = f"@parkgate-{secrets.token_hex(8)}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        server.setblocking(False)  # noqa: FBT003 - the library's own parameter
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield server


@pytest.mark.parametrize("state", ["READY=1", "WATCHDOG=1", "STOPPING=1"])
def test_a_state_arrives_as_one_datagram(manager, state):
    notify(state)
    assert manager.recv(4096) == state.encode()
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


def test_a_service_manager_that_is_gone_harms_nobody(manager):
    manager.close()
    notify("WATCHDOG=1")


@pytest.mark.parametrize("address", ["", "relative", "@", "vsock:2:1234", "/nowhere/notify", "/" + "x" * 200])
def test_an_address_that_nobody_listens_at_harms_nobody(address, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


def test_a_service_manager_that_reads_nothing_is_never_waited_for(manager):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other:
        other.connect(manager.getsockname())
        with contextlib.suppress(BlockingIOError):
            while True:
                other.send(b"STATUS=full")
    before = time.monotonic()
    notify("WATCHDOG=1")
    assert time.monotonic() - before < 1.0


def test_without_a_service_manager_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_the_watchdog_is_fed_twice_as_often_as_it_asks(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert watchdog_seconds() == 15.0


def test_without_a_watchdog_there_is_nothing_to_feed(monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert watchdog_seconds() is None
