"""The trail as people read it: a table of its entries, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.gateway.messages.table import flag_words
from parkgate.gateway.messages.trail import Entry, Trouble

_FEW = 3
"""Changes of a configuration that a row shows."""


def local(ts: int, zone: tzinfo) -> str:
    """Give a time (ms UTC) as the gateway's people have it."""
    return datetime.fromtimestamp(ts / 1000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def show(console: Console, entries: Sequence[Entry], zone: tzinfo) -> None:
    """Print entries as a table, the oldest first."""
    if not entries:
        console.print(say("the trail is empty"))
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(say("no."), no_wrap=True, justify="right")
    for header in (say("time"), say("what happened"), say("subject"), say("by")):
        table.add_column(header, no_wrap=True)
    table.add_column(say("details"), overflow="fold")
    words = event_words()
    for each in entries:
        cells = (local(each.ts, zone), words.get(each.event, each.event), each.subject, str(each.detail.get("by", "")))
        table.add_row(str(each.n), *map(Text, cells), Text(details(each, zone)))
    console.print(table)


def event_words() -> Mapping[str, str]:
    """Give the entries' events in the reader's language."""
    return {
        "configured": say("configured"),
        "removed": say("removed"),
        "version": say("version"),
        "acknowledged": say("acknowledged"),
        "window-opened": say("window opened"),
        "window-closed": say("window closed"),
        "clock-stepped": say("clock stepped"),
        "clock-set": say("clock set"),
    }


def details(entry: Entry, zone: tzinfo) -> str:
    """Give what an entry says beyond what, who and when, short."""
    said = entry.detail
    if entry.event == "configured":
        return f"{said.get('was') or '–'} → {said.get('rev')}  {_changed(said)}".rstrip()
    if entry.event == "version":
        return f"{said.get('was') or '–'} → {said.get('version')}"
    if entry.event.startswith("window-"):
        flag = flag_words().get(str(said.get("flag")), str(said.get("flag")))
        points = ", ".join(map(str, said.get("points", ())))
        until = say("until {time}", time=local(int(said.get("until", 0)), zone))
        return "; ".join(filter(None, (flag, points, until, str(said.get("why", "")))))
    if entry.event.startswith("clock-"):
        return f"{said.get('offset', 0):+} ms"
    words = (said.get(key) for key in ("point", "alarm", "rev", "why"))
    return " ".join(str(word) for word in words if word)


def _changed(said: Mapping[str, Any]) -> str:
    changed = said.get("changed") or []
    more = len(changed) - _FEW + int(said.get("more", 0))
    texts = [f"{path}: {_plain(before)} → {_plain(after)}" for path, before, after in changed[:_FEW]]
    return "; ".join([*texts, *([say("and {count} more", count=more)] if more > 0 else [])])


def _plain(value: object) -> str:
    return "–" if value is None else json.dumps(value, ensure_ascii=False)


def told(trouble: Trouble, zone: tzinfo) -> str:
    """Say what is wrong with an entry: its number, what it was, and when."""
    name = _name(trouble, zone)
    match trouble.what:
        case "missing" if trouble.last > trouble.n:
            return say("entries {first} to {last} of {epoch} are missing", first=trouble.n, last=trouble.last,
                       epoch=trouble.epoch)  # fmt: skip
        case "missing":
            return say("{entry} is missing", entry=name)
        case "twice":
            return say("{entry} stands there twice, and differs", entry=name)
        case "doubtful":
            return say("{entry} is in doubt: the entry behind it was altered", entry=name)
        case "unreadable":
            return say("an entry cannot be read, and does not tell which it was")
        case _:
            return say("{entry} was altered", entry=name)


def _name(trouble: Trouble, zone: tzinfo) -> str:
    entry = trouble.entry
    name = say("entry {n} of {epoch}", n=trouble.n, epoch=trouble.epoch)
    if entry is None:
        return name
    words = event_words().get(entry.event, entry.event)
    return f"{name} ({' '.join(filter(None, (words, entry.subject, local(entry.ts, zone))))})"
