"""What a platform received of each instrument, from payloads alone. Pure: it reads the JSON by itself."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Value = float | int | str
_LEVELS = 6  # {prefix}/v1/{site}/{gateway}/{kind}/{instrument}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot as it came first: `arrived` (ms UTC) and whether `live`; a flag is "" for a usable value."""

    epoch: str
    seq: int
    ts: int
    arrived: int
    live: bool
    values: Mapping[str, Value]
    flags: Mapping[str, str]
    offsets: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Received:
    """Every different snapshot of the instruments of one gateway, by instrument, and how many came again."""

    digits: dict[str, dict[str, int]] = field(default_factory=dict)
    """By instrument and point, how many digits behind the point its meta promises."""
    derived: dict[str, frozenset[str]] = field(default_factory=dict)
    """By instrument, the points that the gateway computes: no instrument shows them."""
    changes: set[str] = field(default_factory=set)
    """The instruments whose meta says that they report changes."""
    snapshots: dict[str, dict[tuple[str, int], Snapshot]] = field(default_factory=lambda: defaultdict(dict))
    again: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def take(self, topic: str, payload: bytes, arrived: int) -> None:
        """Enter a message; what carries no snapshots is left alone, and nothing here raises."""
        levels = topic.split("/")
        if len(levels) != _LEVELS or levels[1] != "v1" or levels[4] not in {"data", "backfill", "meta"}:
            return
        try:
            told = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if levels[4] == "meta":
            self.digits[levels[5]] = _digits(told)
            self.derived[levels[5]] = _derived(told)
            if isinstance(told, dict) and told.get("report") == "change":
                self.changes.add(levels[5])
            return
        live = levels[4] == "data"
        for record in [told] if live else told if isinstance(told, list) else []:
            snapshot = _snapshot(record, arrived, live=live)
            if snapshot is None:
                continue
            known = self.snapshots[levels[5]]
            if known.setdefault((snapshot.epoch, snapshot.seq), snapshot) is not snapshot:
                self.again[levels[5]] += 1

    def of(self, instrument: str) -> Sequence[Snapshot]:
        """Give the snapshots of an instrument in the order of their time."""
        return sorted(self.snapshots[instrument].values(), key=lambda each: (each.ts, each.epoch, each.seq))


def _snapshot(record: object, arrived: int, *, live: bool) -> Snapshot | None:
    """Read a snapshot; None where it is none: the books count that as junk."""
    if not isinstance(record, dict):
        return None
    epoch, seq, ts = record.get("epoch"), record.get("seq"), record.get("ts")
    values, invalid = record.get("values"), record.get("invalid", {})
    if not (isinstance(epoch, str) and isinstance(seq, int) and isinstance(ts, int)):
        return None
    if not (isinstance(values, dict) and isinstance(invalid, dict)):
        return None
    flags = dict.fromkeys(values, "")
    read = dict(values)
    for point, why in invalid.items():
        if not isinstance(why, dict):
            return None
        flags[point] = str(why.get("flag", ""))
        if "value" in why:
            read[point] = why["value"]
    own = record.get("offsets", {})
    offsets = {point: each for point, each in own.items() if isinstance(each, int)} if isinstance(own, dict) else {}
    return Snapshot(epoch, seq, ts, arrived, live, read, flags, offsets)


def _digits(meta: object) -> dict[str, int]:
    points = meta.get("points") if isinstance(meta, dict) else None
    if not isinstance(points, dict):
        return {}
    told = ((name, point.get("digits")) for name, point in points.items() if isinstance(point, dict))
    return {name: digits for name, digits in told if isinstance(digits, int)}


def _derived(meta: object) -> frozenset[str]:
    points = meta.get("points") if isinstance(meta, dict) else None
    if not isinstance(points, dict):
        return frozenset()
    return frozenset(name for name, point in points.items() if isinstance(point, dict) and "formula" in point)
