"""`parkgate status SITE`: lines, instruments, uplinks, outbox and disk; also when the agent is dead."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.load import load_site
from parkgate.config.site import Site
from parkgate.gateway.commands.trail_table import local
from parkgate.gateway.control.client import NotRunning, ask
from parkgate.gateway.control.server import SOCKET
from parkgate.gateway.messages.table import Title, age, flag_words, standing_alarms
from parkgate.gateway.storing.database import OutboxFault
from parkgate.gateway.storing.inspect import inspect

HELP = "show the state of a site: lines, instruments, uplinks, outbox"
_MIB = 1024 * 1024
_MOST_NAMED = 20
_FEW = 10
"""Days of outage below which the tenths matter."""
_GOOD = frozenset({"up", "answering", "online"})
_UNTOLD = frozenset({"starting", "unknown"})
Entries = Sequence[Mapping[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("--json", action="store_true", help=say("print JSON"))


def run(arguments: argparse.Namespace) -> int:
    """Ask the agent, or read the outbox file where none answers; exit 1 if anything is wrong."""
    site = load_site(arguments.site)
    try:
        answer = ask(site.gateway.data / SOCKET, {"verb": "status"})
        if "lines" not in answer:
            answer = _stopped(site.gateway.data, str(answer.get("error") or say("no agent answers")))
    except NotRunning as fault:
        answer = _stopped(site.gateway.data, str(fault))
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        show(Console(highlight=False), site, answer)
    return 0 if fine(answer) else 1


def _stopped(data: Path, fault: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"agent": "stopped", "outbox": None, "fault": fault}
    try:
        answer["outbox"] = inspect(data)
    except OutboxFault as unreadable:
        answer["outbox_fault"] = str(unreadable)
    return answer


def fine(answer: Mapping[str, Any]) -> bool:
    """Tell whether nothing needs a look: the agent, every line, every instrument and every uplink."""
    if "lines" not in answer:
        return False
    return (
        all(line["state"] == "up" for line in answer["lines"])
        and all(each["state"] == "answering" and not each["fault"] for each in answer["instruments"])
        and all(
            each["state"] == "online" and not each["quarantined"] and not each["fault"] for each in answer["uplinks"]
        )
        and not answer["outbox"]["fault"]
    )


def show(console: Console, site: Site, answer: Mapping[str, Any]) -> None:
    """Print the answer as tables, and what is wrong below them."""
    if "lines" not in answer:
        _show_stopped(console, site, answer)
        return
    heading = say("{source}, version {version}, epoch {epoch}", source=answer["source"], version=answer["version"],
                  epoch=answer["outbox"]["epoch"])  # fmt: skip
    console.print(Text.assemble((site.gateway.title or answer["source"], "bold"), "  ", heading))
    console.print(_lines(answer["lines"]))
    console.print(_instruments(answer["instruments"], answer["now"]))
    console.print(_uplinks(answer["uplinks"]))
    console.print(_disk(answer["outbox"]))
    windows = _windows(answer, ZoneInfo(site.gateway.timezone))
    for note in (*_alarms(answer), *_faults(answer), *_unsupported(answer), *_remarks(answer), *windows):
        console.print(note)


def _show_stopped(console: Console, site: Site, answer: Mapping[str, Any]) -> None:
    """Print what is known without the agent: the site file's lines and instruments, and the outbox's account."""
    lines = [{"name": each.name, "title": each.title, "url": each.url, "state": "unknown"} for each in site.lines]
    instruments = [
        {"name": each.name, "title": each.title, "line": each.line, "state": "unknown"} for each in site.instruments
    ]
    source = f"{site.gateway.site}/{site.gateway.id}"
    console.print(Text.assemble((site.gateway.title or source, "bold"), "  ", source))
    console.print(_lines(lines))
    console.print(_instruments(instruments, 0))
    outbox = answer["outbox"]
    if outbox:
        console.print(_uplinks(outbox["uplinks"]))
        console.print(_disk(outbox))
    elif "outbox_fault" not in answer:
        console.print(say("there is no outbox yet"))
    for fault in (answer["fault"], answer.get("outbox_fault", "")):
        console.print(Text(fault, style="red"), end="\n" if fault else "")


def _alarms(answer: Mapping[str, Any]) -> Iterable[Text]:
    """Tell that alarms stand; they say something of the plant, and nothing of the gateway."""
    entries = answer.get("alarms", ())
    if said := standing_alarms(entries):
        style = "yellow" if all(each["acknowledged"] for each in entries) else "red"
        yield Text(say("{alarms}; parkgate alarms SITE lists them", alarms=said), style=style)


def _faults(answer: Mapping[str, Any]) -> Iterable[Text]:
    """Give what is wrong, each once: an instrument's own fault only where it is not just its line's."""
    of_lines = {line["name"]: line["fault"] for line in answer["lines"]}
    own = [each for each in answer["instruments"] if each["fault"] != of_lines.get(each["line"])]
    for each in (*answer["lines"], *own, *answer["uplinks"]):
        if each["fault"]:
            codes = ", ".join(f"{code}: {count}" for code, count in each.get("refused", {}).items())
            refused = f" ({say('refused {codes}', codes=codes)})" if codes else ""
            yield Text.assemble(*_named(each["name"], each["fault"]), each["fault"], refused, style="red")
    if answer["outbox"]["fault"]:
        yield Text(answer["outbox"]["fault"], style="red")


def _unsupported(answer: Mapping[str, Any]) -> Iterable[Text]:
    """Name the points that an instrument refuses."""
    for each in answer["instruments"]:
        if names := ", ".join(each.get("unsupported", ())):
            said = say("it has no {names}; compare their addresses in the profile with the manual", names=names)
            yield Text.assemble((f"{each['name']}: ", "bold"), said, style="yellow")


def _windows(answer: Mapping[str, Any], zone: ZoneInfo) -> Iterable[Text]:
    """Tell which maintenance and calibration windows are open."""
    words = flag_words()
    for each in answer.get("windows", ()):
        flag, until = words.get(each["flag"], each["flag"]), local(each["until"], zone)
        said = say("{flag} until {time}: {why}", flag=flag, time=until, why=each["why"])
        points = f" {', '.join(each['points'])}" if each["points"] else ""
        yield Text.assemble((f"{each['instrument']}{points}: ", "bold"), said, style="yellow")


def _remarks(answer: Mapping[str, Any]) -> Iterable[Text]:
    """Say why points have no usable value, those of one reason together, and what else is not as it was asked for."""
    for each in answer["instruments"]:
        because: dict[str, list[str]] = {}
        for point, reason in each.get("reasons", {}).items():
            because.setdefault(reason, []).append(point)
        said = [say("{reason}: {points}", reason=why, points=_listed(points)) for why, points in because.items()]
        if more := len(said[_MOST_NAMED:]):
            said[_MOST_NAMED:] = [say("{count} more points are amiss; status --json names them", count=more)]
        said += each.get("remarks", ())
        said += [say("{point} is in {unit} on the server; the profile's unit is told", point=point, unit=unit)
                 for point, unit in each.get("units", {}).items()]  # fmt: skip
        if dropped := each.get("dropped"):
            said.append(say("{count} changes were lost before they were told", count=dropped))
        for sentence in said:
            yield Text.assemble((f"{each['name']}: ", "bold"), sentence, style="yellow")


def _listed(names: Sequence[str]) -> str:
    more = say(" and {count} more", count=len(names) - _MOST_NAMED) if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _named(name: str, fault: str) -> tuple[tuple[str, str], ...]:
    """Give whose fault it is, unless its sentence says so itself."""
    escaped = re.escape(name)
    return () if re.search(rf'^{escaped}[:：]|["“]{escaped}["”]', fault) else ((f"{name}: ", "bold"),)


def _lines(lines: Entries) -> Table:
    return _table(
        lines,
        _Column(say("line"), _Kind.NAME, lambda each: each["name"]),
        _Column(say("title"), _Kind.TITLE, lambda each: each["title"]),
        _Column(say("address"), _Kind.ADDRESS, lambda each: each["url"]),
        _Column(say("state"), _Kind.STATE, lambda each: each["state"]),
    )


def _instruments(instruments: Entries, now: int) -> Table:
    return _table(
        instruments,
        _Column(say("instrument"), _Kind.NAME, lambda each: each["name"]),
        _Column(say("title"), _Kind.TITLE, lambda each: each["title"]),
        _Column(say("line"), _Kind.TITLE, lambda each: each["line"]),
        _Column(say("state"), _Kind.STATE, lambda each: each["state"]),
        _Column(say("simulated"), _Kind.NUMBER, lambda each: say("yes") if each.get("simulated") else ""),
        _Column(say("age"), _Kind.NUMBER, lambda each: age(each.get("at"), now)),
        _Column(say("turns"), _Kind.NUMBER, lambda each: str(each.get("reads", ""))),
        _Column(say("failed"), _Kind.NUMBER, lambda each: str(each.get("failed") or "")),
        _Column(say("missed"), _Kind.NUMBER, lambda each: str(each.get("missed", ""))),
        _Column(say("stored"), _Kind.NUMBER, lambda each: str(each.get("seq", ""))),
    )


def _uplinks(uplinks: Entries) -> Table:
    return _table(
        uplinks,
        _Column(say("uplink"), _Kind.NAME, lambda each: each["name"]),
        _Column(say("address"), _Kind.ADDRESS, lambda each: each.get("url", "")),
        _Column(say("state"), _Kind.STATE, lambda each: each.get("state", "")),
        _Column(say("delivered"), _Kind.NUMBER, lambda each: str(each["delivered"])),
        _Column(say("waiting"), _Kind.NUMBER, lambda each: str(each["waiting"])),
        _Column(say("quarantined"), _Kind.NUMBER, lambda each: str(each["quarantined"])),
    )


def _disk(outbox: Mapping[str, Any]) -> Text:
    size, free = outbox["bytes"] // _MIB, outbox["free_bytes"] // _MIB
    sentence = say("outbox {path}: {size} MiB, {stored} records, {free} MiB free on the disk",
                   path=outbox["path"], size=size, stored=outbox["stored"], free=free)  # fmt: skip
    days = outbox.get("days_left")
    if days is None:
        return Text(sentence)
    return Text(f"{sentence}\n" + say("about {days} days of outage fit", days=f"{days:.{int(days < _FEW)}f}"))


class _Kind(Enum):
    """How a column behaves where the terminal is narrow."""

    NAME = auto()
    """Never cut."""
    TITLE = auto()
    """Cut, and the first to give way."""
    ADDRESS = auto()
    """Goes on in the next line."""
    STATE = auto()
    """Never cut, in colour."""
    NUMBER = auto()
    """Never cut, to the right."""


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    kind: _Kind
    of: Callable[[Mapping[str, Any]], str]

    def add(self, table: Table, words: Sequence[str]) -> None:
        """Add the column to a table that will hold these words in it."""
        if self.kind is _Kind.TITLE:
            table.add_column(Title(self.header))
        elif self.kind is _Kind.ADDRESS:
            table.add_column(self.header, overflow="fold")
        else:
            longest = max(map(cell_len, words), default=0) if self.kind is _Kind.NAME else None
            right = self.kind is _Kind.NUMBER
            table.add_column(self.header, no_wrap=True, min_width=longest, justify="right" if right else "left")

    def cell(self, word: str) -> Text | Title:
        """Give a word as what stands in this column: never read as markup."""
        if self.kind is _Kind.TITLE:
            return Title(word)
        return _state(word) if self.kind is _Kind.STATE else Text(word)


def _table(entries: Entries, *columns: _Column) -> Table:
    """Give a table; a column that no entry has anything for is left out."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    cells: list[list[Text | Title]] = []
    for column in columns:
        words = [column.of(each) for each in entries]
        if any(words) or column.kind is _Kind.NAME:
            column.add(table, words)
            cells.append([column.cell(word) for word in words])
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    return table


def _state(word: str) -> Text:
    style = "green" if word in _GOOD else "yellow" if word in _UNTOLD else "red"
    return Text(_WORDS[word]() if word in _WORDS else word, style=style)


_WORDS = {
    "up": lambda: say("up"),
    "down": lambda: say("down"),
    "answering": lambda: say("answering"),
    "silent": lambda: say("silent"),
    "starting": lambda: say("starting"),
    "online": lambda: say("online"),
    "offline": lambda: say("offline"),
    "unknown": lambda: say("unknown"),
}
