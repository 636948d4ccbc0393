"""A link that is cut, stalled and throttled, on real sockets."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from parkgate.simulator.link import Link


@asynccontextmanager
async def linked():
    """A server that sends back what it hears, and a link to it."""

    async def serve(reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
        writer.write(b"bye")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    there = server.sockets[0].getsockname()[:2]
    async with Link(lambda: there) as link:
        yield link
    server.close()
    await server.wait_closed()


async def joined(link):
    return await asyncio.open_connection("127.0.0.1", link.port)


async def heard(reader, count):
    async with asyncio.timeout(20):
        return await reader.readexactly(count)


async def test_everything_passes_both_ways_to_the_last_byte():
    async with linked() as link:
        reader, writer = await joined(link)
        data = bytes(range(256)) * 2_000
        writer.write(data)
        writer.write_eof()
        assert await heard(reader, len(data)) == data
        async with asyncio.timeout(20):
            assert await reader.read() == b"bye"
        writer.close()


async def test_a_cut_ends_every_connection_and_the_next_one_is_let_in():
    async with linked() as link:
        reader, writer = await joined(link)
        writer.write(b"1")
        assert await heard(reader, 1) == b"1"
        link.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await heard(reader, 1)
        writer.close()
        reader, writer = await joined(link)
        writer.write(b"2")
        assert await heard(reader, 1) == b"2"
        writer.close()


async def test_while_it_refuses_nobody_gets_in_and_it_listens_at_the_same_port_again():
    async with linked() as link:
        port = link.port
        await link.refuse(on=True)
        await link.refuse(on=True)
        with pytest.raises(OSError, match="Connect call failed"):
            await joined(link)
        await link.refuse(on=False)
        assert link.port == port
        reader, writer = await joined(link)
        writer.write(b"3")
        assert await heard(reader, 1) == b"3"
        writer.close()


async def test_a_stalled_link_keeps_what_it_was_given_until_it_flows_again():
    async with linked() as link:
        reader, writer = await joined(link)
        link.stalled = True
        writer.write(b"4")
        waiting = asyncio.ensure_future(reader.read(1))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert link.stalled
        link.stalled = False
        async with asyncio.timeout(20):
            assert await waiting == b"4"
        writer.close()


async def test_a_rate_lets_everything_pass_in_small_pieces():
    async with linked() as link:
        link.rate = 1_000_000
        reader, writer = await joined(link)
        writer.write(bytes(300_000))
        assert await heard(reader, 300_000) == bytes(300_000)
        writer.close()


async def test_where_nothing_listens_behind_it_the_client_is_hung_up_on():
    async with linked() as link:
        link._there = lambda: ("127.0.0.1", 1)
        reader, writer = await joined(link)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await heard(reader, 1)
        writer.close()
