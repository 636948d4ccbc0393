"""The socket into a running agent, from both ends."""

import asyncio
import json
import socket
import stat
from contextlib import asynccontextmanager

import pytest
from support.mount import small_disk, writable

from parkgate.gateway.control import server as room
from parkgate.gateway.control.client import NotRunning, ask
from parkgate.gateway.control.server import SOCKET, ControlServer


async def echo(request):
    return {"asked": request, "title": "徐圩"}


@asynccontextmanager
async def serving(folder, **handlers):
    path = folder / SOCKET
    task = asyncio.create_task(ControlServer(folder, {"echo": echo, **handlers}).run())
    async with asyncio.timeout(20):
        while not (path.exists() and stat.S_IMODE(path.stat().st_mode) == 0o660):  # files have no events
            await asyncio.sleep(0)
    try:
        yield path
    finally:
        task.cancel()
        await asyncio.wait([task])


async def raw(path, sent):
    """Send bytes and give every line that comes back until the server closes or all were answered."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(sent)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()
    return [json.loads(line) for line in answer.splitlines()]


async def test_a_request_is_answered_by_the_handler_of_its_verb(tmp_path):
    async with serving(tmp_path) as path:
        reply = await asyncio.to_thread(ask, path, {"verb": "echo", "more": [1, "二"]})
    assert reply == {"asked": {"verb": "echo", "more": [1, "二"]}, "title": "徐圩"}


async def test_requests_of_one_connection_are_answered_in_their_order(tmp_path):
    async with serving(tmp_path) as path:
        replies = await raw(path, b"".join(b'{"verb":"echo","n":%d}\n' % n for n in range(5)))
    assert [each["asked"]["n"] for each in replies] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b'"echo"\n', b"\xff\xfe\n", b"null\n", b"\n"])
async def test_what_is_no_request_is_answered_and_the_connection_goes_on(tmp_path, line):
    async with serving(tmp_path) as path:
        wrong, right = await raw(path, line + b'{"verb":"echo"}\n')
    assert "error" in wrong
    assert right["asked"] == {"verb": "echo"}


@pytest.mark.parametrize("request_", [{}, {"verb": "fly"}, {"verb": ["echo"]}, {"verb": None}])
async def test_an_unknown_verb_is_answered_with_those_there_are(tmp_path, request_):
    async with serving(tmp_path, status=echo) as path:
        reply = await asyncio.to_thread(ask, path, request_)
    assert reply == {"error": "unknown verb; known: echo, status"}


async def test_an_endless_line_ends_its_connection_and_no_other(tmp_path):
    async with serving(tmp_path) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * 1_000_000)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.transport.abort()
        assert (await asyncio.to_thread(ask, path, {"verb": "echo"}))["title"] == "徐圩"


async def test_who_hangs_up_before_the_answer_disturbs_nobody(tmp_path):
    async with serving(tmp_path) as path:
        for _ in range(3):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(b'{"verb":"echo"}\n')
            writer.transport.abort()
        assert "asked" in await asyncio.to_thread(ask, path, {"verb": "echo"})


async def test_the_socket_is_for_its_owner_and_group_and_gone_at_the_end(tmp_path):
    async with serving(tmp_path) as path:
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_socket_left_by_a_dead_agent_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET))
    with pytest.raises(NotRunning):
        ask(tmp_path / SOCKET, {"verb": "echo"})
    async with serving(tmp_path) as path:
        assert "asked" in await asyncio.to_thread(ask, path, {"verb": "echo"})


def test_where_nobody_listens_the_technician_is_told_how_to_start_one(tmp_path):
    with pytest.raises(NotRunning) as told:
        ask(tmp_path / SOCKET, {"verb": "echo"})
    assert told.value.where == str(tmp_path / SOCKET)
    assert "systemctl start" in told.value.hint


def test_an_agent_that_does_not_answer_in_time_is_not_running(tmp_path):
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / SOCKET))
        deaf.listen(1)
        with pytest.raises(NotRunning) as told:
            ask(tmp_path / SOCKET, {"verb": "echo"}, timeout=0.05)
    assert isinstance(told.value.__cause__, TimeoutError)


@pytest.mark.parametrize("said", [b"", b'{"half', b"5\n"])
async def test_an_agent_that_hangs_up_before_it_has_answered_counts_as_none(tmp_path, said):
    async def hang_up(reader, writer):
        await reader.readline()
        writer.write(said)
        writer.close()

    async with await asyncio.start_unix_server(hang_up, tmp_path / SOCKET):
        with pytest.raises(NotRunning, match="no agent answers"):
            await asyncio.to_thread(ask, tmp_path / SOCKET, {"verb": "echo"})


async def test_a_disk_that_takes_no_socket_is_said_once_and_tried_until_it_does(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(room, "AGAIN", 0)
    in_the_way = tmp_path / SOCKET
    in_the_way.mkdir()
    task = asyncio.create_task(ControlServer(tmp_path, {"echo": echo}).run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert caplog.text.count("no socket in its data folder") == 1
    in_the_way.rmdir()
    while not in_the_way.exists():  # files have no events
        await asyncio.sleep(0)
    assert "asked" in await asyncio.to_thread(ask, in_the_way, {"verb": "echo"})
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.root
def test_a_technician_at_a_read_only_disk_is_sent_to_the_journal(tmp_path):
    with small_disk(100_000) as folder:
        writable(folder, yes=False)
        with pytest.raises(NotRunning) as told:
            ask(folder / SOCKET, {"verb": "echo"})
    assert "journalctl" in told.value.hint
