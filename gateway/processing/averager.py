"""The statistics of one instrument as they go, pure: what is open, what is due, and what an interval is when it closes.

What holds here:

- the time of a snapshot decides its interval, whenever it comes: a clock that is stepped neither loses nor doubles one;
- an interval that is closed opens again for what comes late, and closes as a correction;
- every interval has its figures, also one in which nothing came;
- what an interval is kept as tells up to which row of the outbox it counts, and from which row on others wait: behind a
  restart those rows are taken again, and it goes on as if there had been none.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.processing.reported import Late, Reported
from parkgate.gateway.processing.reports import Reports
from parkgate.gateway.processing.sampled import Sampled, Samples
from parkgate.gateway.processing.statistics import Figures, Measure, Plan

_LEVEL = 1
Named = Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class Ended:
    """An interval that has ended: what came for it, up to which row it counts, from which row on others wait.

    Where the instrument reports changes, `own` are the newest times of their own that points were told with, and
    `newest` is that of the newest report.
    """

    start: int
    tally: Sampled | Reported | None
    upto: int
    since: int
    own: Mapping[str, int]
    newest: int


@dataclass(frozen=True, slots=True)
class Closed:
    """An interval that was closed: its figures, and what it is kept as."""

    figures: Named
    body: bytes


class Averager:
    """Takes the snapshots of one instrument, each with its row in the outbox, and closes intervals."""

    def __init__(self, plan: Plan, since: int) -> None:
        self.plan = plan
        self._going: Samples | Reports = Reports(plan, since) if plan.changes else Samples(plan)
        self._first: dict[int, int] = {}
        self._carried: dict[int, dict[str, Late]] = {}
        self._upto = 0

    def take(self, snapshot: Snapshot, row: int) -> None:
        """Take a judged snapshot as it is stored."""
        first = self._first
        for start in self._going.take(snapshot):
            if start not in first:
                first[start] = row
        self._upto = row

    @property
    def open(self) -> set[int]:
        """The beginnings of the intervals that a snapshot came for since they were closed, or that are open."""
        return set(self._going.open)

    def waiting(self) -> set[int]:
        """Give the beginnings of all intervals that may say something else than when they were closed."""
        return {*self._going.open, *self._carried}

    def drop(self, start: int) -> None:
        """Forget what came for an interval."""
        self._going.open.pop(start, None)
        self._first.pop(start, None)
        self._carried.pop(start, None)

    def end(self, start: int) -> Ended:
        """End an interval: what comes for it from now on corrects it."""
        if isinstance(self._going, Reports):
            self._going.settle(self.plan.base.end(start))
        tally = self._going.open.pop(start, None)
        self._first.pop(start, None)
        own, newest = (self._going.own, self._going.newest) if isinstance(self._going, Reports) else ((), 0)
        named = dict(zip((each.name for each in self.plan.measures), own, strict=False))
        return Ended(start, tally, self._upto, min(self._first.values(), default=self._upto + 1), named, newest)

    def close(self, ended: Ended, kept: bytes | None = None) -> Closed:
        """Close an interval that has ended, or correct the one that was kept as `kept`."""
        end = self.plan.base.end(ended.start)
        tally, after = self._tally(ended, kept)
        tally.before = self._carried.pop(ended.start, tally.before)
        figures = tally.figures(end - ended.start)
        about: dict[str, Any] = {"tally": tally.state(), "units": units_of(self.plan.measures)}
        if (now := tally.after()) != after:
            self._carried[end] = now
        if self.plan.changes:
            about |= {
                "after": {name: list(late) for name, late in now.items()},
                "own": ended.own,
                "newest": ended.newest,
            }
        return Closed(figures, packed(figures, about))

    def _tally(self, ended: Ended, kept: bytes | None) -> tuple[Any, dict[str, Late]]:
        """Give the tally of an interval with all that came for it, and what stood at its end as far as was known."""
        kind: type[Any] = Reported if self.plan.changes else Sampled
        if kept is None:
            return ended.tally or kind(self.plan), {}
        about = _about(kept)
        tally = kind.of(self.plan, _alike(about, about["tally"], self.plan.measures))
        if ended.tally is not None:
            tally.merge(ended.tally)
        return tally, {name: Late(*late) for name, late in about.get("after", {}).items()}

    def resume(self, start: int, kept: bytes, upto: int) -> None:
        """Go on behind the newest interval that is kept; rows up to `upto` were taken."""
        self._upto = upto
        if isinstance(self._going, Reports):
            about = _about(kept)
            own = [about.get("own", {}).get(measure.name, -1) for measure in self.plan.measures]
            tally = Reported.of(self.plan, _alike(about, about["tally"], self.plan.measures))
            self._going.resume(self.plan.base.end(start), tally, own, about["newest"])

    def nobody_looked(self) -> None:
        """Note that from behind the newest snapshot until now nobody looked."""
        if isinstance(self._going, Reports):
            self._going.forget()


def packed(figures: Named, about: Mapping[str, Any] | None = None) -> bytes:
    """Give what an interval is kept as."""
    told = {name: list(each) for name, each in figures.items()}
    return zlib.compress(orjson.dumps({"figures": told, **(about or {})}), _LEVEL)


def figures_of(kept: bytes) -> dict[str, Figures]:
    """Give the figures of an interval that is kept."""
    told: Mapping[str, Sequence[Any]] = _about(kept)["figures"]
    return {name: Figures(*each) for name, each in told.items()}


def units_of(measures: Sequence[Measure]) -> dict[str, str]:
    """Give the units that figures are in, by point, as an interval is kept with them."""
    return {each.name: each.unit for each in measures}


def other_units(kept: bytes, measures: Sequence[Measure]) -> set[str]:
    """Give the points whose figures an interval was kept with in another unit than they have now."""
    return _others(_about(kept), measures)


def figures_alike(kept: bytes, measures: Sequence[Measure]) -> dict[str, Figures]:
    """Give the figures of an interval that is kept, as far as they are in the units of now."""
    about = _about(kept)
    return {name: Figures(*each) for name, each in _alike(about, about["figures"], measures).items()}


def _others(about: Mapping[str, Any], measures: Sequence[Measure]) -> set[str]:
    units: Mapping[str, str] = about.get("units", {})
    return {each.name for each in measures if units.get(each.name, each.unit) != each.unit}


def _alike(about: Mapping[str, Any], named: Mapping[str, Any], measures: Sequence[Measure]) -> dict[str, Any]:
    """Give what is in the units of now."""
    others = _others(about, measures)
    return {name: each for name, each in named.items() if name not in others}


def _about(kept: bytes) -> dict[str, Any]:
    about: dict[str, Any] = orjson.loads(zlib.decompress(kept))
    return about
