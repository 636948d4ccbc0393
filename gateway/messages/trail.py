"""The trail: the events that change what a value means, each with the digest of the one before. Pure.

An entry is an event whose `detail` holds `"trail":{"n":12,"previous":"…"}`: its number in the chain of its epoch, 1, 2,
3 …, and the SHA-256 (FIPS 180-4), in hex, over the bytes of entry 11 as they were stored and sent. So the chain can be
verified from the topic `event` alone. The first entry of an epoch names the newest entry of the one before, where the
outbox still had it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from parkgate.gateway.messages.encode import Encode, sayable

TRAILED = frozenset({
    "configured", "removed", "version", "acknowledged", "window-opened", "window-closed", "clock-stepped", "clock-set",
})  # fmt: skip
"""The events that are entries."""
MARK = b'"trail":{'
"""What stands in every entry, and in no other event: in a text its quotes would be escaped."""

What = Literal["altered", "doubtful", "missing", "twice", "unreadable"]


Place = tuple[str, int]
"""An entry's epoch and its number there."""


@dataclass(slots=True)
class Chain:
    """Where the chain of an epoch stands: how many entries it has, and the digest of the newest.

    At the beginning of an epoch `n` is 0, `head` the digest of the newest entry of the epoch before and `after` its
    place, where there is any.
    """

    n: int = 0
    head: str = ""
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it can be read: its place in the chain, the digest and place of the one before, what happened.

    `after` is None where it is the first of all.
    """

    epoch: str
    n: int
    previous: str
    after: Place | None
    ts: int
    event: str
    subject: str
    detail: Mapping[str, Any]
    body: bytes

    @property
    def digest(self) -> str:
        """The digest that the next entry names."""
        return digest(self.body)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with entries `n` to `last` of an epoch.

    `altered`: it is not what the entry behind it, or a head, names. `doubtful`: the entry behind it, which should vouch
    for it, was altered itself. `missing`: none can be read. `twice`: two of this number differ. `unreadable`: it tells
    neither its epoch nor its number (`n` is 0).
    """

    epoch: str
    n: int
    last: int
    what: What
    entry: Entry | None = None


def digest(body: bytes) -> str:
    """Give the SHA-256 of an entry's bytes, in hex."""
    return hashlib.sha256(body).hexdigest()


def linked(
    chain: Chain, source: str, epoch: str, ts: int, name: str, subject: str, detail: Mapping[str, object]
) -> Encode:
    """Give the encoder of an entry. The chain advances when it is encoded: what the outbox rejects is no entry."""
    happened = sayable({"event": name, "subject": subject})
    said = sayable(detail)

    def encode(seq: int, low: int) -> bytes:
        trail: dict[str, object] = {"n": chain.n + 1, "previous": chain.head}
        if chain.after is not None and not chain.n:
            trail["after"] = dict(zip(("epoch", "n"), chain.after, strict=True))
        head = {"source": source, "epoch": epoch, "seq": seq, "low": low, "ts": ts}
        body = orjson.dumps({**head, **happened, "detail": {**said, "trail": trail}})
        chain.n, chain.head = chain.n + 1, digest(body)
        return body

    return encode


def read(body: bytes) -> Entry | None:
    """Give the entry that an event is; None where it is none, or cannot be read."""
    if MARK not in body:
        return None
    try:
        said = orjson.loads(body)
        detail = dict(said["detail"])
        trail = detail.pop("trail")
        n, after = trail["n"], trail.get("after")
        before = (said["epoch"], n - 1) if n > 1 else None if after is None else (after["epoch"], after["n"])
        entry = Entry(
            said["epoch"], n, trail["previous"], before, said["ts"], said["event"], said["subject"], detail, body
        )  # fmt: skip
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    given = (entry.epoch, entry.n, *(entry.after or ("", 1)), entry.previous, entry.ts, entry.event, entry.subject)
    return entry if tuple(map(type, given)) == (str, int, str, int, str, int, str, str) and entry.n > 0 else None


def verify(bodies: Iterable[bytes], heads: Iterable[tuple[str, int, str]] = ()) -> list[Trouble]:
    """Give everything that is wrong with a trail, by epoch and number; nothing where it is what was written.

    `bodies` are the entries in any order, repeats included. `heads` are what is known from elsewhere, as from
    `status`: an epoch, a number, and the digest of that entry. What was altered in the last entry only a head can tell.
    """
    distinct = list(dict.fromkeys(bodies))
    entries = [entry for body in distinct if (entry := read(body)) is not None]
    by_place: dict[Place, list[Entry]] = {}
    named: dict[Place, list[tuple[str, Entry | None]]] = {}
    for entry in entries:
        by_place.setdefault((entry.epoch, entry.n), []).append(entry)
        if entry.after is not None and entry.after[1] > 0:
            named.setdefault(entry.after, []).append((entry.previous, entry))
    for epoch, n, head in heads:
        if n > 0:
            named.setdefault((epoch, n), []).append((head, None))
    found = [*_missing({*by_place, *named}, by_place), *_wrong(by_place, named)]
    found.sort(key=lambda trouble: (trouble.epoch, trouble.n))
    return [*found, *(Trouble("", 0, 0, "unreadable") for _ in range(len(distinct) - len(entries)))]


def verify_stored(rows: Iterable[tuple[str, int, bytes, bool]]) -> list[Trouble]:
    """Give everything that is wrong with a trail as an outbox has it: (epoch, n, body, whether its row is whole)."""
    rows = list(rows)
    broken = {(epoch, n): body for epoch, n, body, whole in rows if not whole}
    found = [Trouble(epoch, n, n, "altered", read(body)) for (epoch, n), body in broken.items()]
    for trouble in verify(body for _, _, body, whole in rows if whole):
        named = sum(epoch == trouble.epoch and trouble.n <= n <= trouble.last for epoch, n in broken)
        if trouble.what != "missing" or named < trouble.last - trouble.n + 1:
            found.append(trouble)
    return sorted(found, key=lambda trouble: (trouble.epoch, trouble.n))


def _missing(told: Iterable[Place], there: Container[Place]) -> Iterator[Trouble]:
    """Give the numbers of each epoch, up to the highest that is told of, that are not there."""
    before: Place = ("", 0)
    for epoch, n in sorted(told):
        begin = before[1] + 1 if before[0] == epoch else 1
        end = n - 1 if (epoch, n) in there else n
        if begin <= end:
            yield Trouble(epoch, begin, end, "missing")
        before = (epoch, n)


def _wrong(
    by_place: Mapping[Place, Sequence[Entry]], named: Mapping[Place, Sequence[tuple[str, Entry | None]]]
) -> Iterator[Trouble]:
    """Hold each entry to what is said of it, by a head or by the entry behind it."""

    def vouched(entry: Entry) -> bool:
        said = [digest for digest, _ in named.get((entry.epoch, entry.n), ())]
        return not said or entry.digest in said

    for place, entries in by_place.items():
        if len(entries) > 1:
            right = [each for each in entries if vouched(each)]
            yield Trouble(*place, place[1], "twice", entries[0] if len(right) != 1 else right[0])
            continue
        (entry,) = entries
        said = named.get(place, ())
        heads = [digest for digest, by in said if by is None]
        if heads and entry.digest not in heads:
            yield Trouble(*place, place[1], "altered", entry)
        elif not heads and not vouched(entry):
            sound = any(by is not None and vouched(by) for _, by in said)
            yield Trouble(*place, place[1], "altered" if sound else "doubtful", entry)
