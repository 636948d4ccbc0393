"""`parkgate trail SITE`: what changed the meaning of values, whether that record is whole, and what a `rev` names."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from parkgate.config.language import say
from parkgate.config.load import load_site
from parkgate.config.site import Site
from parkgate.gateway.commands.trail_table import local, show, told
from parkgate.gateway.control.client import NotRunning, ask
from parkgate.gateway.control.server import SOCKET
from parkgate.gateway.messages import changes
from parkgate.gateway.messages.trail import Entry, Trouble, read, verify_stored
from parkgate.gateway.storing.inspect import inspect_trail

HELP = "show and verify the trail: every change of configuration, windows, acknowledgements and the clock"
PATIENCE = 30.0
"""Seconds: a long trail is read from a slow disk."""


@dataclass(frozen=True, slots=True)
class Told:
    """A trail as it was read: each entry with its place and whether its row is whole; the configurations asked for."""

    rows: Sequence[tuple[str, int, bytes, bool]]
    configurations: Sequence[tuple[str, str]]

    @property
    def entries(self) -> list[Entry]:
        """The entries that can be read."""
        return [entry for _, _, body, _ in self.rows if (entry := read(body)) is not None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("--last", type=int, metavar="N", help=say("only the newest N entries"))
    parser.add_argument("--verify", action="store_true", help=say("verify the whole chain; exit 1 and what is wrong"))
    parser.add_argument("--rev", metavar="REV", help=say("the configuration that the rev of a snapshot names"))
    parser.add_argument("--json", action="store_true", help=say("print JSON"))


def run(arguments: argparse.Namespace) -> int:
    """Print the trail, what is wrong with it, or a configuration: 0, or 1 where something is, or there is none."""
    site = load_site(arguments.site)
    trail = _told(site, arguments.rev)
    if arguments.rev is not None:
        return _configuration(site, trail, arguments)
    troubles = verify_stored(trail.rows) if arguments.verify else []
    entries = trail.entries[-arguments.last :] if arguments.last else trail.entries
    if arguments.json:
        said: dict[str, object] = {"entries": [as_json(each) for each in entries]}
        if arguments.verify:
            said["troubles"] = [_trouble_as_json(each) for each in troubles]
        print(json.dumps(said, ensure_ascii=False, indent=2))
    elif arguments.verify:
        _show_verified(site, trail, troubles)
    else:
        show(Console(highlight=False), entries, ZoneInfo(site.gateway.timezone))
    return 1 if troubles else 0


def _told(site: Site, rev: str | None) -> Told:
    """Ask the agent, or read its file where none runs."""
    data = site.gateway.data
    request = {"verb": "trail"} if rev is None else {"verb": "trail", "rev": rev}
    try:
        answer = _asked(data / SOCKET, request)
    except NotRunning:
        answer = inspect_trail(data, rev) or {"entries": [], "configurations": []}
    rows = [(epoch, n, bytes.fromhex(body), sound) for epoch, n, body, sound in answer["entries"]]
    return Told(rows, [(subject, text) for subject, text in answer["configurations"]])


def _asked(socket: Path, request: Mapping[str, object]) -> Mapping[str, Any]:
    """Ask a running agent for the whole trail, page by page.

    Raises:
        NotRunning: no agent answers, or it ended meanwhile.

    """
    first = page = ask(socket, request, timeout=PATIENCE)
    entries = list(first["entries"])
    while page.get("more"):
        page = ask(socket, {"verb": "trail", "after": entries[-1][:2]}, timeout=PATIENCE)
        entries += page["entries"]
    return {"entries": entries, "configurations": first["configurations"]}


def as_json(entry: Entry) -> dict[str, object]:
    """Give an entry as `--json` prints it: what its event says, and the digest that the next one names."""
    return {
        "epoch": entry.epoch, "n": entry.n, "ts": entry.ts, "event": entry.event, "subject": entry.subject,
        "detail": entry.detail, "previous": entry.previous, "digest": entry.digest,
    }  # fmt: skip


def _trouble_as_json(trouble: Trouble) -> dict[str, object]:
    entry = None if trouble.entry is None else as_json(trouble.entry)
    return {"epoch": trouble.epoch, "n": trouble.n, "last": trouble.last, "what": trouble.what, "entry": entry}


def _show_verified(site: Site, trail: Told, troubles: Sequence[Trouble]) -> None:
    zone = ZoneInfo(site.gateway.timezone)
    for each in troubles:
        print(told(each, zone))
    if not troubles:
        entries = trail.entries
        head = entries[-1].digest if entries else "–"
        print(
            say("the trail is whole: {count} entries, the newest has the digest {head}", count=len(entries), head=head)
        )


def _configuration(site: Site, trail: Told, arguments: argparse.Namespace) -> int:
    """Print the configurations that a `rev` names, and when they were in force."""
    rev, found = arguments.rev, trail.configurations
    if not found:
        print(say("no configuration here has the rev {rev}; parkgate trail SITE lists them", rev=rev),
              file=sys.stderr)  # fmt: skip
        return 1
    whole = {subject: (list(in_force(trail.entries, subject, rev)), changes.read(text)) for subject, text in found}
    if arguments.json:
        said = [{"subject": subject, "rev": rev, "in_force": times, "configuration": read_}
                for subject, (times, read_) in whole.items()]  # fmt: skip
        print(json.dumps(said, ensure_ascii=False, indent=2))
        return 0
    zone = ZoneInfo(site.gateway.timezone)
    for subject, (times, configuration) in whole.items():
        print(f"{subject or say('gateway')} {rev}")
        for begin, end in times:
            print(say("in force from {begin} to {end}", begin=local(begin, zone),
                      end=say("now") if end is None else local(end, zone)))  # fmt: skip
        print(json.dumps(configuration, ensure_ascii=False, indent=2))
    return 0


def in_force(entries: Iterable[Entry], subject: str, rev: str) -> Iterable[tuple[int, int | None]]:
    """Give when a configuration of a subject was in force, ms UTC: from, and to; None where it still is."""
    begin: int | None = None
    for each in entries:
        if each.subject == subject and each.event in {"configured", "removed"}:
            if begin is not None:
                yield begin, each.ts
            begin = each.ts if each.event == "configured" and each.detail.get("rev") == rev else None
    if begin is not None:
        yield begin, None
