"""What a value was made of: of a derived point inputs and formula, of a measured one registers and states."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parkgate.config.derived import Derived, Input
from parkgate.config.flag import Flag
from parkgate.config.formulas import Formula, Quantity, formulas
from parkgate.config.line_checks import kind_of
from parkgate.config.profile import Point, State
from parkgate.config.site import Instrument, Line, Site
from parkgate.drivers.catalog import opener
from parkgate.drivers.modbus.assistant import Place
from parkgate.drivers.modbus.probing import Probe, probe
from parkgate.drivers.snapshot import Snapshot, Value
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands.asked_line import agent_of, asked_line
from parkgate.gateway.control.client import ask
from parkgate.gateway.processing.derive import derivers
from parkgate.gateway.processing.validity import Judge


@dataclass(frozen=True, slots=True)
class Told:
    """A point's value and flag, at a time (ms UTC)."""

    value: Value | None = None
    flag: Flag | None = None
    at: int | None = None


Readings = Mapping[tuple[str, str], Told]
"""By instrument and point."""


@dataclass(frozen=True, slots=True)
class Used:
    """A quantity of a formula, the input that it was taken from, and how that stands."""

    name: str
    quantity: Quantity
    source: Input
    told: Told

    @property
    def taken(self) -> float | None:
        """The number that the formula was given, in its own unit."""
        value = self.told.value
        if not isinstance(value, int | float) or self.told.flag is not None:
            return None
        return value * self.source.factor + self.source.offset


@dataclass(frozen=True, slots=True)
class Computed:
    """A derived point with everything it was made of; `behind` are those of its inputs that are derived themselves."""

    instrument: Instrument
    point: Derived
    formula: Formula
    used: tuple[Used, ...]
    told: Told
    behind: tuple[Computed, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A state that covers a point, and what it read; `reading` is None where that is not known."""

    state: State
    reading: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured point: what stood in its registers, and that unscaled; neither is known of an OPC UA node."""

    instrument: Instrument
    point: Point
    told: Told
    registers: tuple[str, ...]
    raw: Value | None
    states: tuple[Judged, ...]


async def explain(site: Site, instrument: Instrument, point: Point | Derived) -> Measured | Computed:
    """Explain a point as it is now: as the running agent has it, else by one fresh read of what it needs.

    The registers of a Modbus point are read afresh, through the agent where one runs.

    Raises:
        Fault: what has to be read cannot be.

    """
    agent = agent_of(site)
    line = next(each for each in site.lines if each.name == instrument.line)
    if isinstance(point, Point) and kind_of(line) != "opcua":
        async with asked_line(agent, line, None) as asked:
            return _of_registers(await probe(asked, instrument, SystemClock().now), point)
    readings = await _of_agent(agent) if agent else await _read(site, _needed(site, instrument))
    if isinstance(point, Derived):
        return _computed(site, instrument, point, readings)
    told = readings.get((instrument.name, point.name), Told())
    return Measured(
        instrument, point, told, (), None, tuple(Judged(each, None) for each in _covering(instrument, point))
    )


def _needed(site: Site, instrument: Instrument) -> list[Instrument]:
    """Give the instruments that its derived points take from, itself last."""
    found: dict[str, Instrument] = {}

    def take(each: Instrument) -> None:
        for name in {source.instrument for derived in each.derived for source in derived.inputs if source.instrument}:
            other = next(one for one in site.instruments if one.name == name)
            if name not in found and name != instrument.name:
                found[name] = other
                take(other)

    take(instrument)
    return [*reversed(found.values()), instrument]


async def _of_agent(agent: Path) -> Readings:
    answer: Mapping[str, Any] = await asyncio.to_thread(ask, agent, {"verb": "status"})
    return {
        (each["name"], name): Told(told["value"], Flag(told["flag"]) if told["flag"] else None, each["at"])
        for each in answer["instruments"]
        for name, told in each["points"].items()
    }


async def _read(site: Site, instruments: list[Instrument]) -> Readings:
    """Read instruments once, each line opened for it."""
    found: dict[tuple[str, str], Told] = {}
    derive = derivers(instruments)
    opening, now = opener(site.gateway), SystemClock().now
    for instrument in instruments:
        line: Line = next(each for each in site.lines if each.name == instrument.line)
        async with opening(line, [instrument], now) as driver:
            snapshots = await driver.read(instrument)
        found |= dict(_told(instrument, derive[instrument.name](Judge.of(instrument)(snapshots[-1]))))
    return found


def _told(instrument: Instrument, snapshot: Snapshot) -> Iterator[tuple[tuple[str, str], Told]]:
    for place, point in enumerate(instrument.quantities):
        yield (instrument.name, point.name), Told(snapshot.values[place], snapshot.flags.get(place), snapshot.at)


def _computed(site: Site, instrument: Instrument, point: Derived, readings: Readings) -> Computed:
    formula = formulas()[point.formula]
    used = tuple(
        Used(each.quantity, formula.quantities[each.quantity], each, readings.get(_node(instrument, each), Told()))
        for each in point.inputs
    )
    behind = []
    for each in point.inputs:
        other = next(one for one in site.instruments if one.name == (each.instrument or instrument.name))
        behind += [_computed(site, other, one, readings) for one in other.derived if one.name == each.point]
    told = readings.get((instrument.name, point.name), Told())
    return Computed(instrument, point, formula, used, told, tuple(behind))


def _node(instrument: Instrument, source: Input) -> tuple[str, str]:
    return source.instrument or instrument.name, source.point


def _of_registers(probed: Probe, point: Point) -> Measured:
    instrument = probed.instrument
    snapshot = Judge.of(instrument)(probed.snapshot)
    index = instrument.points.index(point)
    bare = {"scale": 1.0, "offset": 0.0, "digits": None, "invalid": (), "as_": "number"}
    place = Place(instrument, point.model_copy(update=bare))
    field = place.field
    words = probed.words(next(each for each in probed.fields() if (each.role, each.index) == ("point", index)))
    return Measured(
        instrument=instrument,
        point=point,
        told=Told(snapshot.values[index], snapshot.flags.get(index), snapshot.at),
        registers=tuple(str(word) if field.table in {"coil", "discrete"} else f"{word:04X}" for word in words),
        raw=place.candidate(probed.cells, place.order, place.base).value,
        states=tuple(
            Judged(each, snapshot.states[instrument.states.index(each)]) for each in _covering(instrument, point)
        ),
    )


def _covering(instrument: Instrument, point: Point) -> list[State]:
    """Give the states that judge a point; a heartbeat among them is one without any `equals`."""
    return [each for each in instrument.states if not each.points or point.name in each.points]
