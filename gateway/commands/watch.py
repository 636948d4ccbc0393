"""`parkgate watch SITE|URL`: the live table of a running gateway, or of what a broker receives."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from parkgate.config.arguments import add_duration, broker_url
from parkgate.config.language import say
from parkgate.config.load import load_site
from parkgate.config.site import Site
from parkgate.gateway.commands.subscriber import PORTS, Subscriber
from parkgate.gateway.control.client import ask
from parkgate.gateway.control.server import SOCKET
from parkgate.gateway.messages.board import Board, rows_of_status
from parkgate.gateway.messages.table import Row, live_table, row_as_json, standing_alarms

HELP = "watch the live table of a gateway, or of what a broker receives"

PERIOD = 1.0
_FIRST = 5.0
_QUIET = 0.5


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown at one time: the rows, what they are of, a line about the whole, and whether it is cut off."""

    title: str
    rows: tuple[Row, ...]
    caption: str = ""
    lost: bool = False

    def table(self, now_ms: int) -> Table:
        """Give it for people."""
        table = live_table(self.rows, now_ms, self.title) if self.rows else _nothing_yet(self.title)
        lost = say("connection lost, trying again") if self.lost else ""
        said = "  ".join(filter(None, (lost, self.caption)))
        table.caption, table.caption_justify = Text(said, style="table.caption") if said else None, "left"
        return table

    def as_json(self, now_ms: int) -> str:
        """Give it for machines, on one line."""
        rows = [row_as_json(row) for row in self.rows]
        return json.dumps({"now": now_ms, "of": self.title, "instruments": rows}, ensure_ascii=False)


class Watched(Protocol):
    """Something that can be looked at again and again."""

    async def first(self) -> Picture:
        """Look for the first time."""
        ...

    async def next(self) -> Picture:
        """Look again, one period later."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("target", type=_target, metavar="SITE|URL", help=say("a site file, or mqtt://host of a broker"))
    parser.add_argument("--follow", action="store_true", help=say("go on where the output is not a terminal"))
    parser.add_argument("--json", action="store_true", help=say("print one JSON line each time"))
    add_duration(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the table until Ctrl-C, SIGTERM or the end of `--for`: 0; 1 if the broker's connection is lost then.

    On a pipe once: 1 if there is nothing to show.
    """
    console = Console(highlight=False)
    show = _print_json if arguments.json else _print_table
    follow = arguments.follow or arguments.duration is not None or (console.is_terminal and not arguments.json)
    try:
        return asyncio.run(_watch(arguments.target, _Screen(console, show, follow=follow), arguments.duration))
    except KeyboardInterrupt:
        return 0


def _target(text: str) -> str:
    return broker_url(text) if "://" in text else text


class _Screen:
    """Where pictures go: a live table on a terminal, else one after the other."""

    def __init__(self, console: Console, show: _Show, *, follow: bool) -> None:
        self.console = console
        self.follow = follow
        self._show = show

    async def run(self, watched: Watched) -> int:
        picture = await watched.first()
        if not self.follow:
            self._show(self.console, picture)
            return _found(picture)
        if self.console.is_terminal and self._show is _print_table:
            with Live(picture.table(_now()), console=self.console, auto_refresh=False) as live:
                while True:
                    live.update((await watched.next()).table(_now()), refresh=True)
        lost = False
        while True:
            if picture.lost != lost:
                lost = picture.lost
                print(say("connection lost, trying again") if lost else say("connected again"), file=sys.stderr)
            self._show(self.console, picture)
            picture = await watched.next()


async def _watch(target: str, screen: _Screen, seconds: float | None) -> int:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    code = 0
    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(seconds):
            if urlsplit(target).scheme in PORTS:
                async with Subscriber(target) as subscriber:
                    try:
                        return await screen.run(_Broker(subscriber))
                    finally:
                        code = 0 if subscriber.connected else 1
            return await screen.run(_Gateway(load_site(Path(target))))
    return code


class _Gateway:
    """A running agent, asked over its control socket."""

    def __init__(self, site: Site) -> None:
        self._socket = site.gateway.data / SOCKET
        self._title = site.gateway.title or f"{site.gateway.site}/{site.gateway.id}"

    async def first(self) -> Picture:
        reply = await asyncio.to_thread(ask, self._socket, {"verb": "status"})
        said = standing_alarms(reply.get("alarms", ())), _uplinks(reply.get("uplinks", ()))
        return Picture(self._title, rows_of_status(reply), "  ".join(filter(None, said)))

    async def next(self) -> Picture:
        await asyncio.sleep(PERIOD)
        return await self.first()


class _Broker:
    """What a broker keeps and receives."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self._board = Board()

    async def first(self) -> Picture:
        """Take what the broker kept: until no more of it comes, and no longer than people wait."""
        now = asyncio.get_running_loop().time
        latest = now() + _FIRST
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(latest) as patience:
                async for message in self._subscriber.messages():
                    self._board.take(message.topic, message.payload)
                    if message.retained:
                        patience.reschedule(min(latest, now() + _QUIET))
        return self._picture()

    async def next(self) -> Picture:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PERIOD):
                async for message in self._subscriber.messages():
                    self._board.take(message.topic, message.payload)
        return self._picture()

    def _picture(self) -> Picture:
        words = {"online": say("online"), "offline": say("offline")}
        states = (f"{gateway} {words.get(state, state)}" for gateway, state in self._board.states.items())
        lost = not self._subscriber.connected
        caption = "  ".join(filter(None, (standing_alarms(*self._board.alarms()), *states)))
        return Picture(self._subscriber.where, self._board.rows(), caption, lost)


def _uplinks(uplinks: Sequence[Mapping[str, object]]) -> str:
    return "  ".join(
        say("uplink {name}: delivered {delivered}, waiting {waiting}",
            name=each["name"], delivered=each["delivered"], waiting=each["waiting"])
        for each in uplinks
    )  # fmt: skip


def _nothing_yet(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, show_header=False, expand=True)
    table.add_row(Text(say("nothing heard yet"), style="dim"))
    return table


class _Show(Protocol):
    def __call__(self, console: Console, picture: Picture) -> None: ...


def _print_table(console: Console, picture: Picture) -> None:
    console.print(picture.table(_now()))


def _print_json(console: Console, picture: Picture) -> None:
    console.out(picture.as_json(_now()), highlight=False)
    console.file.flush()


def _found(picture: Picture) -> int:
    if picture.rows:
        return 0
    print(say("nothing to show: no instrument has been heard of at {where}", where=picture.title), file=sys.stderr)
    return 1


def _now() -> int:
    return time.time_ns() // 1_000_000
