"""`parkgate simulate`: a simulated park that any Modbus or OPC UA tool, and any gateway, can ask."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from parkgate.config.arguments import add_duration
from parkgate.config.language import say
from parkgate.config.problem import Problems
from parkgate.simulator.park import CannotListen, Park
from parkgate.simulator.places import examples, places, places_table
from parkgate.simulator.scenario import Scenario, load_scenario, packaged
from parkgate.simulator.scene import KEYS, scene
from parkgate.simulator.truth import NoTruth, TruthWriter
from parkgate.simulator.world import World

HELP = "stand in for a park's instruments: serve a scenario on Modbus TCP and OPC UA"
LOOK = 1.0
"""Seconds between two pictures of `--watch`."""
FASTEST = 100_000.0
"""The most times faster: a day in a second."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes to its parser."""
    parser.add_argument(
        "scenario",
        metavar="SCENARIO",
        help=say("a scenario file, or one that comes with the package: {names}", names=", ".join(packaged())),
    )
    parser.add_argument("--any-port", action="store_true", help=say("listen on free ports instead of the site file's"))
    add_duration(parser)
    parser.add_argument("--json", action="store_true", help=say("print where everything listens as one JSON line"))
    add_speed(parser)
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help=say("keep what every instrument shows in a new file")
    )
    parser.add_argument(
        "--virtual", action="store_true", help=say("serve nothing: live through --for at once, for its --truth")
    )
    parser.add_argument("--watch", action="store_true", help=say("show the park; keys switch its troubles"))


def add_speed(parser: argparse.ArgumentParser) -> None:
    """Let a verb that simulates take `--speed N`."""
    parser.add_argument("--speed", type=_speed, default=1.0, metavar="N", help=say("let values move N times as fast"))


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= FASTEST:
        raise argparse.ArgumentTypeError(say('"{text}" is no number above 0, such as 60', text=text))
    return speed


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, SIGTERM, a hangup or the end of `--for`: 0; 1 if a scenario or a port will not do."""
    try:
        scenario = load_scenario(arguments.scenario)
        if arguments.virtual:
            return _live_through(scenario, arguments)
        asyncio.run(_serve(scenario, arguments))
    except (Problems, CannotListen, NoTruth) as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


def _live_through(scenario: Scenario, arguments: argparse.Namespace) -> int:
    """Let a world live for so long, at once, and keep its truth."""
    if arguments.duration is None or arguments.truth is None:
        print(say("--virtual needs --for and --truth: how long, and where to"), file=sys.stderr)
        return 2
    world, step = World(scenario), scenario.head.step
    console = Console(stderr=True, highlight=False)
    columns = TextColumn(say("living through the scenario")), BarColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with TruthWriter(arguments.truth, world) as truth, bar:
        steps = round(arguments.duration * 1000) // step
        for _ in bar.track(range(steps)):
            truth.note(world.now_ms)
            world.advance(step)
    print(say("{steps} steps of {instruments} instruments: {path}", steps=steps, instruments=len(world.devices),
              path=arguments.truth))  # fmt: skip
    return 0


def told_to_stop() -> asyncio.Event:
    """Give what is set by Ctrl-C, SIGTERM or a closed terminal; the latter not where it is ignored, as by `nohup`."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _serve(scenario: Scenario, arguments: argparse.Namespace) -> None:
    stop = told_to_stop()
    with ExitStack() as stack:
        park = Park(scenario, any_port=arguments.any_port, speed=arguments.speed)
        if arguments.truth is not None:
            park.each = stack.enter_context(TruthWriter(arguments.truth, park.world)).note
        async with park:
            if arguments.watch:
                await _watch(park, stop, arguments.duration)
                return
            _tell(scenario, park.urls, park.uplinks, as_json=arguments.json)
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait(
                {stopping, park.running}, timeout=arguments.duration, return_when=asyncio.FIRST_COMPLETED
            )
            stopping.cancel()


async def _watch(park: Park, stop: asyncio.Event, seconds: float | None) -> None:
    """Show the park until it is to stop; on a terminal keys switch its troubles, and `q` ends it."""
    console, loop = Console(highlight=False), asyncio.get_running_loop()
    pressed = asyncio.Event()
    deadline = time.monotonic() + (seconds or float("inf"))

    def press() -> None:
        for key in os.read(sys.stdin.fileno(), 64).decode(errors="ignore"):
            if key == "q":
                stop.set()
            elif key in KEYS[: len(park.world.scenario.troubles)]:
                park.world.switch(KEYS.index(key))
        pressed.set()

    def picture() -> object:
        return scene(park.world, {**park.urls, **park.uplinks}, time.time_ns() // 1_000_000, keys=console.is_terminal)

    with _keys(loop, press), Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while not stop.is_set() and not park.running.done() and time.monotonic() < deadline:
            live.update(picture(), refresh=True)  # type: ignore[arg-type]  # rich's own union
            pressed.clear()
            waits = {asyncio.ensure_future(pressed.wait()), asyncio.ensure_future(stop.wait())}
            await asyncio.wait(
                waits, timeout=min(LOOK, max(0.0, deadline - time.monotonic())), return_when=asyncio.FIRST_COMPLETED
            )
            for each in waits:
                each.cancel()


@contextmanager
def _keys(loop: asyncio.AbstractEventLoop, press: Callable[[], None]) -> Iterator[None]:
    """Hear single keys of a terminal, without waiting for Enter; nothing where there is none."""
    if not sys.stdin.isatty():
        yield
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    loop.add_reader(number, press)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _tell(scenario: Scenario, urls: Mapping[str, str], uplinks: Mapping[str, str], *, as_json: bool) -> None:
    found = places(scenario, urls)
    if as_json:
        document = {"title": scenario.head.title, "instruments": [place.as_json() for place in found]}
        if uplinks:
            document["uplinks"] = [{"uplink": name, "url": url} for name, url in uplinks.items()]
        print(json.dumps(document, ensure_ascii=False), flush=True)
        return
    console = Console(highlight=False)
    console.print(places_table(scenario.head.title, found))
    for sentence, command in examples(found):
        console.print(sentence)
        console.print(f"  {command}", markup=False, soft_wrap=True)
    for name, url in uplinks.items():
        console.print(
            say("Let uplink {name} of the gateway send to this link, which has troubles of its own:", name=name)
        )
        console.print(f"  {url}", markup=False, soft_wrap=True)
    console.print(say("Ctrl-C stops it."))
    sys.stdout.flush()
