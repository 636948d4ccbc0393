"""`parkgate status SITE`: lines, instruments, uplinks, outbox and disk; also when the agent is dead."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from parkgate.config.language import say
from parkgate.config.load import load_site
from parkgate.config.site import Site
from parkgate.gateway.control.client import NotRunning, ask
from parkgate.gateway.control.server import SOCKET
from parkgate.gateway.storing.inspect import inspect

HELP = "show the state of a site: lines, instruments, uplinks, outbox"
_MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("--json", action="store_true", help=say("print JSON"))


def run(arguments: argparse.Namespace) -> int:
    """Ask the agent, or read the outbox file where none answers; exit 1 if anything is wrong."""
    site = load_site(arguments.site)
    try:
        answer = ask(site.gateway.data / SOCKET, {"verb": "status"})
    except NotRunning as fault:
        answer = {"agent": "stopped", "outbox": inspect(site.gateway.data), "fault": str(fault)}
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        show(Console(highlight=False), site, answer)
    return 0 if fine(answer) else 1


def fine(answer: Mapping[str, Any]) -> bool:
    """Tell whether nothing needs a look: the agent, every line, every instrument and every uplink."""
    if "lines" not in answer:
        return False
    return (
        all(line["state"] == "up" for line in answer["lines"])
        and all(each["state"] == "answering" for each in answer["instruments"])
        and all(each["state"] == "online" and not each["quarantined"] for each in answer["uplinks"])
        and not answer["outbox"]["fault"]
    )


def show(console: Console, site: Site, answer: Mapping[str, Any]) -> None:
    """Print the answer as tables."""
    if "lines" not in answer:
        console.print(answer["fault"], style="red")
        _show_stopped(console, answer["outbox"])
        return
    heading = say("{source}, version {version}, epoch {epoch}", source=answer["source"], version=answer["version"],
                  epoch=answer["outbox"]["epoch"])  # fmt: skip
    console.print(f"[bold]{site.gateway.title or answer['source']}[/bold]  {heading}")
    console.print(_lines(answer))
    console.print(_instruments(answer))
    console.print(_uplinks(answer))
    console.print(_disk(answer["outbox"]))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _state(word: str, *, good: str) -> str:
    style = "green" if word == good else "red"
    return f"[{style}]{_WORDS[word]()}[/{style}]"


_WORDS = {
    "up": lambda: say("up"),
    "down": lambda: say("down"),
    "answering": lambda: say("answering"),
    "silent": lambda: say("silent"),
    "starting": lambda: say("starting"),
    "online": lambda: say("online"),
    "offline": lambda: say("offline"),
}


def _lines(answer: Mapping[str, Any]) -> Table:
    table = _table(say("line"), say("address"), say("state"), say("fault"))
    for line in answer["lines"]:
        table.add_row(line["name"], line["url"], _state(line["state"], good="up"), line["fault"])
    return table


def _instruments(answer: Mapping[str, Any]) -> Table:
    table = _table(say("instrument"), say("title"), say("line"), say("state"), say("age"), say("turns"), say("missed"),
                   say("stored"), say("fault"))  # fmt: skip
    for each in answer["instruments"]:
        age = "" if each["at"] is None else f"{(answer['now'] - each['at']) / 1000:.1f} s"
        turns = f"{each['reads']}" + (f" ({say('failed')} {each['failed']})" if each["failed"] else "")
        state = _state(each["state"], good="answering")
        table.add_row(each["name"], each["title"], each["line"], state, age, turns, str(each["missed"]),
                      str(each["seq"]), each["fault"])  # fmt: skip
    return table


def _uplinks(answer: Mapping[str, Any]) -> Table:
    table = _table(say("uplink"), say("address"), say("state"), say("delivered"), say("waiting"), say("quarantined"),
                   say("fault"))  # fmt: skip
    for each in answer["uplinks"]:
        counts = (str(each["delivered"]), str(each["waiting"]), str(each["quarantined"]))
        table.add_row(each["name"], each["url"], _state(each["state"], good="online"), *counts, each["fault"])
    return table


def _disk(outbox: Mapping[str, Any]) -> str:
    size, free = outbox["bytes"] // _MIB, outbox["free_bytes"] // _MIB
    sentence = say("outbox {path}: {size} MiB, {stored} records, {free} MiB free on the disk",
                   path=outbox["path"], size=size, stored=outbox["stored"], free=free)  # fmt: skip
    return sentence + (f"\n[red]{outbox['fault']}[/red]" if outbox["fault"] else "")


def _show_stopped(console: Console, outbox: Mapping[str, Any] | None) -> None:
    if outbox is None:
        console.print(say("there is no outbox yet"))
        return
    console.print(_disk({**outbox, "fault": ""}))
    table = _table(say("uplink"), say("delivered"), say("waiting"), say("quarantined"))
    for each in outbox["uplinks"]:
        table.add_row(each["name"], str(each["delivered"]), str(each["waiting"]), str(each["quarantined"]))
    console.print(table)
