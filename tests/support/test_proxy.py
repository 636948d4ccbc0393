"""The proxy breaks what passes it, and only as it was told."""

import asyncio

import pytest
from support.proxy import DOWN, UP, Proxy
from support.river import until


@pytest.fixture
async def echo():
    """A server's port that sends back what it gets, and what came from each of its clients, by how they ended."""
    ends = []

    async def serve(reader, writer):
        try:
            while data := await reader.read(1000):
                writer.write(data)
            ends.append("closed")
        except ConnectionError:
            ends.append("reset")
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], ends
        server.close()


@pytest.fixture
def slept():
    return []


@pytest.fixture
async def link(echo, slept):
    async def sleep(seconds):
        slept.append(seconds)

    async with Proxy(echo[0], sleep=sleep) as proxy:
        yield proxy


@pytest.fixture
async def client(link):
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    yield reader, writer
    writer.close()


async def said(client, data=b"hello"):
    client[1].write(data)
    async with asyncio.timeout(10):
        return await client[0].readexactly(len(data))


async def silent(client):
    """Tell whether nothing comes for a moment."""
    try:
        async with asyncio.timeout(0.1):
            return not await client[0].read(1)
    except TimeoutError:
        return True


async def test_without_a_fault_everything_passes(client, link, slept):
    assert await said(client, b"x" * 300_000) == b"x" * 300_000
    assert slept == []
    assert link.accepted == len(link.links) == 1


async def test_delay_and_jitter_hold_each_piece_back_both_ways(client, link, slept):
    link.delay, link.jitter = 5.0, 1.0
    assert await said(client) == b"hello"
    assert len(slept) == 2
    assert all(5 <= each <= 6 for each in slept)


async def test_a_trickle_passes_a_few_bytes_a_second(client, link, slept):
    link.trickle = 2
    assert await said(client, b"hello!") == b"hello!"
    assert slept.count(1.0) >= 6


async def test_a_black_hole_takes_everything_until_it_is_healed(client, link):
    await said(client)
    link.stall()
    client[1].write(b"lost?")
    assert await silent(client)
    link.heal()
    assert await client[0].readexactly(5) == b"lost?"


@pytest.mark.parametrize("way", [UP, DOWN])
async def test_a_black_hole_can_be_one_way(client, link, way):
    await said(client)
    link.stall(way)
    client[1].write(b"lost?")
    assert await silent(client)
    link.heal()
    assert await client[0].readexactly(5) == b"lost?"


async def test_a_cut_is_a_fin_to_both(client, link, echo):
    await said(client)
    link.cut()
    assert await client[0].read() == b""
    await until(lambda: echo[1] == ["closed"])


async def test_a_reset_is_an_rst_to_both(client, link, echo):
    await said(client)
    link.reset()
    with pytest.raises(ConnectionResetError):
        await client[0].read()
    await until(lambda: echo[1] == ["reset"])


async def test_a_half_open_link_has_lost_its_server_and_says_nothing(client, link, echo):
    await said(client)
    link.half_open()
    client[1].write(b"into the void")
    assert await silent(client)
    await until(lambda: bool(echo[1]))
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    assert await said((reader, writer)) == b"hello", "a new connection is whole"
    writer.close()


async def test_a_flip_turns_one_bit_of_one_piece(client, link):
    link.flips = 1
    came = await said(client, b"\0" * 8)
    assert sum(byte.bit_count() for byte in came) == 1
    assert await said(client) == b"hello"


async def test_a_refusing_proxy_resets_and_lets_nobody_in_until_it_accepts_again(client, link):
    await said(client)
    port = link.port
    await link.refuse()
    with pytest.raises(ConnectionResetError):
        await client[0].read()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await link.accept()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await said((reader, writer)) == b"hello"
    writer.close()


async def test_a_dead_server_is_an_end_to_the_client():
    async with Proxy(1) as link:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        assert await reader.read() == b""
        writer.close()
