"""The floor: the least code that polls, stores with fsync and publishes the same points with the same libraries.

A pymodbus client an instrument, staggered; one `struct.Struct` a block; rounding; an orjson record with names; SQLite
in WAL with synchronous=FULL and one commit a second of zlib rows on a thread; one paho QoS 1 message an instrument and
period, by paho's own network thread. It judges nothing, checks no reply, keeps no account, and forgets what the broker
refuses.
Run as `floor.py BROKER_PORT DATABASE POINTS EVERY_MS PORT…`; prints what it delivered when its stdin closes.
"""

import asyncio
import json
import sqlite3
import struct
import sys
import threading
import time
import zlib

import orjson
import paho.mqtt.client as mqtt
from pymodbus.client import AsyncModbusTcpClient

WORDS = struct.Struct(">124H")
FLOATS = struct.Struct(">62f")


class Floor:
    def __init__(self, broker: int, database: str, points: int, every: float) -> None:
        self.points = points
        self.every = every
        self.names = [f"p{place:03d}" for place in range(points)]
        self.rows: list[tuple[int, bytes]] = []
        self.delivered = 0
        self.seq = 0
        self.connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("CREATE TABLE frame (id INTEGER PRIMARY KEY, body BLOB)")
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_publish = self.published
        self.client.connect("127.0.0.1", broker)
        self.client.loop_start()

    def published(self, *_: object) -> None:
        self.delivered += 1

    def commit(self, rows: list[tuple[int, bytes]]) -> None:
        packed = [(number, zlib.compress(body, 1)) for number, body in rows]
        self.connection.execute("BEGIN")
        self.connection.executemany("INSERT INTO frame VALUES (?, ?)", packed)
        self.connection.execute("COMMIT")

    async def commits(self) -> None:
        while True:
            await asyncio.sleep(1)
            rows, self.rows = self.rows, []
            await asyncio.to_thread(self.commit, rows)

    async def poll(self, port: int, start: float) -> None:
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        due = start
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += self.every
            values: list[float] = []
            for address in range(0, 2 * self.points, 124):
                count = min(124, 2 * self.points - address)
                reply = await client.read_input_registers(address, count=count, device_id=1)
                if count == 124:
                    values += FLOATS.unpack(WORDS.pack(*reply.registers))
                else:
                    values += struct.unpack(f">{count // 2}f", struct.pack(f">{count}H", *reply.registers))
            record = {
                "ts": time.time_ns() // 1_000_000,
                "values": dict(zip(self.names, [round(v, 2) for v in values], strict=True)),
            }
            body = orjson.dumps(record)
            self.seq += 1
            self.rows.append((self.seq, body))
            self.client.publish(f"floor/data/{port}", body, 1)

    async def main(self, ports: list[int]) -> None:
        start = time.monotonic()
        gap = self.every / len(ports)
        tasks = [asyncio.create_task(self.poll(port, start + place * gap)) for place, port in enumerate(ports)]
        tasks.append(asyncio.create_task(self.commits()))
        done = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
        await asyncio.to_thread(done.wait)
        print(json.dumps({"delivered": self.delivered * self.points, "polled": self.seq * self.points}), flush=True)


if __name__ == "__main__":
    import uvloop

    broker, database, points, every, *ports = sys.argv[1:]

    async def start() -> None:
        await Floor(int(broker), database, int(points), int(every) / 1000).main([int(port) for port in ports])

    uvloop.run(start())
