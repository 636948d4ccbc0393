"""`parkgate judge`: hold what a broker delivers against the truth of a simulated park."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from rich.console import Console

from parkgate.config.arguments import add_duration, broker_url
from parkgate.config.language import say
from parkgate.simulator.commands.simulate import told_to_stop
from parkgate.simulator.judgement import as_json, findings, judged, judgement_table, troubles_table
from parkgate.simulator.platform import NoPlatform, Platform
from parkgate.simulator.received import Received
from parkgate.simulator.reconcile import Judgement, Rules
from parkgate.simulator.truth import NoTruth, Truth

HELP = "hold what a broker delivers against the truth of a simulated park"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("truth", type=Path, metavar="TRUTH", help=say("the file that simulate --truth writes"))
    parser.add_argument("broker", type=broker_url, metavar="URL", help=say("the broker, as mqtt://host"))
    parser.add_argument("--json", action="store_true", help=say("print the judgement as one JSON line"))
    add_duration(parser)


def run(arguments: argparse.Namespace) -> int:
    """Listen until Ctrl-C, SIGTERM or the end of `--for`, then judge: 0 if all is right, 1 if not."""
    try:
        received = asyncio.run(_heard(arguments))
        until = time.time_ns() // 1_000_000 - Rules().late  # what is on its way yet is not missing
        with Truth(arguments.truth) as truth:
            found = judged(truth, received, Rules(until=min(until, truth.last)))
    except (NoPlatform, NoTruth) as trouble:
        print(trouble, file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(as_json(found), ensure_ascii=False), flush=True)
    else:
        tell(found, Console(highlight=False))
    return 0 if all(each.right for each in found) else 1


def tell(found: list[Judgement], console: Console) -> None:
    """Print a judgement for people."""
    console.print(judgement_table(found))
    if any(each.by_trouble for each in found):
        console.print(troubles_table(found))
    for line in findings(found):
        console.print(line, style="red", markup=False, soft_wrap=True)


async def _heard(arguments: argparse.Namespace) -> Received:
    """Listen to a broker for as long as asked for."""
    received, stop = Received(), told_to_stop()

    def take(topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  an MQTT message's own third part
        if not retained or "/meta/" in topic:
            received.take(topic, payload, time.time_ns() // 1_000_000)

    async with Platform(arguments.broker, listener=take):
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping}, timeout=arguments.duration)
        stopping.cancel()
    return received
