"""Derived points: computed from a judged snapshot and appended to it, compiled once a configuration. Pure.

A derived point carries the worst flag of its inputs and then no value; it is uncertain if one of them is. Where its
formula gives nothing, or its result is outside its `range`, it is `out-of-range`. Inputs that a change report says
nothing about stand as they were told last; if all of them are such, it says nothing about the derived point either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import NamedTuple, cast

from parkgate.config.derived import Derived, Input
from parkgate.config.flag import Flag
from parkgate.config.formulas import formulas
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot, Value
from parkgate.gateway.processing.formulas import FORMULAS, Formula
from parkgate.gateway.processing.picking import picker
from parkgate.gateway.processing.validity import worst

_DIGITS = 7
"""Significant digits of a result whose point says nothing of decimals: a float32's, and no instrument has more."""

_AS_IT_IS = (1.0, 0.0)


class Reading(NamedTuple):
    """A point as it was told last."""

    value: Value | None
    flag: Flag | None
    uncertain: bool


@dataclass(slots=True)
class Shelf:
    """What the instruments of a site said last, for those whose derived points take from others.

    `readings` by instrument and place; `at` is the time of an instrument's newest snapshot, ms UTC.
    """

    readings: dict[tuple[str, int], Reading] = field(default_factory=dict)
    at: dict[str, int] = field(default_factory=dict)


class _Source(NamedTuple):
    """Where an argument comes from: a place in this snapshot, or one of another `instrument`, not older than `age`."""

    place: int
    factor: float
    offset: float
    instrument: str
    age: int


@dataclass(slots=True)
class _Step:
    """One derived point: its formula, where its arguments come from, and what is made of the result.

    `pick` takes the arguments from the board (see `Deriver`) if all inputs are of this snapshot: where nothing is
    flagged, that is all there is to know. `constants` are the arguments with None for each input. `units` has a factor
    and an offset for each argument, if one is not wanted as it is read. `previous`: the argument whose last value the
    formula is told too; `last` is that value.
    """

    compute: Formula
    constants: tuple[float | None, ...]
    sources: tuple[tuple[int, _Source], ...]
    pick: Callable[[Sequence[float]], Sequence[float]] | None
    units: tuple[tuple[float, float], ...] | None
    previous: int | None
    scale: float
    offset: float
    digits: int | None
    low: float
    high: float
    last: float | None = None

    def result(self, arguments: Sequence[float], *, late: bool) -> tuple[float | None, Flag | None]:
        """Give the value of what its inputs are, or its flag; neither where a late snapshot cannot tell."""
        if self.units is not None:
            arguments = [
                value * factor + offset for value, (factor, offset) in zip(arguments, self.units, strict=True)
            ]  # fmt: skip
        if self.previous is not None:
            if late:
                return None, None
            last = self.last
            self.last = arguments[self.previous]
            if last is None:
                return None, Flag.WARM_UP
            arguments = (*arguments, last)
        try:
            computed = self.compute(*arguments)
        except (OverflowError, ZeroDivisionError):
            return None, Flag.OUT_OF_RANGE
        if computed is None or not isfinite(scaled := computed * self.scale + self.offset):
            return None, Flag.OUT_OF_RANGE
        digits = self.digits
        value = (float(f"{scaled:.{_DIGITS}g}") if digits is None else round(scaled, digits)) + 0.0
        return value, None if self.low <= value <= self.high else Flag.OUT_OF_RANGE

    def arguments(self, inputs: Sequence[float]) -> list[float]:
        """Give the arguments of the values of its sources."""
        found = list(self.constants)
        for (place, _), value in zip(self.sources, inputs, strict=True):
            found[place] = value
        return cast("list[float]", found)


class Deriver:
    """Derives the points of one instrument; `shelf` is the site's, and `wanted` the places of it that others take.

    All is computed on a board: the values as they were read, a place for each derived point, and the constants. The
    values of totalisers last until the agent ends; `resume` gives it those that were stored before.
    """

    __slots__ = ("_first", "_history", "_instrument", "_kept", "_live", "_rest", "_shelf", "_steps", "_until")

    def __init__(
        self, instrument: Instrument, shelf: Shelf, places: Mapping[str, Mapping[str, int]], wanted: set[int]
    ) -> None:
        self._instrument = instrument
        self._shelf = shelf
        self._history = Shelf()
        # the newest time that was told live, and what it was when this outage began to be filled
        self._live = self._until = 0
        self._first = len(instrument.points)
        constants: list[float] = []
        behind = len(instrument.quantities)
        self._steps = tuple(_step(each, instrument, places, behind, constants) for each in instrument.derived)
        self._rest = (*(None for _ in self._steps), *constants)
        own = {source.place for step in self._steps for _, source in step.sources if not source.instrument}
        self._kept = tuple(sorted(own | wanted)) if instrument.protocol == "opcua" else tuple(sorted(wanted))

    def __call__(self, snapshot: Snapshot) -> Snapshot:
        """Give the snapshot with its derived points behind the measured ones."""
        if not self._steps:
            if self._kept and not snapshot.late:
                self._keep(self._shelf, snapshot)
            return snapshot
        self._look(snapshot)
        board = [*snapshot.values, *self._rest]
        flags, uncertain, absent = dict(snapshot.flags), set(snapshot.uncertain), set(snapshot.absent)
        told, late = self._history if snapshot.late else self._shelf, snapshot.late
        now = _Now(self._instrument.name, snapshot, board, flags, uncertain, absent, told, self._shelf)
        for place, step in enumerate(self._steps, self._first):
            if step.pick is None or flags or uncertain or absent:
                now.derive(place, step)
                continue
            value, flag = step.result(step.pick(cast("list[float]", board)), late=late)
            if flag is None and value is not None:
                board[place] = value
            else:
                now.say(place, value, flag)
        values = tuple(board[: self._first + len(self._steps)])
        derived = Snapshot(
            snapshot.instrument, snapshot.at, values, flags, snapshot.states, frozenset(uncertain),
            snapshot.offsets, frozenset(absent), late, snapshot.dropped,
        )  # fmt: skip
        if self._kept:
            self._keep(told, derived)
        return derived

    def _look(self, snapshot: Snapshot) -> None:
        """Forget what the history of an outage said where the next one is filled: much was told in between."""
        if not snapshot.late:
            self._live = max(self._live, snapshot.at)
        elif snapshot.at > self._until:
            self._history.readings.clear()
            self._until = self._live

    def resume(self, stored: Mapping[str, object]) -> bool:
        """Go on from the values of a stored snapshot, by point, and tell whether nothing is left to be resumed.

        Of a totaliser's difference, that is what it counts from.
        """
        for step in self._steps:
            for place, source in step.sources:
                value = stored.get(self._instrument.quantities[source.place].name)
                if place == step.previous and step.last is None and isinstance(value, int | float):
                    step.last = value * source.factor + source.offset
        return not self.remembers

    @property
    def remembers(self) -> bool:
        """Whether a derived point counts from a reading that it does not know."""
        return any(step.previous is not None and step.last is None for step in self._steps)

    def _keep(self, shelf: Shelf, snapshot: Snapshot) -> None:
        name, flags, uncertain = self._instrument.name, snapshot.flags, snapshot.uncertain
        shelf.at[name] = snapshot.at
        for place in self._kept:
            if place not in snapshot.absent:
                shelf.readings[name, place] = Reading(snapshot.values[place], flags.get(place), place in uncertain)


@dataclass(slots=True)
class _Now:
    """A snapshot that is being derived: its parts, which grow, and what was told before it."""

    name: str
    snapshot: Snapshot
    board: list[Value | None]
    flags: dict[int, Flag]
    uncertain: set[int]
    absent: set[int]
    told: Shelf
    shelf: Shelf

    def derive(self, place: int, step: _Step) -> None:
        """Compute one derived point and put it into its place."""
        readings = [self._reading(source) for _, source in step.sources]
        if None in readings or all(not each.instrument and each.place in self.absent for _, each in step.sources):
            self.say(place, None, None)
            return
        known = [each for each in readings if each is not None]
        flag = worst(each.flag for each in known if each.flag is not None)
        value = None
        if flag is None:
            numbers = [float(each.value) for each in known if each.value is not None]
            value, flag = step.result(step.arguments(numbers), late=self.snapshot.late)
        self.say(place, value, flag)
        if flag is None and value is not None and any(each.uncertain for each in known):
            self.uncertain.add(place)

    def _reading(self, source: _Source) -> Reading | None:
        """Give what is known of an input; None where a change report has never told it."""
        place = source.place
        if source.instrument:
            newest = self.shelf.at.get(source.instrument)
            reading = self.shelf.readings.get((source.instrument, place))
            if reading is None or newest is None or abs(self.snapshot.at - newest) > source.age:
                return Reading(None, Flag.NO_COMMUNICATION, uncertain=False)
            return reading
        if place in self.absent:
            return self.told.readings.get((self.name, place))
        return Reading(self.board[place], self.flags.get(place), place in self.uncertain)

    def say(self, place: int, value: float | None, flag: Flag | None) -> None:
        """Put a value or a flag, or neither, into a place."""
        self.board[place] = value
        if flag is not None:
            self.flags[place] = flag
        elif value is None:
            self.absent.add(place)


def derivers(instruments: Iterable[Instrument]) -> dict[str, Deriver]:
    """Compile the derived points of a site's instruments, by instrument; they share what each said last."""
    listed, shelf = list(instruments), Shelf()
    places = {each.name: _places(each) for each in listed}
    wanted: dict[str, set[int]] = {each.name: set() for each in listed}
    for instrument in listed:
        for source in _foreign(instrument):
            wanted[source.instrument].add(places[source.instrument][source.point])
    return {each.name: Deriver(each, shelf, places, wanted[each.name]) for each in listed}


def _places(instrument: Instrument) -> dict[str, int]:
    return {each.name: place for place, each in enumerate(instrument.quantities)}


def _foreign(instrument: Instrument) -> Iterator[Input]:
    return (each for derived in instrument.derived for each in derived.inputs if each.instrument)


def _step(
    derived: Derived, instrument: Instrument, places: Mapping[str, Mapping[str, int]], behind: int, board: list[float]
) -> _Step:
    """Compile a derived point; its constants are put onto the `board`, whose first place is `behind` all points."""
    formula = formulas()[derived.formula]
    order = {name: place for place, name in enumerate(formula.quantities)}
    constants = tuple(derived.constants.get(name) for name in order)
    sources = tuple(
        (
            order[each.quantity],
            _Source(
                place=places[each.instrument or instrument.name][each.point],
                factor=each.factor,
                offset=each.offset,
                instrument=each.instrument,
                age=each.max_age,
            ),
        )
        for each in derived.inputs
    )
    taken = dict(sources)
    units = tuple(
        (taken[place].factor, taken[place].offset) if place in taken else _AS_IT_IS for place in range(len(order))
    )
    low, high = derived.range or (-inf, inf)
    return _Step(
        compute=FORMULAS[derived.formula],
        constants=constants,
        sources=sources,
        pick=_picker(constants, taken, behind, board),
        units=units if any(each != _AS_IT_IS for each in units) else None,
        previous=order[formula.previous] if formula.previous else None,
        scale=derived.scale,
        offset=derived.offset,
        digits=derived.digits,
        low=low,
        high=high,
    )


def _picker(
    constants: Sequence[float | None], sources: Mapping[int, _Source], behind: int, board: list[float]
) -> Callable[[Sequence[float]], Sequence[float]] | None:
    """Put constants onto the board, and give what takes the arguments from it; None where it has not all of them."""
    if any(source.instrument for source in sources.values()):
        return None
    found = []
    for place, constant in enumerate(constants):
        if place in sources:
            found.append(sources[place].place)
        else:
            found.append(behind + len(board))
            board.append(cast("float", constant))
    return picker(found)
