"""The agent: joins the rooms, runs their loops, and stops them in order. The only file that knows the others."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parkgate.config.language import english, say
from parkgate.config.site import Instrument, Site, Uplink
from parkgate.drivers.catalog import opener
from parkgate.gateway import status
from parkgate.gateway.alarming import Alarming, Desk
from parkgate.gateway.clock import Clock, SystemClock
from parkgate.gateway.collecting.collector import Collector, Given, Open, Station
from parkgate.gateway.collecting.origins import Origins
from parkgate.gateway.collecting.resuming import resume
from parkgate.gateway.collecting.statistics import Statistics, Surroundings
from parkgate.gateway.control.server import ControlServer
from parkgate.gateway.forwarding.forwarder import Forwarder
from parkgate.gateway.forwarding.publisher import Publisher
from parkgate.gateway.forwarding.trade import NewPublisher, Trade
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.inquiries import Inquiries
from parkgate.gateway.messages import encode
from parkgate.gateway.messages.topics import Topics
from parkgate.gateway.notify import notify, watchdog_seconds
from parkgate.gateway.processing.derive import derivers
from parkgate.gateway.processing.validity import Judge
from parkgate.gateway.storing.database import Database
from parkgate.gateway.storing.described import Described
from parkgate.gateway.storing.keeper import Keeper
from parkgate.gateway.storing.outbox import REAL, Footing, Outbox
from parkgate.gateway.storing.reader import Reader
from parkgate.gateway.supervisor import Supervisor, cancelled
from parkgate.gateway.timekeeper import AgentTime
from parkgate.gateway.trailing import Trail
from parkgate.gateway.visits import Visits
from parkgate.gateway.windowing import Hall, Windowing

SHORTEST_COMMIT, LONGEST_COMMIT = 0.2, 5.0
"""Seconds between two commits that `commit = "auto"` stays within."""
LEAVING, DRAIN = 1.0, 4.0
"""Seconds that a clean stop waits for loops to end, and for the brokers; systemd is told to wait 10 for all of it."""
DISK_AGAIN = 60.0
"""Seconds between two tries of a disk that took nothing."""
_log = logging.getLogger("parkgate.agent")


@dataclass(frozen=True, slots=True)
class World:
    """What the agent does not make itself: time, chance, lines, the outbox's file and connections to brokers.

    Tests hand in their own. Without an `open_driver` it is the real one, with the gateway's own keys.
    """

    clock: Clock
    rng: random.Random
    open_driver: Open | None = None
    footing: Footing = REAL
    new_publisher: NewPublisher = Publisher


def real_world() -> World:
    """Give the machine's clock, its randomness and the real drivers."""
    return World(clock=SystemClock(), rng=random.SystemRandom())


def commit_window(site: Site) -> float:
    """Give the longest a snapshot waits for its commit, seconds: `auto` is the shortest period of the site."""
    if site.outbox.commit != "auto":
        return site.outbox.commit / 1000
    shortest = min(each.every for each in site.instruments) / 1000
    return min(max(shortest, SHORTEST_COMMIT), LONGEST_COMMIT)


class Agent:
    """One running gateway."""

    def __init__(self, site: Site, world: World) -> None:
        self.site = site
        self.collectors: list[Collector] = []
        self.forwarders: list[Forwarder] = []
        self._world = world
        self._began = world.clock.now()
        self._source = status.source(site)
        self._version = status.version()
        self._origins = Origins(mixed=site.gateway.mixed)
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._supervisor = Supervisor(world.clock, world.rng, self.tell)
        self._time = AgentTime(world.clock, site.gateway.data / "clock", self._clock_changed)
        self._quarantined: dict[str, int] = {}

    async def run(self) -> Mapping[str, object]:
        """Run until told to stop; give the account.

        Raises:
            OutboxFault: the outbox cannot be used; nothing was collected, or the disk failed meanwhile.

        """
        world, window = self._world, commit_window(self.site)
        self.outbox = Outbox.open(self.site.gateway.data, world.clock, window, world.rng, world.footing)
        try:
            await self._build()
            tasks = self._start()
            notify("READY=1")
            _log.info(say("collecting from {count} instruments", count=len(self.site.instruments)))
            stopping = asyncio.create_task(self._stop.wait(), name="stop")
            try:
                done, _ = await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopping}:
                    task.result()  # a loop that ended by itself did so for a reason that ends the agent
                notify("STOPPING=1")
                return await self._end(tasks)
            finally:
                await cancelled((stopping, *tasks), LEAVING)
        finally:
            if self.outbox.durable:
                self._time.keep()
            await self.outbox.close()

    def stop(self) -> None:
        """Ask the agent to flush and leave; asked again, it leaves without waiting for the brokers."""
        if self._stop.is_set():
            self._at_once.set()
        self._stop.set()

    async def _build(self) -> None:
        self._described = Described(self._source, self.site.instruments, self.outbox)
        await self._described.keep()
        self._trail = await Trail.of(self._source, self.outbox)
        await self._trail.begin(self.site, self._version, self.tell)
        hall = Hall(self.outbox, self._world.clock, self.tell, self._time.look, self._supervisor.heart("windows"))
        self._windowing = Windowing(hall, self.site, self._trail.kept)
        desk = Desk(
            self._source, self.outbox, self._described, self._world.clock, self.tell, self._time.unsynced,
            self._supervisor.heart("alarms"),
        )  # fmt: skip
        self._alarming = await Alarming.of(desk, self.site.instruments)
        readers: list[Reader] = []
        self.forwarders = [self._forwarder(uplink, readers) for uplink in self.site.uplinks]
        if self._time.absent:  # it was we who were away, or so says a wrong clock: no uplink is, before it had its day
            for reader in readers:
                reader.state.reached = max(reader.state.reached, self._time.trusted())
        safety = frozenset(each.name for each in self.site.instruments if each.safety)
        self._keeper = Keeper(
            self.outbox, self.site.outbox, readers, self._world.clock, self.tell,
            trusted=self._time.trusted, safety=safety, heart=self._supervisor.heart("keeper"),
        )  # fmt: skip
        self._derivers = derivers(self.site.instruments)
        await resume(self._source, self.site.instruments, self._derivers, self.outbox)
        world = self._world
        self._statistics = Statistics(
            self.site,
            Surroundings(
                self.outbox, world.clock, self.tell, self._time.trusted, self._described.rev,
                self._supervisor.heart("statistics"), self._source,
            ),
            lambda each: each.acquisition == "subscription",
        )  # fmt: skip
        await self._statistics.resume()
        given = Given(
            self.outbox, world.clock, world.rng, world.open_driver or opener(self.site.gateway), self.tell,
            self._refresh, self._time.unsynced,
            self._origins, self._describe, self._statistics.take,
        )  # fmt: skip
        self.collectors = [
            Collector(line, [self._station(each) for each in self.site.on(line)], given, self._heart("line", line.name))
            for line in self.site.lines
            if self.site.on(line)
        ]
        self._quarantined = await self.outbox.ask(Database.quarantined)

    def _heart(self, what: str, name: str) -> Heart:
        return self._supervisor.heart(f"{what} {name}")

    def _station(self, instrument: Instrument) -> Station:
        series = self.outbox.series("data", instrument.name)
        judge = Judge.of(instrument, self._world.clock.monotonic, self._windowing.of(instrument))
        encoder, watch = self._described.encoder(instrument), self._alarming.watcher(instrument)
        return Station(instrument, series, judge, encoder, self._derivers[instrument.name], watch=watch)

    async def _describe(self, instrument: Instrument, *, simulated: bool) -> encode.SnapshotEncoder:
        """Describe an instrument anew, in the outbox and to every uplink, before a row refers to it."""
        description = await self._described.anew(instrument, simulated=simulated)
        await self._trail.described(instrument, self.tell, simulated=simulated)
        self._alarming.describe(instrument)
        for forwarder in self.forwarders:
            forwarder.describe(*description)
        return self._described.encoder(instrument)

    def _forwarder(self, uplink: Uplink, readers: list[Reader]) -> Forwarder:
        gateway, outbox = self.site.gateway, self.outbox
        trade = Trade(
            uplink, Topics.of(uplink.prefix, gateway.site, gateway.id), outbox,
            Reader(outbox, outbox.uplink(uplink.name), readers), self, self._world.clock, self.tell,
            self._time.trusted, self._world.new_publisher, self._heart("uplink", uplink.name),
            self._alarming.payload,
        )  # fmt: skip
        return Forwarder(trade, f"{gateway.site}-{gateway.id}", self._world.rng)

    def _start(self) -> list[asyncio.Task[None]]:
        self.outbox.tell = self.tell
        self.tell("started", "", version=self._version, instruments=len(self.site.instruments))
        for name, subject, detail in self.outbox.news:
            self.tell(name, subject, **detail)
        visits = Visits(self.collectors)
        handlers = {
            "status": self._answer_status, "account": self._answer_account,
            "ask": visits.ask, "identify": visits.identify,
            "alarms": self._alarming.answer, "acknowledge": self._alarming.acknowledge,
            "trail": self._trail.answer, "window": self._windowing.answer,
            "inquire": Inquiries(self.collectors).inquire,
        }  # fmt: skip
        server = ControlServer(self.site.gateway.data, handlers)
        loops = [(f"line {each.line.name}", each.run) for each in self.collectors]
        loops += [(f"uplink {each.uplink.name}", each.run) for each in self.forwarders]
        loops += [
            ("alarms", self._alarming.run),
            ("statistics", self._statistics.run),
            ("windows", self._windowing.run),
            ("keeper", self._keeper.run),
            ("clock", self._time.run),
            ("control", server.run),
        ]
        if not self.outbox.durable:
            loops.append(("disk", self._until_writable))
        tasks = [asyncio.create_task(self.outbox.run(), name="outbox")]
        tasks += [self._supervisor.start(name, run) for name, run in loops]
        if seconds := watchdog_seconds():
            asking = self._supervisor.ask("outbox", seconds, lambda: self.outbox.ask(Database.size))
            tasks.append(asyncio.create_task(asking, name="outbox answers"))
            tasks.append(asyncio.create_task(self._supervisor.feed_watchdog(seconds), name="watchdog"))
        return tasks

    async def _until_writable(self) -> None:
        """Try the disk that took nothing now and then; once it takes things again, leave to be started again.

        Closing the outbox moves what waits in memory to the disk.
        """
        while not await self.outbox.writable():
            await self._world.clock.sleep(DISK_AGAIN)
        _log.warning(say("the disk can be written again: the agent ends, to be started again on it"))
        self.stop()
        await self._stop.wait()

    def _clock_changed(self, event: str, offset: int) -> None:
        """Tell that the clock was stepped or set; where it was wrong, TLS may come up now."""
        self.tell(event, "", offset=offset)
        self._windowing.shift(offset)
        for forwarder in self.forwarders:
            forwarder.hurry()

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> Mapping[str, object]:
        """Stop in order: the lines, a last commit, the uplinks after they drained, what they have had."""
        await cancelled([task for task in tasks if task.get_name().startswith("line ")], LEAVING)
        self.tell("stopped", "")
        await self.outbox.commit()
        draining = asyncio.gather(*(each.drain(DRAIN) for each in self.forwarders))
        told_again = asyncio.ensure_future(self._at_once.wait())
        await asyncio.wait((draining, told_again), return_when=asyncio.FIRST_COMPLETED)
        await cancelled((told_again,))
        draining.cancel()
        await self.outbox.commit(progress=True)
        self._quarantined = await self.outbox.ask(Database.quarantined)
        return status.account(self.outbox, self.collectors, self._uplinks())

    def tell(self, name: str, subject: str, **detail: object) -> int:
        """Store an event: what happened to whom, and its details, in English; give its row."""
        now = self._world.clock.now()
        plain = {key: english(value) for key, value in detail.items()}
        event = self._trail.event(now, name, subject, plain)
        return self.outbox.store(self.outbox.series("event", ""), now, event)

    def status(
        self, state: str, reader: Reader, *, since: int, backlog_since: int | None = None, reason: str | None = None
    ) -> bytes:
        """Give the status payload of the uplink that `reader` reads for; `since` is when the state began (ms UTC)."""
        fields: dict[str, object] = {
            "state": state,
            "source": self._source,
            "epoch": self.outbox.epoch,
            "connection": reader.state.connections,
            "since": since,
            "version": self._version,
        }
        if reason:
            fields["reason"] = reason
        if not self.outbox.durable:
            fields["durable"] = False
        if any(self._origins.simulated.values()):
            fields["simulated"] = True
        if self._trail.head is not None:
            fields["trail"] = dict(zip(("n", "digest"), self._trail.head, strict=True))
        if state == "online":
            backlog = {"records": reader.waiting, "oldest": backlog_since if reader.waiting else None}
            fields["backlog"] = {key: value for key, value in backlog.items() if value is not None}
            fields["silent"] = status.silent(self.collectors)
        return encode.status(fields)

    async def metas(self, position: int) -> Sequence[tuple[str, str, bytes]]:
        """Give the descriptions that rows after row `position` refer to: past ones first, then today's."""
        await self._trail.keep()
        return await self._described.needed(position)

    async def left(self, uplink: str) -> dict[str, list[str]]:
        """Give the instruments that left the site, with their revs, that this uplink still holds retained."""
        return await self._described.left(uplink)

    def _refresh(self) -> None:
        for forwarder in self.forwarders:
            forwarder.refresh()

    def _uplinks(self) -> list[dict[str, object]]:
        return [status.uplink(each, self._quarantined.get(each.uplink.name, 0)) for each in self.forwarders]

    async def _answer_account(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Answer the verb `account`: the counters alone; `request` says nothing more."""
        del request
        self._quarantined = await self.outbox.ask(Database.quarantined)
        return status.account(self.outbox, self.collectors, self._uplinks())

    async def _answer_status(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Answer the verb `status`; `request` says nothing more."""
        del request
        self._quarantined = await self.outbox.ask(Database.quarantined)
        return {
            "source": self._source,
            "title": self.site.gateway.title,
            "version": self._version,
            "now": self._world.clock.now(),
            "since": self._began,
            "outbox": status.outbox(self.outbox, self.site, await self.outbox.ask(Database.usage)),
            "lines": [status.line(each) for each in self.collectors],
            "instruments": [
                status.instrument(each, station, self._origins)
                for each in self.collectors for station in each.state.stations.values()
            ],
            "uplinks": self._uplinks(),
            "windows": self._windowing.open(),
            "alarms": self._alarming.standing(),
        }  # fmt: skip


async def run(site: Site) -> Mapping[str, object]:
    """Run a site until SIGTERM or SIGINT; give the account."""
    agent = Agent(site, real_world())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    return await agent.run()
