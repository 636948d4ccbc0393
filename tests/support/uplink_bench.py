"""One uplink's loop with all that it asks and tells, beside a broker that does what a test says."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

from parkgate.config.site import Uplink
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.forwarding.forwarder import Forwarder
from parkgate.gateway.forwarding.publisher import Publisher
from parkgate.gateway.forwarding.trade import Trade
from parkgate.gateway.messages.topics import Topics
from parkgate.gateway.storing.reader import Reader

ROOT = "park/v1/xuwei/gw-01"


class Hasty(SystemClock):
    """The machine's clock, but nobody waits between two connections: each wait sets it ahead instead."""

    def __init__(self):
        super().__init__()
        self.waits = []
        self.ahead = 0.0

    def monotonic(self):
        return super().monotonic() + self.ahead

    async def sleep(self, seconds):
        self.waits.append(seconds)
        await asyncio.sleep(min(seconds, 0.01))
        self.ahead += seconds


class Longest:
    """Chance that always takes the longest wait."""

    def uniform(self, least, most):
        return most


class Greeter:
    """Says little."""

    def __init__(self, outbox):
        self.outbox = outbox
        self.leaving = False

    def status(self, state, reader, *, since, backlog_since=None, reason=None):
        about = {"state": state, "connection": reader.state.connections, "reason": reason}
        return json.dumps(about).encode()

    async def metas(self, position):
        return [("a", "rev1", b'{"rev":"rev1"}'), ("a", "rev2", b'{"rev":"rev2"}')]

    async def left(self, uplink):
        cleared = await self.outbox.ask(lambda file: file.descriptions.cleared(uplink))
        return {} if "old" in cleared or not self.leaving else {"old": ["rev0"]}


class Bench:
    """An outbox, a forwarder, and what the test needs of both."""

    def __init__(self, outbox, url, *, clock=None, standing=None, **options):
        self.outbox = outbox
        self.told = []
        self.links = []
        self.task = None
        self.greeter = Greeter(outbox)
        self.clock = clock or Hasty()
        self.reader = Reader(outbox, outbox.uplink("park"), [])
        trade = Trade(
            Uplink(name="park", url=url, **options),
            Topics.of("park", "xuwei", "gw-01"),
            outbox,
            self.reader,
            self.greeter,
            self.clock,
            self.tell,
            self.clock.now,
            self._new_publisher,
            standing=standing,
        )
        self.forwarder = Forwarder(trade, "xuwei-gw-01", random.Random(1))

    def _new_publisher(self, *given, **more):
        self.links.append(Publisher(*given, **more))
        return self.links[-1]

    def tell(self, name, subject, **detail):
        self.told.append((name, subject, detail))
        return 0

    def queue(self, *names, size=20, kind="data", late=False):
        for name in names:
            series = self.outbox.series(kind if name else "event", name)
            self.outbox.store(series, 7, lambda seq, low, name=name: json.dumps(
                {"name": name, "seq": seq, "low": low, "pad": "x" * size}).encode(), late=late)  # fmt: skip

    async def store(self, *names, **more):
        self.queue(*names, **more)
        await self.outbox.commit()

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():
                if self.task and self.task.done():
                    self.task.result()
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(bench):
    task = bench.task = asyncio.create_task(bench.forwarder.run())
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def topics(session):
    return [each.topic.removeprefix(ROOT + "/") for each in session.publishes]


def rows_of(session):
    """Give what carries rows: neither status nor meta."""
    kinds = ("data", "backfill", "event")
    return [each for each in session.publishes if each.topic.removeprefix(ROOT + "/").split("/")[0] in kinds]
