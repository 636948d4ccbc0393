"""An OPC UA server that is killed and started again at random: what its history holds is in the books, once."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from unittest.mock import patch

from chaos.row import Row
from support.opcua_history import recording
from support.opcua_park import T0, datavalue, followed, line, point

from parkgate.drivers.faults import Unreachable
from parkgate.drivers.opcua import history
from parkgate.drivers.opcua.driver import OpcUaDriver

TANK = followed(point("a"), point("b"), every=50)
_NAMES = ("a", "b")
_LATER = 3_600_000


class Books:
    """What a subscriber has: by point and source time its values; `again` were told twice as a change, or late."""

    def __init__(self):
        self.values = {name: {} for name in _NAMES}
        self.again = self.late = 0

    def take(self, snapshot):
        for place, name in enumerate(_NAMES):
            if place in snapshot.absent or snapshot.values[place] is None:
                continue
            at = snapshot.at + snapshot.offsets.get(place, 0)
            known = at in self.values[name]
            self.again += known and (snapshot.late or bool(snapshot.absent))
            self.late += snapshot.late
            self.values[name][at] = snapshot.values[place]


class Source:
    """What the server's devices do, whether it runs or not: its historian has it all, and keeps it over a restart."""

    def __init__(self, rng):
        self._rng = rng
        self._time = T0
        self.history = {name: [] for name in _NAMES}

    def change(self):
        """Let a device change; give its name and what it says."""
        self._time += self._rng.choice((1, 2, 50, 5_000))
        name = self._rng.choice(_NAMES)
        value = datavalue(float(self._time - T0), source=self._time)
        self.history[name].append(value)
        return name, value

    def truth(self):
        return {
            name: {T0 + round(each.Value.Value): each.Value.Value for each in held}
            for name, held in self.history.items()
        }


async def _serve(server, source):
    """Let a server hold what its devices say, and its history be the historian's, who writes it down himself."""

    async def save(*_):
        pass

    server.storage.save_node_value = save
    for name, held in source.history.items():
        await server.park.write(**{name: held[-1]})
        await server.keep(name)
        server.storage._datachanges[server.node(name)] = held


async def _follow(driver, books):
    """Do as the collector of a line does."""
    while True:
        with suppress(Unreachable):
            async with driver:
                while True:
                    for snapshot in await driver.read(TANK):
                        books.take(snapshot)
                    await asyncio.sleep(0.005)
        await asyncio.sleep(0.01)


async def _until(met, seconds):
    ends = time.monotonic() + seconds
    while not met() and time.monotonic() < ends:
        await asyncio.sleep(0.02)


async def run(restarts: int, seed: int) -> list[Row]:
    """Kill a server so many times."""
    rng = random.Random(seed)
    source, books = Source(rng), Books()
    while not all(source.history.values()):
        source.change()
    port, begun, most = 0, {name: source.history[name][-1] for name in _NAMES}, 0
    follower = None
    with patch.object(history, "RESTS", 0), patch.object(history, "PATIENCE", 0.0):
        try:
            for number in range(restarts + 1):
                async with recording(port, page=5) as server:
                    await _serve(server, source)
                    if follower is None:
                        port = server.park.server.bserver.port
                        driver = OpcUaDriver(line(server.url), [TANK], lambda: T0 + _LATER)
                        follower = asyncio.create_task(_follow(driver, books))
                        await _until(lambda: books.values["a"], 20)
                    for _ in range(rng.randint(0, 40)):
                        name, value = source.change()
                        await server.park.server.write_attribute_value(server.node(name), value)
                        await asyncio.sleep(rng.choice((0, 0, 0.01)))
                        most = max(most, server.park.sessions)
                    if number == restarts:
                        await _until(lambda: _missing(source, books, begun) == 0, 60)
                        left = server.park.sessions
                        follower.cancel()
                        with suppress(asyncio.CancelledError):
                            await follower
                for _ in range(rng.randint(0, 10)):
                    if number < restarts:
                        source.change()
        finally:
            if follower is not None:
                follower.cancel()
    told = sum(map(len, books.values.values()))
    return [
        Row(f"{restarts} restarts", f"{told} changes, {books.late} from the history", "some of both", books.late > 0),
        Row("missing", str(_missing(source, books, begun)), "0", _missing(source, books, begun) == 0),
        Row("twice", str(books.again), "0", books.again == 0),
        Row("sessions at the end, at most", f"{left}, {most}", "1, 1", (left, most) == (1, 1)),
    ]


def _missing(source, books, begun):
    """Count what was said from the follower's start on and is not in the books as it was said."""
    return sum(
        books.values[name].get(at) != value
        for name, said in source.truth().items()
        for at, value in said.items()
        if value >= begun[name].Value.Value
    )
