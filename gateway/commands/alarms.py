"""`parkgate alarms SITE`: the alarms that stand at a running agent, and their acknowledgement."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.load import load_site
from parkgate.config.site import Site
from parkgate.gateway.control.client import ask
from parkgate.gateway.control.server import SOCKET
from parkgate.gateway.messages.table import Title, age, flag_words

HELP = "list the alarms that stand, or acknowledge them"
PATIENCE = 15.0
"""Seconds: an acknowledgement is answered once it is on the disk, which may be slow."""
_MOST = 3
Entry = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("--ack", nargs="+", metavar="NAME",
                        help=say("acknowledge what stands of an instrument, of a point of it, or one alarm: "
                                 "INSTRUMENT [POINT [ALARM]]"))  # fmt: skip
    parser.add_argument("--by", metavar="NAME", help=say("who acknowledges; goes to the platform"))
    parser.add_argument("--why", metavar="TEXT", help=say("what was found or done; goes to the platform"))
    parser.add_argument("--json", action="store_true", help=say("print JSON"))


def run(arguments: argparse.Namespace) -> int:
    """List: 0 where none stands, 1 where any does. Acknowledge: 0, or 1 where there was nothing to acknowledge."""
    if trouble := _trouble(arguments):
        print(trouble, file=sys.stderr)
        return 2
    site = load_site(arguments.site)
    socket = site.gateway.data / SOCKET
    if arguments.ack:
        words = dict(zip(("instrument", "point", "alarm"), arguments.ack, strict=False))
        said = {"by": arguments.by, "why": arguments.why}
        return _acknowledged(ask(socket, {"verb": "acknowledge", **words, **said}, timeout=PATIENCE), arguments)
    answer = ask(socket, {"verb": "alarms"})
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        show(Console(highlight=False), site, answer)
    return 1 if answer["standing"] else 0


def _trouble(arguments: argparse.Namespace) -> str:
    """Say what is wrong with the arguments; nothing where all is well."""
    if arguments.ack is None:
        return say("--by and --why go with --ack") if arguments.by or arguments.why else ""
    if len(arguments.ack) > _MOST:
        return say("--ack takes an instrument, a point and an alarm at most")
    if not (arguments.by and arguments.why):
        return say("an acknowledgement needs a name and a reason: --by NAME --why TEXT")
    return ""


def _acknowledged(answer: Entry, arguments: argparse.Namespace) -> int:
    if error := answer.get("error"):
        print(error, file=sys.stderr)
        return 1
    done: Sequence[Entry] = answer["acknowledged"]
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    elif not done:
        print(say("nothing to acknowledge: {names}; parkgate alarms SITE shows what stands",
                  names=" ".join(arguments.ack)), file=sys.stderr)  # fmt: skip
    else:
        for each in done:
            print(_told(each))
    return 0 if done else 1


def _told(each: Entry) -> str:
    name = "{instrument} {point} {alarm}".format_map(each)
    if each["state"] == "cleared":
        return say("{name}: acknowledged and cleared", name=name)
    return say("{name}: acknowledged; it stands until the value returns", name=name)


def show(console: Console, site: Site, answer: Entry) -> None:
    """Print what stands as a table."""
    entries: Sequence[Entry] = answer["standing"]
    if not entries:
        console.print(say("no alarm stands"))
        return
    units = {(each.name, point.name): point.unit for each in site.instruments for point in each.quantities}
    columns: Mapping[str, Callable[[Entry], str]] = {
        say("instrument"): lambda each: each["instrument"],
        say("point"): lambda each: each["point"],
        say("alarm"): lambda each: each["alarm"],
        say("priority"): lambda each: _words().get(each["priority"], each["priority"]),
        say("state"): _state,
        say("value"): _value,
        say("limit"): lambda each: _limit(each, units.get((each["instrument"], each["point"]), "")),
        say("stands for"): lambda each: age(each.get("since"), answer["now"]),
    }
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for place, header in enumerate(columns):
        table.add_column(header, no_wrap=True, justify="right" if place in (5, 7) else "left")
    table.add_column(Title(""))
    titles = {each.name: each.title for each in site.instruments}
    for each in entries:
        cells = [Text(cell(each)) for cell in columns.values()]
        style = "yellow" if each["acknowledged"] else "red"
        table.add_row(*cells, Title(titles.get(each["instrument"], "")), style=style)
    console.print(table)


def _state(each: Entry) -> str:
    if each.get("returned"):
        return say("returned, unacknowledged")
    return say("acknowledged") if each["acknowledged"] else say("unacknowledged")


def _value(each: Entry) -> str:
    flag = each.get("flag", "")
    return " ".join(filter(None, (str(each.get("value", "")), flag_words().get(flag, flag))))


def _limit(each: Entry, unit: str) -> str:
    """Give the limit with its direction, in the unit of the point."""
    signs = {"above": "≥ ", "below": "≤ ", "equals": "= ", "rate": "Δ "}
    if "limit" not in each:
        return ""
    return f"{signs.get(each['kind'], '')}{each['limit']:g} {unit}".rstrip()


def _words() -> Mapping[str, str]:
    return {"low": say("low"), "medium": say("medium"), "high": say("high"), "urgent": say("urgent")}
