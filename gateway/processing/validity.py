"""Which values may be used: states, freshness, measuring range and communication turned into one flag per point.

A flagged value never stands among the usable ones. Where several reasons hold, the first of `PRECEDENCE` is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import gt, lt
from typing import cast

from parkgate.config.flag import Flag
from parkgate.config.profile import Point, State
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.processing.freshness import Freshness

PRECEDENCE = (
    Flag.BAD_CONFIGURATION,
    Flag.NO_COMMUNICATION,
    Flag.OUT_OF_SERVICE,
    Flag.MAINTENANCE,
    Flag.CALIBRATION,
    Flag.FAULT,
    Flag.WARM_UP,
    Flag.STALE,
    Flag.MANUAL,
    Flag.OUT_OF_RANGE,
)
"""What is told first: what was not read at all, then what the instrument says of itself, then what the value says."""

Windows = Callable[[int], Sequence[tuple[tuple[int, ...], Flag]]]
"""Give the flags that hold at a time (ms UTC) because people work on an instrument, each with its points, by index."""

_RANK = {flag: rank for rank, flag in enumerate(PRECEDENCE)}


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the snapshots of one instrument; made once, when the configuration is loaded.

    `numbers`, `low` and `high` are the points with a range, by index, and its ends; `texts` those of them whose number
    is written as a string. `freshness` remembers what was read before, where something of the instrument must change;
    `recalled` the same of what comes late, from its history. `windows` tells what people do to the instrument at a
    time (ms UTC): points, by index, and their flag.
    """

    states: tuple[tuple[frozenset[int], Flag, tuple[int, ...]], ...]
    numbers: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    every_point: bool
    texts: tuple[tuple[int, float, float], ...]
    freshness: Freshness | None = None
    windows: Windows | None = None
    recalled: Freshness | None = None

    @classmethod
    def of(
        cls, instrument: Instrument, now: Callable[[], float] | None = None, windows: Windows | None = None
    ) -> Judge:  # fmt: skip
        """Compile an instrument's states and ranges.

        `now` gives the monotonic clock, seconds; who reads once only, and so cannot see that nothing moves, has none.
        `windows` gives what people do to it at a time.
        """
        index = {point.name: place for place, point in enumerate(instrument.points)}
        every = [place for place, point in enumerate(instrument.points) if point.range is not None]
        ranged = [place for place in every if instrument.points[place].as_ == "number"]
        return cls(
            states=tuple(_compile(state, index) for state in instrument.states),
            numbers=tuple(ranged),
            low=tuple(_bound(instrument.points[place], 0) for place in ranged),
            high=tuple(_bound(instrument.points[place], 1) for place in ranged),
            every_point=len(ranged) == len(instrument.points),
            texts=tuple(
                (place, _bound(instrument.points[place], 0), _bound(instrument.points[place], 1))
                for place in every
                if place not in ranged
            ),
            freshness=None if now is None else Freshness.of(instrument, now),
            windows=windows,
            recalled=None if now is None else Freshness.of(instrument, None),
        )

    def __call__(self, snapshot: Snapshot) -> Snapshot:
        """Give the snapshot with a flag on every point that may not be used as it is."""
        flags = dict(snapshot.flags)
        for reading, (equals, flag, points) in zip(snapshot.states, self.states, strict=True):
            if reading is None:
                _raise_flags(flags, points, Flag.NO_COMMUNICATION)
            elif reading in equals:
                _raise_flags(flags, points, flag)
        if self.windows is not None:
            _raise_all(flags, self.windows(snapshot.at))
        freshness = self.recalled if snapshot.late else self.freshness
        if freshness is not None:
            _raise_flags(flags, freshness.stale(snapshot), Flag.STALE)
        self._out_of_range(snapshot, flags)
        for place, low, high in self.texts:
            written = snapshot.values[place]
            if written is not None and not low <= float(written) <= high:
                _raise_flags(flags, (place,), Flag.OUT_OF_RANGE)
        for place in snapshot.absent:
            flags.pop(place, None)
        if flags == snapshot.flags:
            return snapshot
        return replace(snapshot, flags=flags, uncertain=snapshot.uncertain.difference(flags))

    def _out_of_range(self, snapshot: Snapshot, flags: dict[int, Flag]) -> None:
        """Flag values outside their measuring range; one comparison in C for the whole snapshot when all is well."""
        values = snapshot.values
        if not flags and not snapshot.absent:
            ranged = values if self.every_point else [values[place] for place in self.numbers]
            numbers = cast("Sequence[float]", ranged)  # a point with a range is a number, none is flagged or absent
            below, above = map(lt, numbers, self.low), map(gt, numbers, self.high)
            if not (any(below) or any(above)):
                return
        for place, low, high in zip(self.numbers, self.low, self.high, strict=True):
            value = values[place]
            if isinstance(value, float | int) and not low <= value <= high:
                _raise_flags(flags, (place,), Flag.OUT_OF_RANGE)


def worst(flags: Iterable[Flag]) -> Flag | None:
    """Give the flag of several that is told first, None of none."""
    return min(flags, key=_RANK.__getitem__, default=None)


def _compile(state: State, index: Mapping[str, int]) -> tuple[frozenset[int], Flag, tuple[int, ...]]:
    """Give what a state equals, its flag, and the indices of the points it covers: all of them if none is named."""
    covered = tuple(index[name] for name in state.points if name in index) if state.points else tuple(index.values())
    return frozenset(state.equals), state.flag, covered


def _bound(point: Point, side: int) -> float:
    return point.range[side] if point.range else (math.inf if side else -math.inf)


def _raise_flags(flags: dict[int, Flag], points: Sequence[int], flag: Flag) -> None:
    """Put a flag on points, unless one that is told before it stands there already."""
    for place in points:
        standing = flags.get(place)
        if standing is None or _RANK[flag] < _RANK[standing]:
            flags[place] = flag


def _raise_all(flags: dict[int, Flag], held: Sequence[tuple[tuple[int, ...], Flag]]) -> None:
    for points, flag in held:
        _raise_flags(flags, points, flag)
