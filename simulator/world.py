"""Everything a scenario simulates, as one pure machine: time passes only by `advance`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from random import Random

from parkgate.config.flag import Flag
from parkgate.simulator.device import Device, cells, shapes_of
from parkgate.simulator.image import Image
from parkgate.simulator.scenario import Scenario
from parkgate.simulator.shapes import Signals
from parkgate.simulator.trouble import KINDS, NEARBY, NEIGHBOURS, Trouble


class World:
    """The devices of a scenario at one moment: the same scenario and the same steps give the same values.

    `devices` by instrument name; `units` holds, by Modbus line, what each unit id shows. `troubles` are
    those of this moment: the scenario's by their times, and those that somebody switched on.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.elapsed_ms = 0
        self.troubles: tuple[Trouble, ...] = ()
        self.switched: set[int] = set()
        """Places in the scenario's troubles of those that somebody switched: on if its time has not come, else off."""
        images = _images(scenario)
        self.devices: dict[str, Device] = {}
        self._line = {each.name: each.line for each in scenario.site.instruments}
        self._signals = Signals(scenario.signals, seed=f"{scenario.head.seed}/signals", day_ms=scenario.day_ms)
        for instrument in scenario.site.instruments:
            signals = Signals(
                shapes_of(instrument, scenario.shapes.get(instrument.name, {})),
                seed=f"{scenario.head.seed}/{instrument.name}",
                day_ms=scenario.day_ms,
                outside=self._signals,
            )
            image = images[instrument.line][instrument.unit] if instrument.protocol == "modbus" else None
            self.devices[instrument.name] = Device(instrument, signals, image)
        self.units: dict[str, Units] = {
            line: Units(of_line, {unit: self._at(line, unit) for unit in of_line}) for line, of_line in images.items()
        }
        self.show()

    @property
    def now_ms(self) -> int:
        """The scenario's own time, milliseconds UTC."""
        return self.scenario.start_ms + self.elapsed_ms

    def advance(self, dt_ms: int) -> None:
        """Let `dt_ms` milliseconds of scenario time pass, in one step."""
        self.elapsed_ms += dt_ms
        self._signals.advance(dt_ms)
        for device in self.devices.values():
            device.advance(dt_ms)
        self.show()

    def show(self) -> None:
        """Let everything be seen as the troubles and conditions of this moment have it."""
        scenario, now = self.scenario, (self.elapsed_ms, self.scenario.day_ms)
        self.troubles = tuple(
            each for place, each in enumerate(scenario.troubles) if each.on(*now) != (place in self.switched)
        )
        conditions = [each for each in scenario.conditions if each.on(*now)]
        for name, device in self.devices.items():
            device.show(
                [each for each in conditions if each.instrument == name],
                frozenset(chain.from_iterable(_frozen(device, each) for each in self.of_instrument(name))),
            )

    def switch(self, place: int) -> None:
        """Switch one of the scenario's troubles, by its place: on if it is off, off if it is on."""
        self.switched ^= {place}
        self.show()

    def of_instrument(self, name: str) -> tuple[Trouble, ...]:
        """Give the troubles that an instrument has now: its own, and those of its line."""
        return tuple(each for each in self.troubles if each.instrument == name or each.line == self._line[name])

    def spoilt(self, name: str) -> dict[str, frozenset[Flag]]:
        """Give, by point, the flags that troubles of single points of an instrument put there."""
        found: dict[str, frozenset[Flag]] = {}
        for trouble in self.of_instrument(name):
            kind = KINDS[trouble.kind]
            if kind.flags and not kind.whole:
                points = trouble.points or [point.name for point in self.devices[name].instrument.points]
                found.update(dict.fromkeys(points, kind.flags))
        return found

    def words(self, name: str) -> tuple[str, ...]:
        """Give the kinds of trouble of an instrument now, and whether a neighbour's may have reached it."""
        kinds = [each.kind for each in self.of_instrument(name)]
        others = (each for each in self.troubles if each.kind in NEIGHBOURS and each.instrument not in {None, name})
        if any(self._line[each.instrument or name] == self._line[name] for each in others):
            kinds.append(NEARBY)
        return tuple(kinds)

    def skew(self, name: str) -> int:
        """Give by how much the clock of an instrument is wrong now, milliseconds."""
        return sum(each.by or 0 for each in self.of_instrument(name) if each.kind == "wrong-clock")

    def of_unit(self, line: str, unit: int) -> tuple[Trouble, ...]:
        """Give the troubles of the instruments at a unit id of a line."""
        if not self.troubles:
            return ()
        there = (device.instrument.name for device in self._at(line, unit))
        return tuple(dict.fromkeys(chain.from_iterable(map(self.of_instrument, there))))

    def _at(self, line: str, unit: int) -> tuple[Device, ...]:
        here = (each for each in self.devices.values() if each.instrument.protocol == "modbus")
        return tuple(each for each in here if (each.instrument.line, each.instrument.unit) == (line, unit))

    def of_line(self, line: str) -> tuple[Trouble, ...]:
        """Give the troubles of a line itself."""
        return tuple(each for each in self.troubles if each.line == line)

    def of_uplink(self, uplink: str) -> tuple[Trouble, ...]:
        """Give the troubles of the way to a platform."""
        return tuple(each for each in self.troubles if each.uplink == uplink)

    def chance(self, of: str) -> Random:
        """Give the chance of a part of the park, which no other part disturbs."""
        return Random(f"{self.scenario.head.seed}/trouble/{of}")


def _frozen(device: Device, trouble: Trouble) -> Iterable[str]:
    if trouble.kind != "frozen":
        return ()
    return trouble.points or (point.name for point in device.instrument.points)


class Units(Mapping[int, Image]):
    """The units of a Modbus line: what each shows is written when somebody looks."""

    def __init__(self, images: Mapping[int, Image], devices: Mapping[int, tuple[Device, ...]]) -> None:
        self._images = images
        self._devices = devices

    def __getitem__(self, unit: int) -> Image:
        image = self._images[unit]
        for device in self._devices[unit]:
            device.write()
        return image

    def __iter__(self) -> Iterator[int]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


def _images(scenario: Scenario) -> dict[str, dict[int, Image]]:
    units: dict[str, dict[int, Image]] = {}
    for line in scenario.site.lines:
        instruments = [each for each in scenario.site.on(line) if each.protocol == "modbus"]
        ids = dict.fromkeys(each.unit for each in instruments)
        units[line.name] = {
            unit: Image(chain.from_iterable(cells(each) for each in instruments if each.unit == unit)) for unit in ids
        }
    return units
