"""The one type that flows: what one read of one instrument gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
