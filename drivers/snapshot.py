"""The one type that flows: what one read of one instrument gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from parkgate.config.flag import Flag
from parkgate.config.site import Instrument

Value = float | int | str

NO_FLAGS: Mapping[int, Flag] = MappingProxyType({})
NO_OFFSETS: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A time, a value per point, and a flag per point that is not normal.

    `values` stands in the order of the instrument's points; None where there is no value. `flags`, `uncertain` and
    `offsets` are by index into it. `at` is when it was measured (milliseconds UTC): the source time if the instrument
    gives one, else when the answer came. `offsets` are milliseconds that a point's own time differs from `at`.
    `states` holds the reading of each of the instrument's states, in their order, None where it could not be read;
    judging turns them into flags. `absent` are the points, by index, that a change report says nothing about: they
    have neither value nor flag in it. `late`: it comes from the instrument's history, and is sent as backfill.
    `dropped`: how many changes are missing that were never told, as far as is known, since it was last said.
    """

    instrument: str
    at: int
    values: tuple[Value | None, ...]
    flags: Mapping[int, Flag] = field(default_factory=lambda: NO_FLAGS)
    states: tuple[int | None, ...] = ()
    uncertain: frozenset[int] = frozenset()
    offsets: Mapping[int, int] = field(default_factory=lambda: NO_OFFSETS)
    absent: frozenset[int] = frozenset()
    late: bool = False
    dropped: int = 0


FULL_MS = 60_000
"""How often an instrument that reports changes is told in full."""


def full_every(instrument: Instrument) -> int:
    """Give how often (ms) an instrument is told in full, at least: what must not stand still is looked at in time."""
    if instrument.acquisition == "read":
        return instrument.every
    limits = [each.unchanged for each in instrument.points] + [instrument.heartbeat]
    return max(instrument.every, min(FULL_MS, *(limit // 2 for limit in limits if limit is not None), FULL_MS))


def onto(report: Snapshot, before: Snapshot | None) -> Snapshot:
    """Give a change report with what was said before in the place of what it says nothing about.

    The others keep their own time: their `offsets` are to that of the report.
    """
    if not report.absent or before is None:
        return report
    kept = report.absent - before.absent
    moved = before.at - report.at
    times = {place: before.offsets.get(place, 0) + moved for place in kept if before.values[place] is not None}
    return replace(
        report,
        values=tuple(before.values[place] if place in kept else said for place, said in enumerate(report.values)),
        flags={**{place: flag for place, flag in before.flags.items() if place in kept}, **report.flags},
        uncertain=report.uncertain | (before.uncertain & kept),
        offsets={**report.offsets, **{place: time for place, time in times.items() if time}},
        absent=report.absent & before.absent,
    )


def unread(instrument: Instrument, at: int, flag: Flag = Flag.NO_COMMUNICATION) -> Snapshot:
    """Give the snapshot of a read that brought nothing: every point stands with its flag."""
    count = len(instrument.points)
    return Snapshot(
        instrument=instrument.name,
        at=at,
        values=(None,) * count,
        flags=dict.fromkeys(range(count), flag),
        states=(None,) * len(instrument.states),
    )
