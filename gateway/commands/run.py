"""`parkgate run SITE`: the agent."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from parkgate.config.load import load_site
from parkgate.drivers.catalog import load
from parkgate.drivers.faults import Fault
from parkgate.gateway import agent

HELP = "run the agent of a site"
SETTLED = 5.0
"""Seconds after which the lines are open and what a running agent keeps for ever is made."""
LEAVING = 1.0
"""Seconds that are given to what cannot be cancelled, before the process ends all the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")


def run(arguments: argparse.Namespace) -> int:
    """Run the agent until SIGTERM or SIGINT; its last words are the account, one JSON line."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    site = load_site(arguments.site)
    load(site.lines)
    keep_for_ever()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.get_loop().call_later(SETTLED, keep_for_ever)
        try:
            account = runner.run(agent.run(site))
        except Fault as fault:
            print(fault, file=sys.stderr, flush=True)
            code = 1
        else:
            print(json.dumps({"account": account}), flush=True)
            code = 0
        # Closing the loop waits for lookups of names, which nobody can cancel: a silent name server holds them long.
        impatient = threading.Timer(LEAVING, os._exit, [code])
        impatient.daemon = True
        impatient.start()
    impatient.cancel()
    return code


def keep_for_ever() -> None:
    """Spare the collector of garbage what is there: a look at 200 lines and their connections takes 30 ms each time."""
    gc.collect()
    gc.freeze()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give uvloop's loop, which halves the cost of a read, where it is installed; else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415  # no wheel for armv7l
    except ImportError:
        return None
    return uvloop.new_event_loop
