"""The trail of a gateway: which configuration is in force since when, and the chain that every entry is linked into."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from parkgate.config.site import Instrument, Site
from parkgate.gateway.messages import changes, encode, trail
from parkgate.gateway.messages.encode import Encode
from parkgate.gateway.storing.database import Record
from parkgate.gateway.storing.outbox import Outbox

Tell = Callable[..., int]
"""Store an event: `tell(name, subject, **detail)`; gives the row that it will be."""
WINDOWS = frozenset({"window-opened", "window-closed", "clock-stepped", "clock-set"})
"""The entries that tell which windows are open."""

PAGE = 500
"""Entries of one answer: a second's work on a slow disk."""


class Trail:
    """Links the entries of a gateway into their chain, and tells what is configured differently than before."""

    def __init__(self, source: str, outbox: Outbox, entries: Sequence[trail.Entry]) -> None:
        self.head: tuple[int, str] | None = None
        """The number and the digest of the newest entry of this epoch that is on the disk."""
        self.kept = [entry for entry in entries if entry.event in WINDOWS]
        self._source = source
        self._outbox = outbox
        self._chain = _chain(outbox.epoch, entries)
        self._revs: dict[str, str] = {}
        self._version = ""
        self._unkept: list[tuple[str, str, str]] = []
        for entry in entries:
            if entry.event == "version":
                self._version = str(entry.detail.get("version", ""))
            elif entry.event == "configured":
                self._revs[entry.subject] = str(entry.detail.get("rev", ""))
            elif entry.event == "removed":
                self._revs.pop(entry.subject, None)
        if self._chain.n:
            self.head = self._chain.n, self._chain.head
        outbox.followers.append(self._committed)

    @classmethod
    async def of(cls, source: str, outbox: Outbox) -> Trail:
        """Go on with the trail of an outbox."""
        rows = await outbox.ask(lambda database: database.trail.all())
        return cls(source, outbox, [entry for row in rows if (entry := trail.read(row[2])) is not None])

    def event(self, ts: int, name: str, subject: str, detail: Mapping[str, object]) -> Encode:
        """Give the encoder of an event, linked where it is an entry."""
        about = self._source, self._outbox.epoch, ts, name, subject, detail
        return trail.linked(self._chain, *about) if name in trail.TRAILED else encode.event(*about)

    async def begin(self, site: Site, version: str, tell: Tell) -> None:
        """Tell what differs from what the trail says: the program, the gateway, each instrument, those that left."""
        if version != self._version:
            tell("version", "", version=version, was=self._version)
        texts = {"": site_configuration(self._source, site)}
        texts |= {each.name: encode.configuration(self._instrument(each), each) for each in site.instruments}
        self._unkept += [(subject, encode.rev_of(text), text) for subject, text in texts.items()]
        await self.keep()
        for subject, text in texts.items():
            await self._configured(subject, text, tell)
        for subject in [each for each in self._revs if each not in texts]:
            tell("removed", subject, rev=self._revs.pop(subject))

    async def described(self, instrument: Instrument, tell: Tell, *, simulated: bool) -> None:
        """Tell that an instrument is described anew from now on, before a row refers to that."""
        text = encode.configuration(self._instrument(instrument), instrument, simulated=simulated)
        await self.describe(instrument.name, text, tell)

    async def describe(self, subject: str, text: str, tell: Tell) -> None:
        """Tell that a configuration is in force from now on, unless it is already."""
        self._unkept.append((subject, encode.rev_of(text), text))
        await self.keep()
        await self._configured(subject, text, tell)

    async def keep(self) -> None:
        """Keep what is not kept yet; what a full disk does not take is for the next time."""
        unkept = list(self._unkept)
        if unkept and await self._outbox.write(lambda database: database.trail.keep(unkept)):
            del self._unkept[: len(unkept)]

    async def answer(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Answer the verb `trail`: entries as (epoch, n, payload in hex, whether that is as it was stored), by pages.

        The oldest, or those behind the `after` (epoch, n) of the request; there are `more`, or not. With a `rev` also
        the `configurations` that it names, as (subject, text).
        """
        rev, after = request.get("rev"), _place(request.get("after"))
        rows = await self._outbox.ask(lambda database: database.trail.entries(after, PAGE))
        found = [] if rev is None else await self._outbox.ask(lambda database: database.trail.named(str(rev)))
        entries = [(epoch, n, body.hex(), sound) for epoch, n, body, sound in rows]
        return {"entries": entries, "more": len(entries) == PAGE, "configurations": found}

    async def _configured(self, subject: str, text: str, tell: Tell) -> None:
        rev, was = encode.rev_of(text), self._revs.get(subject, "")
        if rev == was:
            return
        before = await self._outbox.ask(lambda database: database.trail.text(subject, was)) if was else None
        if tell("configured", subject, rev=rev, was=was, **_difference(before, text)):
            self._revs[subject] = rev

    def _instrument(self, instrument: Instrument) -> str:
        return f"{self._source}/{instrument.name}"

    def _committed(self, records: Sequence[Record]) -> None:
        """Take what was committed: from now on it may be told to be the head."""
        for record in records:
            if record.series.kind == "event" and (entry := trail.read(record.body)) is not None:
                self.head = entry.n, entry.digest


def _place(after: object) -> tuple[str, int] | None:
    """Give the place that a request names; None where it names none."""
    match after:
        case [str(epoch), int(n)]:
            return epoch, n
    return None


def site_configuration(source: str, site: Site) -> str:
    """Give the configuration of the gateway itself as text: all of the site but its instruments, secrets by name.

    Where the files lie is no part of it: that changes the meaning of no value.
    """
    said = site.model_dump(exclude={"instruments": True, "path": True, "gateway": {"data"}})
    return source + json.dumps(said, default=str)


def _chain(epoch: str, entries: Sequence[trail.Entry]) -> trail.Chain:
    """Give where the chain of an epoch stands."""
    if not entries:
        return trail.Chain()
    newest = max(entries, key=lambda entry: (entry.epoch == epoch, entry.epoch, entry.n))
    if newest.epoch == epoch:
        return trail.Chain(newest.n, newest.digest)
    return trail.Chain(0, newest.digest, (newest.epoch, newest.n))


def _difference(before: str | None, after: str) -> dict[str, object]:
    """Give what an entry says of a change, nothing where the configuration before is not known."""
    if before is None:
        return {}
    found, more = changes.changes(changes.read(before), changes.read(after))
    return {"changed": found, "more": more} if more else {"changed": found}
