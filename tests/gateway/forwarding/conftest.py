"""The publisher runs on asyncio's loop and on uvloop, so its tests do too."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
import uvloop

from parkgate.config.site import Uplink
from parkgate.gateway.forwarding.publisher import Publisher, Will

WILL = Will("park/v1/xuwei/gw-01/status", b'{"state":"offline"}')


def pytest_asyncio_loop_factories(config, item):
    if item.path.name.startswith("test_publisher"):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
async def _no_error_is_left_to_the_loop():
    """Fail a test with an error that only the loop has seen."""
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    yield
    assert errors == []


@dataclass
class Acks:
    """What `on_ack` was told, in order."""

    told: list[tuple[int, int]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, packet_id, code):
        self.told.append((packet_id, code))
        self.changed.set()

    async def until(self, count):
        async with asyncio.timeout(20):
            while len(self.told) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.told


@pytest.fixture
def acks():
    return Acks()


@pytest.fixture
async def publisher(acks):
    """Make publishers that leave at the end of the test."""
    made = []

    def make(url, *, client_id="xuwei-gw-01", on_ack=acks, will=WILL, dialect=None, door=None, patience=10.0, **uplink):
        more = {"door": door} if dialect is None else {"door": door, "dialect": dialect}
        park = Uplink(name="park", url=url, **uplink)
        made.append(Publisher(park, client_id, will, on_ack=on_ack, patience=patience, **more))
        return made[-1]

    yield make
    for each in made:
        await each.disconnect()
