"""`parkgate demo`: the whole way on one computer, from simulated instruments to what the platform receives.

A simulated park, an MQTT broker of its own (or yours), a gateway as a process of its own, and the platform's books. It
ends with the account: stored, delivered, received, lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from parkgate.config.arguments import add_duration, broker_url
from parkgate.config.language import say
from parkgate.config.problem import Problems
from parkgate.gateway.messages.board import Board, rows_of_status
from parkgate.gateway.messages.table import Row, live_table
from parkgate.simulator.account import Account, account_table, settle, why
from parkgate.simulator.agent import COMMAND, Agent
from parkgate.simulator.broker import BrokerFailed, EmbeddedBroker
from parkgate.simulator.commands.judge import tell
from parkgate.simulator.commands.simulate import add_speed, told_to_stop
from parkgate.simulator.judgement import as_json, judged
from parkgate.simulator.moved_site import MovedSite, moved_site
from parkgate.simulator.park import CannotListen, Park
from parkgate.simulator.platform import NoPlatform, Platform
from parkgate.simulator.received import Received
from parkgate.simulator.reconcile import Judgement, Rules
from parkgate.simulator.scenario import load_scenario
from parkgate.simulator.truth import Truth, TruthWriter

HELP = "simulated park, gateway, broker and platform on this computer, with a live table"

PERIOD = 1.0
FLUSH = 10.0
DRAIN = 5.0
_ERRORS = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for: a broker of one's own (None: the embedded one), and when to stop by itself (seconds).

    `scenario` is simulated, its values `speed` times as fast; `judged`: what arrived is held against the truth.
    """

    uplink: str | None = None
    seconds: float | None = None
    scenario: str = "demo"
    speed: float = 1.0
    judged: bool = False
    as_json: bool = False
    agent: Sequence[str] = COMMAND


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    elsewhere = say("send to this broker (mqtt:// or mqtts://), not to its own")
    parser.add_argument("--uplink", type=broker_url, metavar="URL", help=elsewhere)
    add_duration(parser)
    parser.add_argument("--scenario", default="demo", metavar="SCENARIO", help=say("simulate this scenario"))
    add_speed(parser)
    parser.add_argument("--judge", action="store_true", help=say("hold what arrived against what the park showed"))
    parser.add_argument("--json", action="store_true", help=say("print nothing but the account, as one JSON line"))


def run(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C, SIGTERM, a hangup or the end of `--for`: 0 if all was delivered and received, else 1."""
    wish = Wish(
        arguments.uplink, arguments.duration, arguments.scenario, arguments.speed,
        judged=arguments.judge, as_json=arguments.json,
    )  # fmt: skip
    try:
        return asyncio.run(demo(wish))
    except (Problems, CannotListen, BrokerFailed, NoPlatform) as trouble:
        print(trouble, file=sys.stderr)
        return 1


async def demo(wish: Wish) -> int:
    """Start everything, show it until it is to stop, stop it in order, and print the account."""
    stop = told_to_stop()
    console = Console(highlight=False, stderr=wish.as_json)
    async with AsyncExitStack() as stack:
        demonstration = await _start(wish, stack, console)
        await demonstration.show(stop, wish.seconds, console, silent=wish.as_json)
        if not demonstration.agent.ended.done():
            console.print(say("Stopping: the gateway delivers what it has …"))
        ended = _now()
        account = await demonstration.finish()
        if wish.uplink is not None:
            await demonstration.clear()
        judgement = demonstration.evidence.judged(ended) if demonstration.evidence else []
    if account is None:
        console.print(say("The gateway ended without its account. It said last:"), style="red")
        console.print(demonstration.agent.errors, markup=False)
        return 1
    if wish.as_json:
        more = {"judgement": as_json(judgement)} if wish.judged else {}
        print(json.dumps({**account.as_json(), **more}, ensure_ascii=False), flush=True)
    else:
        console.print(account_table(account))
        if wish.judged:
            tell(judgement, console)
    _explain(account, demonstration.agent.errors, console)
    return 0 if account.whole and all(each.right for each in judgement) else 1


def _explain(account: Account, errors: str, console: Console) -> None:
    """Say why an account may not be whole, with the last lines that the gateway wrote for people."""
    if account.whole:
        return
    console.print(why(account), style="red", markup=False)
    if errors:
        console.print(say("The gateway said last:"))
        console.print("\n".join(errors.splitlines()[-_ERRORS:]), markup=False, soft_wrap=True)


async def _start(wish: Wish, stack: AsyncExitStack, console: Console) -> _Demonstration:
    scenario = load_scenario(wish.scenario)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parkgate-demo-")))
    broker = None if wish.uplink else await stack.enter_async_context(EmbeddedBroker())
    uplink = wish.uplink or (broker.url if broker else "")
    console.print(say("Starting the simulated park …"))
    park = Park(scenario, any_port=True, speed=wish.speed, brokers={scenario.site.uplinks[0].name: uplink})
    evidence = None
    if wish.judged:
        evidence = Evidence(stack.enter_context(TruthWriter(folder / "truth.sqlite", park.world)))
        park.each = evidence.writer.note
    await stack.enter_async_context(park)
    for name, url in park.urls.items():
        console.print(f"  {name:8} {url}", style="dim")
    if broker is not None:
        console.print(say("Starting an MQTT broker: {url}", url=uplink))
    template = scenario.site.path.read_text(encoding="utf-8")
    own = "" if broker is not None else f"demo-{secrets.token_hex(3)}"  # others may use this broker at the same time
    way = park.uplinks.get(scenario.site.uplinks[0].name, uplink)
    site = moved_site(template, park.urls, way, str(folder / "data"), gateway_id=own)
    board = Board()

    def take(topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  an MQTT message's own third part
        board.take(topic, payload)
        if evidence is not None and (not retained or "/meta/" in topic):
            evidence.received.take(topic, payload, _now())

    platform = await stack.enter_async_context(Platform(uplink, site.topics, take))
    file = folder / "demo.toml"
    file.write_text(site.text, encoding="utf-8")
    console.print(say("Starting the gateway: parkgate run {file}", file=file))
    agent = await stack.enter_async_context(Agent(file, folder / "data", command=wish.agent, secrets=site.secrets))
    console.print(say("Ctrl-C stops it and prints the account."))
    return _Demonstration(site, platform, board, agent, evidence)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the park showed, and what arrived of it."""

    writer: TruthWriter
    received: Received = field(default_factory=Received)

    def judged(self, until: int) -> list[Judgement]:
        """Hold one against the other, up to a time (ms UTC)."""
        self.writer.write()
        with Truth(self.writer.path) as truth:
            return judged(truth, self.received, Rules(until=until))


class _Demonstration:
    """Everything that runs, and what is shown of it."""

    def __init__(
        self, site: MovedSite, platform: Platform, board: Board, agent: Agent, evidence: Evidence | None
    ) -> None:
        self.agent = agent
        self.evidence = evidence
        self._site = site
        self._platform = platform
        self._board = board

    async def show(self, stop: asyncio.Event, seconds: float | None, console: Console, *, silent: bool) -> None:
        """Show the live table until told to stop, the time is over or the agent has ended; on a pipe only the last."""
        stopping = asyncio.create_task(stop.wait())
        deadline = time.monotonic() + (seconds or float("inf"))
        live = console.is_terminal and not silent
        table = Table()
        with Live(console=console, auto_refresh=False) if live else nullcontext() as screen:
            while not stopping.done() and not self.agent.ended.done() and time.monotonic() < deadline:
                table = live_table(await self._rows(), _now(), self._site.title)
                if screen:
                    screen.update(table, refresh=True)
                wait = min(PERIOD, max(0.0, deadline - time.monotonic()))
                await asyncio.wait({stopping, self.agent.ended}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not live and not silent:
            console.print(table)

    async def finish(self) -> Account | None:
        """Stop the agent, wait for what is still under way to the platform, and settle the account."""
        words = await self.agent.stop(FLUSH)
        if words is None:
            return None
        await self._platform.until(lambda _: not self._settled(words).lost, DRAIN)
        return self._settled(words)

    async def clear(self) -> None:
        """Leave nothing of this gateway in somebody else's broker."""
        if self.agent.ended.done():
            await self._platform.clear()

    def _settled(self, words: Mapping[str, object]) -> Account:
        return settle(self._site.source, words, self._platform.books.account())

    async def _rows(self) -> tuple[Row, ...]:
        """Give what the platform received, with what the gateway says a moment later of storing it."""
        received = [
            replace(row, delivered=self._platform.books.received(f"{self._site.source}/{row.instrument}"))
            for row in self._board.rows()
        ]
        gateway = {row.instrument: row for row in rows_of_status(await self.agent.status() or {})}
        return tuple(_joined(row, gateway.get(row.instrument, Row(row.instrument))) for row in received)


def _joined(received: Row, gateway: Row) -> Row:
    return replace(received, stored=gateway.stored, waiting=gateway.waiting)


def _now() -> int:
    return time.time_ns() // 1_000_000
