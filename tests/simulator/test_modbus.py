"""A line of simulated units on a real socket, asked with hand-made frames."""

import asyncio
import socket
import struct
from urllib.parse import urlsplit

import pytest

from parkgate.simulator.image import Image
from parkgate.simulator.modbus import ModbusPlant


def units():
    image, other = Image([("input", 0, 4)]), Image([("coil", 0, 3)])
    image.write("input", 0, (1, 2, 3, 4))
    other.write("coil", 0, (1, 0, 1))
    return {1: image, 2: other}


def read(transaction, unit, function, first, count):
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, function, first, count)


def words(transaction, unit, function, *values):
    data = struct.pack(f">{len(values)}H", *values)
    return struct.pack(">HHHBBB", transaction, 0, 3 + len(data), unit, function, len(data)) + data


async def connect(plant):
    parts = urlsplit(plant.url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def talk(plant, sent, expected):
    reader, writer = await connect(plant)
    writer.write(sent)
    try:
        return await reader.readexactly(expected)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_many_units_answer_on_one_port():
    async with ModbusPlant("modbus-tcp://127.0.0.1:0", units()) as plant:
        first = words(1, 1, 4, 2, 3)
        assert await talk(plant, read(1, 1, 4, 1, 2), len(first)) == first
        assert await talk(plant, read(2, 2, 1, 0, 3), 10) == bytes.fromhex("0002 0000 0004 02 01 01 05")
        assert await talk(plant, read(3, 3, 4, 0, 1), 9) == bytes.fromhex("0003 0000 0003 03 84 0b")


async def test_requests_sent_together_and_byte_by_byte_are_answered_in_their_order():
    async with ModbusPlant("modbus-tcp://127.0.0.1:0", units()) as plant:
        stream = b"".join(read(n, 1, 4, n % 4, 1) for n in range(50))
        expected = b"".join(words(n, 1, 4, n % 4 + 1) for n in range(50))
        assert await talk(plant, stream, len(expected)) == expected

        reader, writer = await connect(plant)
        for byte in stream:
            writer.write(bytes((byte,)))
            await writer.drain()
        assert await reader.readexactly(len(expected)) == expected
        writer.close()
        await writer.wait_closed()


async def test_a_change_of_the_image_is_seen_by_the_next_read():
    changing = units()
    async with ModbusPlant("modbus-tcp://127.0.0.1:0", changing) as plant:
        changing[1].write("input", 0, (777,))
        assert await talk(plant, read(1, 1, 4, 0, 1), 11) == words(1, 1, 4, 777)


async def test_a_client_that_does_not_speak_modbus_is_hung_up_on_and_the_others_go_on():
    async with ModbusPlant("modbus-tcp://127.0.0.1:0", units()) as plant:
        reader, writer = await connect(plant)
        stranger, shout = await connect(plant)
        shout.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await stranger.read() == b""
        writer.write(read(5, 1, 4, 0, 1))
        assert await reader.readexactly(11) == words(5, 1, 4, 1)
        for each in (writer, shout):
            each.close()
            await each.wait_closed()


async def test_a_client_that_sends_but_never_reads_gets_every_answer_when_it_does():
    async with ModbusPlant("modbus-tcp://127.0.0.1:0", units()) as plant:
        reader, writer = await connect(plant)
        request, reply = read(9, 1, 4, 0, 4), words(9, 1, 4, 1, 2, 3, 4)
        count = 100_000

        async def send():
            for _ in range(count // 1000):
                writer.write(request * 1000)
                await writer.drain()

        sending = asyncio.create_task(send())
        for _ in range(count):
            assert await reader.readexactly(len(reply)) == reply
        await sending
        writer.close()
        await writer.wait_closed()


async def test_leaving_hangs_up_on_everyone_and_frees_the_port():
    async with ModbusPlant("modbus-tcp://127.0.0.1:0", units()) as plant:
        reader, writer = await connect(plant)
        writer.write(read(1, 1, 4, 0, 1))
        await reader.readexactly(11)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    with pytest.raises(ConnectionError):
        await connect(plant)
    async with ModbusPlant(plant.url, units()) as again:
        assert again.url == plant.url


async def test_a_port_in_use_is_an_error_of_the_operating_system():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        plant = ModbusPlant(f"modbus-tcp://127.0.0.1:{taken.getsockname()[1]}", {})
        with pytest.raises(OSError, match="address already in use"):
            await plant.__aenter__()


async def test_it_listens_on_ipv6_and_says_so_in_its_url():
    async with ModbusPlant("modbus-tcp://[::1]:0", units()) as plant:
        assert plant.url.startswith("modbus-tcp://[::1]:")
        assert await talk(plant, read(1, 1, 4, 0, 1), 11) == words(1, 1, 4, 1)
