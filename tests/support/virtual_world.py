"""A gateway's whole world without real time: the real agent between simulated instruments, disk, clock and brokers.

One seed gives one plan of faults, one course of events and one log of it. What must hold is held by `Judge` at every
commit and every message, and by `World.look` every few seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from support.virtual_broker import Broker, Connection
from support.virtual_disk import Disk
from support.virtual_judge import Judge, Platform
from support.virtual_loop import Inline, VirtualClock, VirtualLoop, run
from support.virtual_park import SLOWEST, Park
from support.virtual_plan import Fault

from parkgate.config.profile import Point
from parkgate.config.site import Gateway, Instrument, Line, Outbox, Site, Uplink
from parkgate.gateway.agent import Agent, commit_window
from parkgate.gateway.agent import World as Given
from parkgate.gateway.storing import keeper
from parkgate.gateway.storing.database import OutboxFault
from parkgate.gateway.storing.outbox import Footing

LOOK = 5.0
"""Seconds between two looks at a running agent."""
NEAR = 15.0
"""Seconds after which a disk that is well again has taken what was kept in memory."""
RESTART = 2.0
"""Seconds after which systemd starts an agent again."""
KEEPER = 900.0
"""Seconds between two looks of the keeper, which reads thousands of rows each time: a day must pass in seconds."""
DRAINED = 7_200.0
"""Seconds without faults after which every backlog must be gone: the slowest back-off is 600 s."""


def site_of(folder: Path, uplinks: Sequence[str], points: int = 2, **outbox: object) -> Site:
    """Give a site of four instruments on three lines, with long periods."""
    names = ["n", *(f"p{place}" for place in range(1, points))]
    measured = tuple(Point(name=name, at=f"input {4 * at}", type="float64") for at, name in enumerate(names))
    periods = {"a": ("l1", 60), "b": ("l1", 90), "c": ("l2", 60), "d": ("l3", 120)}
    return Site(
        path=folder / "site.toml",
        gateway=Gateway(site="test", id="gw", data=folder / "data"),
        uplinks=tuple(Uplink(name=name, url=f"mqtt://{name}", nobody="hold") for name in uplinks),
        outbox=Outbox(**outbox),
        lines=tuple(Line(name=name, url="modbus-tcp://h:502") for name in ("l1", "l2", "l3")),
        instruments=tuple(
            Instrument(name=name, line=line, every=every * 1000, profile="p", protocol="modbus", points=measured)
            for name, (line, every) in periods.items()
        ),
    )


@dataclass
class Life:
    """One run of the agent, until it ends by itself or the machine dies around it."""

    agent: Agent
    began: float
    stored: int = 0
    dead: bool = False
    held: dict[str, bytes] = field(default_factory=dict)
    turns: dict[str, tuple[int, float]] = field(default_factory=dict)
    running: asyncio.Task | None = None


class World:
    """Everything around the agent, and the agent."""

    def __init__(self, loop: VirtualLoop, site: Site, seed: int) -> None:
        self.loop = loop
        self.site = site
        self.seed = seed
        self.lines: list[str] = []
        self.clock = VirtualClock(loop)
        self.disk = Disk(site.gateway.data, self.log)
        self.judge = Judge(self._since_reached, {each.name: Platform() for each in site.uplinks})
        self.park = Park(self.rng("park"), self.log)
        self.brokers = {name: self._broker(name) for name in self.judge.platforms}
        self.lost: set[int] = set()
        self.lives = 0
        self.life: Life
        self.broken: asyncio.Future[None] = loop.create_future()
        self._bad_since = self._bad_until = self._died = float("-inf")
        loop.set_exception_handler(lambda _, context: self.fail(context.get("exception") or RuntimeError(context)))

    def rng(self, of: str) -> random.Random:
        """Give the chance of one part of the world, which no other part disturbs."""
        return random.Random(f"{self.seed} {of}")

    def log(self, text: str) -> None:
        self.lines.append(f"{self.loop.seconds:.3f} {text}")

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    def fail(self, error: BaseException) -> None:
        """Note what did not hold, wherever it was found: the agent's own loops would survive it."""
        if not self.broken.done():
            self.broken.set_exception(error)

    def _broker(self, name: str) -> Broker:
        found = Broker(name, self.rng(name), self.log, self._taken)
        found.back = lambda: self.judge.back(name, self.life.agent.outbox)
        return found

    def _taken(self, uplink: str, topic: str, payload: bytes, code: int) -> None:
        digest = hashlib.blake2b(payload, digest_size=4).hexdigest()
        self.log(f"{uplink} answers {topic} {digest} with 0x{code:02X}")
        self._seen(uplink, topic, payload, code)

    def _seen(self, *about) -> None:
        try:
            self.judge.seen(*about)
        except Exception as error:
            self.fail(error)
            raise

    def _since_reached(self, uplink: str) -> float:
        return self.loop.seconds - self.brokers[uplink].reached

    async def live(self) -> None:
        """Run the agent, and again whenever it ended, as systemd does; for ever."""
        while True:
            self._begin()
            await asyncio.wait([self.life.running])
            self._ended()
            await asyncio.sleep(RESTART)

    def _begin(self) -> None:
        """Start an agent, and listen to its outbox before anything can be stored."""
        self.lives += 1
        self.log(f"life {self.lives} begins")
        given = Given(
            self.clock, self.rng(f"agent {self.lives}"), self._open_driver,
            Footing(self.disk.connect, Inline), self._new_publisher,
        )  # fmt: skip
        self.life = life = Life(Agent(self.site, given), self.loop.seconds)
        life.running = asyncio.create_task(life.agent.run(), name=f"agent {self.lives}")
        self.loop.call_soon(self._listen, life)

    def _listen(self, life: Life) -> None:
        if life.running.done():
            return  # it found no outbox that it may use
        self.judge.opened(life.agent.outbox)
        life.stored = life.agent.outbox.newest
        life.agent.outbox.followers[0] = lambda records: None if life.dead else self.judge.follow(records)
        bound = self._bad_since if self._died - self._bad_until < NEAR else self._died
        queued = {number for number in self.park.answered if number not in self.judge.numbers} - self.lost
        for number in sorted(queued):
            answered = self.park.times[number]
            assert answered > bound - commit_window(self.site) - 1, f"answer {number} of {answered} was not stored"
        self.lost |= queued

    def _open_driver(self, *about):
        return self.park.open_driver(*about)

    def _new_publisher(self, uplink: Uplink, *about, **options) -> Connection:
        life = self.life
        return Connection(
            self.brokers[uplink.name], lambda: not life.dead, self._seen, uplink, *about, **options
        )  # fmt: skip

    def die(self) -> None:
        """Kill the agent: what the kernel holds of its files is all that is left of it."""
        life = self.life
        if not life.dead and not life.running.done():
            self.log("the agent is killed")
            life.dead, life.held = True, self.disk.held()
            self.park.generation += 1
            for broker in self.brokers.values():
                broker.cut_off()
            life.running.cancel()

    def _ended(self) -> None:
        life = self.life
        if life.dead:
            self.disk.put_back(life.held)
        elif life.running.cancelled():
            raise AssertionError("the agent was cancelled by nobody")
        elif isinstance(error := life.running.exception(), OutboxFault):
            self.log(f"the agent ends: {error.what}")
        elif error is not None:
            raise error
        else:
            self.log("the agent left")
        self._died = self.loop.seconds
        self._mend()

    def _mend(self) -> None:
        if self.disk.trouble:
            self.disk.trouble, self._bad_until = "", self.loop.seconds

    def look(self) -> None:
        """Hold the running agent against what must be true at any time."""
        agent, outbox = self.life.agent, self.life.agent.outbox
        if outbox._committing.locked() or self.life.dead or self.life.running.done():
            return
        stored = outbox.newest - self.life.stored
        assert outbox.collected == stored + outbox.rejected + outbox.queued
        assert outbox.newest == self.judge.rows
        for uplink in agent._uplinks():
            settled = uplink["delivered"] + uplink["waiting"] + uplink["expired"] + uplink["quarantined"]
            assert outbox.stored == settled, uplink
        self._polls()

    def _polls(self) -> None:
        """See that every instrument has its turn in time, whatever the disk and the north do."""
        now, life = self.loop.seconds, self.life
        for collector in life.agent.collectors:
            others = len(collector.state.stations) * (SLOWEST + 1)
            for name, station in collector.state.stations.items():
                turns, since = life.turns.get(name, (-1, now))
                if station.reads != turns:
                    life.turns[name] = (station.reads, now)
                    continue
                late = now - since - station.instrument.every / 1000 - others - LOOK
                assert late <= 0, f"{name} is {late} s late"

    async def watch(self) -> None:
        """Look every few seconds; for ever."""
        while True:
            await asyncio.sleep(LOOK)
            self.look()

    async def suffer(self, plan: Sequence[Fault]) -> None:
        """Let the faults of a plan happen, each in its time."""
        async with asyncio.TaskGroup() as group:
            for fault in plan:
                group.create_task(self._happen(fault))

    async def _happen(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        self.log(f"{fault.what} {fault.whom} {fault.how} for {fault.lasting:.0f} s")
        broker = self.brokers.get(fault.whom)
        match fault.what:
            case "trouble":
                await self._for_a_while(self.park.trouble, fault.whom, fault)
            case "disk":
                if not self.disk.trouble and self.loop.seconds - self._bad_until > NEAR:
                    self._bad_since = self.loop.seconds
                self.disk.trouble = fault.how
                await asyncio.sleep(fault.lasting)
                self._mend()
            case "clock":
                await self._clock(fault)
            case "death" if fault.how == "now":
                self.die()
            case "death":
                self.disk.at_commit[fault.how == "before"] = self.die
            case "stop":
                self.life.agent.stop()
            case "dismiss":
                broker.dismiss(fault.how)
            case _:
                await self._broken(broker, fault)

    async def _for_a_while(self, where: dict, key: str, fault: Fault) -> None:
        where[key] = fault.how
        await asyncio.sleep(fault.lasting)
        where.pop(key, None)

    async def _clock(self, fault: Fault) -> None:
        self.clock.stop() if fault.how == "stop" else self.clock.step(fault.how)
        await asyncio.sleep(fault.lasting)
        self.clock.right()

    async def _broken(self, broker: Broker, fault: Fault) -> None:
        """Give a broker a fault and take it back."""
        name = {"narrow": "receive_maximum", "small": "max_packet"}.get(fault.what, fault.what)
        well = {"link": "up", "door": "", "acks": "", "code": 0, "receive_maximum": 65_535, "max_packet": None}[name]
        if fault.how == "cut":
            broker.cut()
        setattr(broker, name, fault.how)
        await asyncio.sleep(fault.lasting)
        setattr(broker, name, well)

    async def drained(self) -> None:
        """Wait until every broker has had everything, then stop the agent and hold its account against the books."""
        for _ in range(int(DRAINED / LOOK)):
            await asyncio.sleep(LOOK)
            if self._quiet():
                break
        self.life.agent.stop()
        account = await self.life.running
        outstanding = self.park.answered.keys() - self.judge.numbers.keys() - self.lost
        assert not outstanding, f"answers {sorted(outstanding)} were never stored"
        for name in self.brokers:
            assert account["uplinks"][name]["waiting"] == 0, f"{name} is not drained"
            self.judge.complete(name)
        assert account["collected"] == account["stored"] - self.life.stored + account["rejected"]

    def _quiet(self) -> bool:
        life = self.life
        if life.running.done() or self.loop.seconds - life.began < LOOK:
            return False
        return all(each.online and each.reader.waiting < 5 for each in life.agent.forwarders)


async def _day(world: World, plan: Sequence[Fault], seconds: float) -> None:
    """Let a site live through a plan of faults, then drain."""
    living = asyncio.create_task(world.live(), name="live")
    watching = asyncio.create_task(world.watch(), name="watch")

    async def course() -> None:
        await asyncio.gather(world.suffer(plan), asyncio.sleep(seconds))
        await world.drained()

    done, _ = await asyncio.wait(
        [living, watching, world.broken, asyncio.create_task(course(), name="course")],
        return_when=asyncio.FIRST_COMPLETED,
    )
    living.cancel()
    watching.cancel()
    await asyncio.wait([living, watching])
    for task in done:
        task.result()


def lived(site: Site, seed: int, plan: Sequence[Fault], seconds: float) -> World:
    """Give the world of a site that lived through a plan, in which everything held; else say how far it came."""

    async def live(loop: VirtualLoop) -> World:
        world = World(loop, site, seed)
        try:
            await _day(world, plan, seconds)
        except Exception as error:
            error.add_note("\n".join(["the last of the log:", *world.lines[-40:]]))
            raise
        return world

    with patch.object(keeper, "PERIOD", KEEPER):
        return run(live)
