"""Judges an outbox that was opened again by the books of what happened to it before.

`Stand` is what must be on the disk behind a number of recorded operations. The commit that was under way is there
whole, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from support.outbox_load import SERIES, Books, Entry, Identity, Still
from support.virtual_loop import Inline

from parkgate.gateway.storing.database import Database, OutboxFault, Record
from parkgate.gateway.storing.outbox import Footing, Outbox

LOST, CORRUPT, ORDER = "lost", "corrupt", "out of order"
Finding = tuple[str, str]
"""What kind of fault it is, and what was seen."""


class Stand:
    """What must be there, going on with the operations."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.now = 0
        self.rows: dict[int, Entry] = {}
        self.settled: dict[str, int] = {}
        self._done = 0

    def advance(self, now: int) -> None:
        """Go on to what stands behind so many operations."""
        self.now = now
        commits = self.books.commits
        while self._done < len(commits) and commits[self._done].end <= now:
            commit = commits[self._done]
            self.rows.update(commit.stored)
            for row in commit.removed:
                self.rows.pop(row, None)
            self.settled.update(commit.settled)
            self._done += 1

    def possible(self) -> dict[int, Entry]:
        """Give the rows with the commit that was under way."""
        if self._done == len(self.books.commits) or self.books.commits[self._done].begin >= self.now:
            return self.rows
        commit = self.books.commits[self._done]
        rows = {**self.rows, **commit.stored}
        return {row: entry for row, entry in rows.items() if row not in commit.removed}

    def published(self, identity: Identity) -> bool:
        """Tell whether an identity had been handed on."""
        return self.books.published.get(identity, (self.now + 1,))[0] <= self.now

    def settles(self, uplink: str, row: int) -> bool:
        """Tell whether a row was settled for an uplink: taken by its broker, or removed, which was declared."""
        taken = self.books.acknowledged[uplink].get(row, self.now + 1)
        return taken <= self.now or self.books.removed.get(row, self.now) < self.now


def undeclared(books: Books) -> list[int]:
    """Give the rows that left before an uplink had them, and are declared to it by no event of the same commit."""
    entries: dict[int, Entry] = {}
    found: list[int] = []
    for commit in books.commits:
        entries.update(commit.stored)
        bodies = [json.loads(body) for (kind, *_), _, body in commit.stored.values() if kind == "event"]
        declared = [each["detail"] | {"subject": each["subject"]} for each in bodies if each.get("event") == "expired"]
        for row in commit.removed:
            kind, instrument, epoch, seq = entries[row][0]
            told = {
                uplink for each in declared for uplink in each["uplinks"]
                if (each["kind"], each["subject"], each["epoch"]) == (kind, instrument, epoch)
                and each["from"] <= seq <= each["to"]
            }  # fmt: skip
            had = {name for name, taken in books.acknowledged.items() if taken.get(row, commit.end) < commit.end}
            found += [row] if books.acknowledged.keys() - had - told else []
    return found


async def judged(folder: Path, stand: Stand) -> list[Finding]:
    """Open an outbox as the agent does, on plain SQLite, and say what is wrong with it."""
    try:
        box = Outbox.open(folder, Still(), 1.0, _Chance(), Footing(thread=Inline))
    except OutboxFault as error:
        return [(CORRUPT, f"not opened: {error}")]
    try:
        return [*_opened(box, stand), *await _read(box, stand), *await _continued(box, stand)]
    finally:
        await box.close()


class _Chance:
    """Chance for a new epoch, which nobody should want."""

    def choices(self, letters: str, k: int) -> list[str]:
        return ["z"] * k


def _opened(box: Outbox, stand: Stand) -> Iterator[Finding]:
    if not box.durable or box.news:
        yield CORRUPT, f"durable {box.durable}, news {box.news}"
    if stand.now >= stand.books.opened and box.epoch != stand.books.epoch:
        yield CORRUPT, f"epoch {box.epoch} instead of {stand.books.epoch}"


async def _read(box: Outbox, stand: Stand) -> list[Finding]:
    whole, uplinks = await box.ask(lambda file: (_integrity(file), file.uplinks()))
    found: list[Finding] = [] if whole == "ok" else [(CORRUPT, whole)]
    there = {each.id: each for each in await box.read(0, 2**62, -1)}
    rows = {
        row: ((each.series.kind, each.series.instrument, each.series.epoch, each.seq), each.ts, each.body)
        for row, each in there.items()
        if isinstance(each, Record)
    }
    found += [(CORRUPT, f"row {row} is damaged") for row in there.keys() - rows.keys()]
    if rows != stand.rows and rows != (possible := stand.possible()):
        lost = stand.rows.keys() & possible.keys() - rows.keys()
        found += [(LOST, f"row {row}: {stand.rows[row][:2]}") for row in lost]
        found += [(CORRUPT, f"row {row} was never stored so") for row in rows
                  if rows[row] not in (stand.rows.get(row), possible.get(row))]  # fmt: skip
        if not found:
            found.append((CORRUPT, "part of a commit"))
    found += [(ORDER, text) for text in _order(rows)]
    for each in uplinks:
        if each.progress.settled < stand.settled.get(each.name, 0):
            found.append((LOST, f"what {each.name} had had"))
        wrong = [row for row in range(each.born + 1, each.progress.highest + 1)
                 if each.progress.covers(row) and not stand.settles(each.name, row)]  # fmt: skip
        if wrong:
            found.append((LOST, f"rows {wrong} count as delivered to {each.name}"))
    return found


def _integrity(file: Database) -> str:
    (said,) = file._connection.execute("PRAGMA integrity_check").fetchone()
    return str(said)


def _order(rows: dict[int, Entry]) -> Iterator[str]:
    last: dict[tuple[str, ...], int] = {}
    for row in sorted(rows):
        (*series, seq), *_ = rows[row]
        if seq <= last.get(tuple(series), 0):
            yield f"row {row} is {series} {seq} behind {last[tuple(series)]}"
        last[tuple(series)] = seq


async def _continued(box: Outbox, stand: Stand) -> list[Finding]:
    """Go on storing: nothing that was handed on gets another content."""
    known = {row for at, row, _ in stand.books.published.values() if at <= stand.now}
    stored: list[Record] = []
    box.followers.append(stored.extend)
    for kind, instrument in SERIES:
        box.store(box.series(kind, instrument), 1, lambda seq, low: json.dumps({"new": [seq, low]}).encode())
    await box.commit()
    found = [(ORDER, f"row {each.id} again") for each in stored if each.id in known]
    for each in stored:
        identity = each.series.kind, each.series.instrument, each.series.epoch, each.seq
        if stand.published(identity):
            found.append((ORDER, f"{identity} again"))
        before = (*identity[:3], each.seq - 1)
        if each.seq > 1 and before not in stand.books.identities:
            found.append((ORDER, f"{identity} behind a hole"))
    if len(stored) != len(SERIES):
        found.append((LOST, "the next records are not stored"))
    return found
