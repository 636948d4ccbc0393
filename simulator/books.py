"""The platform's books, kept from payloads alone: what came, what came twice, what is late and what is lost. Pure.

It reads the JSON by itself and uses nothing of the gateway, so that it can judge it. Every kind and instrument is a
numbered series within one `epoch`: 1, 2, 3 … without gaps; identity is (kind, `source`, `epoch`, `seq`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeGuard

from parkgate.simulator.ranges import Range, Ranges, below

SERIES = frozenset({"data", "stats", "alarm", "event", "ledger"})
"""The topics that carry numbered records; `backfill` carries those of `data`."""
DECLARING = frozenset({"damaged", "expired", "quarantined", "rejected"})
"""The events that declare a range of a series as never to come."""
_MOST = 2**53
_SPACE = " \t\r\n"

Key = tuple[str, str, str]
"""Kind (`data`, `stats/1min`, `alarm` …), source and epoch."""


class Verdict(StrEnum):
    """What the books say of a series: nothing missing, something still to come, or something lost."""

    COMPLETE = "COMPLETE"
    PENDING = "PENDING"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class Account:
    """One series as the platform knows it.

    `received` counts different `seq`; `missing` are the ranges from 1 to `last` that neither came nor were declared,
    `lost` those of them below the newest `low`, `declared` how many an event declared as never to come. `duplicates`
    came again with the same bytes, which is allowed; `different` came again with other bytes, which never is.
    """

    kind: str
    source: str
    epoch: str
    received: int
    first: int
    last: int
    missing: tuple[Range, ...]
    lost: tuple[Range, ...]
    declared: int
    duplicates: int
    different: int
    verdict: Verdict


class _Series:
    __slots__ = ("declared", "different", "digests", "duplicates", "low", "received")

    def __init__(self) -> None:
        self.received = Ranges()
        self.declared = Ranges()
        self.digests: dict[int, bytes] = {}
        self.low = 1
        self.duplicates = 0
        self.different = 0

    def take(self, seq: int, low: int, digest: bytes) -> None:
        known = self.digests.setdefault(seq, digest)
        if seq not in self.received:
            self.received.add(seq, seq)
        elif known == digest:
            self.duplicates += 1
        else:
            self.different += 1
        self.low = max(self.low, low)

    def account(self, key: Key) -> Account:
        settled = Ranges()
        for part in (*self.received, *self.declared):
            settled.add(*part)
        last = self.received.last
        missing = settled.gaps(1, last)
        lost = below(missing, self.low)
        return Account(
            *key,
            received=len(self.received),
            first=self.received.first,
            last=last,
            missing=missing,
            lost=lost,
            declared=len(self.declared),
            duplicates=self.duplicates,
            different=self.different,
            verdict=Verdict.LOST if lost else Verdict.PENDING if missing else Verdict.COMPLETE,
        )


@dataclass(slots=True)
class Books:
    """Everything a subscriber of `{prefix}/v1/#` can know about completeness.

    `junk` counts payloads (or elements of a backfill) that are not what their topic promises; `copies` counts retained
    deliveries, which a broker gives to each new subscriber and which therefore prove nothing.
    """

    junk: int = 0
    copies: int = 0
    _series: dict[Key, _Series] = field(default_factory=dict)

    def take(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  an MQTT message's own third part
        """Enter one message. Topics that carry no numbered records are left alone; nothing here raises."""
        levels = topic.split("/")
        if len(levels) < 5 or levels[1] != "v1":  # noqa: PLR2004  {prefix}/v1/{site}/{gateway}/{kind}
            return
        kind, instrument = _series_of(levels[4:])
        if kind not in {*SERIES, "backfill"} and not kind.startswith("stats/"):
            return
        if retained:
            self.copies += 1
            return
        source = "/".join((*levels[2:4], instrument) if instrument else levels[2:4])
        try:
            for text, record in list(_records(payload, array=kind == "backfill")):
                self._enter("data" if kind == "backfill" else kind, source, text, record)
        except (ValueError, RecursionError):
            self.junk += 1

    def account(self) -> tuple[Account, ...]:
        """Give the account of every series, by kind, source and epoch."""
        return tuple(self._series[key].account(key) for key in sorted(self._series) if self._series[key].digests)

    def received(self, source: str) -> int:
        """Give how many different snapshots of an instrument (`site/gateway/instrument`) came, over all epochs."""
        return sum(len(each.received) for (kind, of, _), each in self._series.items() if (kind, of) == ("data", source))

    def _enter(self, kind: str, source: str, text: str, record: object) -> None:
        if not isinstance(record, dict) or record.get("source") != source:
            self.junk += 1
            return
        epoch, seq, low = record.get("epoch"), record.get("seq"), record.get("low", 1)
        if not (isinstance(epoch, str) and epoch and _is_count(seq) and _is_count(low) and low <= seq):
            self.junk += 1
            return
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self._of(kind, source, epoch).take(seq, low, digest)
        if kind == "event":
            self._declare(source, epoch, record)

    def _declare(self, source: str, epoch: str, event: Mapping[str, object]) -> None:
        """Note the range that an event says will never come; other events say nothing about completeness."""
        detail, subject = event.get("detail"), event.get("subject")
        if event.get("event") not in DECLARING or not isinstance(detail, dict) or not isinstance(subject, str):
            return
        first, last, kind = detail.get("from"), detail.get("to"), detail.get("kind", "data")
        epoch = detail.get("epoch", epoch)  # that of the records, which may be past
        if _is_count(first) and _is_count(last) and first <= last and isinstance(kind, str) and isinstance(epoch, str):
            self._of(kind, f"{source}/{subject}" if subject else source, epoch).declared.add(first, last)

    def _of(self, kind: str, source: str, epoch: str) -> _Series:
        return self._series.setdefault((kind, source, epoch), _Series())


def _series_of(levels: list[str]) -> tuple[str, str]:
    """Split what follows the gateway in a topic into kind and instrument; statistics have one series a period."""
    if levels[0] == "stats":
        return "/".join(levels[:2]), "/".join(levels[2:])
    return levels[0], "/".join(levels[1:])


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < _MOST


def _records(payload: bytes, *, array: bool) -> Iterator[tuple[str, object]]:
    """Give each record of a payload with its exact text, so that a resend in an array compares with the live one.

    Raises:
        ValueError: not UTF-8, or not one JSON value (an array of them), or with NaN or infinity in it.

    """
    text = payload.decode("utf-8").strip(_SPACE)
    if not array:
        yield text, _JSON.decode(text)
        return
    if not text.startswith("["):
        raise ValueError(text[:20])
    at = _next(text, 1)
    while text[at] != "]":
        record, end = _JSON.raw_decode(text, at)
        yield text[at:end], record
        at = _next(text, end)
        if text[at] == ",":
            at = _next(text, at + 1)
            if text[at] == "]":
                raise ValueError(text[at - 20 : at + 1])
        elif text[at] != "]":
            raise ValueError(text[at : at + 20])
    if at != len(text) - 1:
        raise ValueError(text[at : at + 20])


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    if at == len(text):
        raise ValueError(text[-20:])
    return at


def _refuse(constant: str) -> object:
    raise ValueError(constant)


_JSON = json.JSONDecoder(parse_constant=_refuse)
