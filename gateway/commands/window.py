"""`parkgate window SITE`: the maintenance and calibration windows of a running agent; opening and ending one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.load import load_site
from parkgate.config.quantity import duration_ms
from parkgate.config.site import Site
from parkgate.gateway.commands.trail_table import local
from parkgate.gateway.control.client import ask
from parkgate.gateway.control.server import SOCKET
from parkgate.gateway.messages.table import Title, flag_words

HELP = "list, open or end maintenance and calibration windows"
PATIENCE = 15.0
"""Seconds: a window is answered once it is on the disk, which may be slow."""
Entry = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("instrument", nargs="?", metavar="INSTRUMENT")
    parser.add_argument("--flag", choices=("maintenance", "calibration", "out-of-service"),
                        help=say("why its values may not be used meanwhile"))  # fmt: skip
    parser.add_argument("--for", dest="lasts", metavar="TIME", help=say('how long at most, as "2h" or "30min"; 7 days'))
    parser.add_argument("--points", metavar="NAMES", help=say("only these points, with commas between them"))
    parser.add_argument("--end", action="store_true", help=say("end what is open of this instrument"))
    parser.add_argument("--by", metavar="NAME", help=say("who does it; goes to the platform"))
    parser.add_argument("--why", metavar="TEXT", help=say("what is done; goes to the platform"))
    parser.add_argument("--json", action="store_true", help=say("print JSON"))


def run(arguments: argparse.Namespace) -> int:
    """List, open or end: 0, or 1 where the agent refuses."""
    if trouble := _trouble(arguments):
        print(trouble, file=sys.stderr)
        return 2
    site = load_site(arguments.site)
    answer = ask(site.gateway.data / SOCKET, {"verb": "window", **_request(arguments)}, timeout=PATIENCE)
    if error := answer.get("error"):
        print(error, file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
        return 0
    show(Console(highlight=False), site, answer["open"])
    return 0


def _trouble(arguments: argparse.Namespace) -> str:
    """Say what is wrong with the arguments; nothing where all is well."""
    opening, ending = (arguments.flag, arguments.lasts, arguments.points), arguments.end
    if arguments.instrument is None:
        return say("name the INSTRUMENT too") if any((*opening, ending, arguments.by, arguments.why)) else ""
    if not (arguments.by and arguments.why):
        return say("a window needs a name and a reason: --by NAME --why TEXT")
    if ending:
        return say("--end goes without --flag, --for and --points") if any(opening) else ""
    if not (arguments.flag and arguments.lasts):
        return say("to open a window say --flag and --for, to end it --end")
    return "" if _lasts(arguments.lasts) else say('--for takes a duration with its unit, as "2h" or "30min"')


def _lasts(text: str) -> int | None:
    try:
        return int(str(duration_ms(text)))
    except ValueError:
        return None


def _request(arguments: argparse.Namespace) -> dict[str, object]:
    """Give what the agent is asked."""
    if arguments.instrument is None:
        return {}
    said = {"instrument": arguments.instrument, "by": arguments.by, "why": arguments.why}
    if arguments.end:
        return {**said, "end": True}
    points = [name.strip() for name in (arguments.points or "").split(",") if name.strip()]
    return {**said, "flag": arguments.flag, "for": _lasts(arguments.lasts), "points": points}


def show(console: Console, site: Site, windows: Sequence[Entry]) -> None:
    """Print the windows that are open as a table."""
    if not windows:
        console.print(say("no window is open"))
        return
    zone, words = ZoneInfo(site.gateway.timezone), flag_words()
    columns: Mapping[str, Callable[[Entry], str]] = {
        say("instrument"): lambda each: each["instrument"],
        say("flag"): lambda each: words.get(each["flag"], each["flag"]),
        say("points"): lambda each: ", ".join(each["points"]) or say("all"),
        say("since"): lambda each: local(each["since"], zone),
        say("until"): lambda each: local(each["until"], zone),
        say("by"): lambda each: say("schedule") if each["by"] == "schedule" else each["by"],
    }
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for header in columns:
        table.add_column(header, no_wrap=True)
    table.add_column(Title(say("why")))
    for each in windows:
        table.add_row(*(Text(cell(each)) for cell in columns.values()), Title(each["why"]))
    console.print(table)
