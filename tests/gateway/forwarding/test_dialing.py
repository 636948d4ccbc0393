from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from parkgate.gateway.forwarding.dialing import aside, tune


async def test_the_loop_goes_on_while_the_work_blocks():
    release, undone = threading.Event(), []
    task = asyncio.create_task(aside(lambda: release.wait(20) or None, undo=lambda: undone.append(1), name="work"))
    await asyncio.sleep(0)
    assert not task.done()
    release.set()
    await asyncio.wait_for(task, 20)
    assert undone == []


async def test_what_the_work_raises_is_raised_where_it_is_awaited():
    def work():
        raise ConnectionRefusedError(111, "refused")

    with pytest.raises(ConnectionRefusedError):
        await aside(work, undo=lambda: None, name="work")


@pytest.mark.parametrize("fails", [False, True])
async def test_what_was_given_up_is_undone_on_the_loop_when_it_ends_after_all(fails):
    release, undone = threading.Event(), asyncio.Event()
    threads = []

    def work():
        release.wait(20)
        if fails:
            raise OSError

    def undo():
        threads.append(threading.current_thread())
        undone.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await aside(work, undo=undo, name="work")
    assert threads == []
    release.set()
    await asyncio.wait_for(undone.wait(), 20)
    assert threads == [threading.main_thread()]


def test_what_ends_after_the_loop_was_closed_is_undone_all_the_same_and_holds_nobody():
    release, undone = threading.Event(), threading.Event()

    async def give_up():
        async with asyncio.timeout(0.01):
            await aside(lambda: release.wait(20) or None, undo=undone.set, name="stuck")

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())  # and it ends, though the thread does not
    (stuck,) = (thread for thread in threading.enumerate() if thread.name == "stuck")
    assert stuck.daemon
    assert not undone.is_set()
    release.set()
    assert undone.wait(20)
    stuck.join(20)


def test_tuning_takes_any_tcp_socket():
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            tune(sock)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 12_000, address
