"""Everything a scenario simulates, as one pure machine: time passes only by `advance`."""

from __future__ import annotations

from itertools import chain

from parkgate.simulator.device import Device, cells, shapes_of
from parkgate.simulator.image import Image
from parkgate.simulator.scenario import Scenario
from parkgate.simulator.shapes import Signals


class World:
    """The devices of a scenario at one moment: the same scenario and the same steps give the same values.

    `devices` by instrument name; `units` holds, for each Modbus line, what each of its unit ids shows.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._signals = Signals(scenario.signals, seed=f"{scenario.head.seed}/signals", day_ms=scenario.day_ms)
        self.units: dict[str, dict[int, Image]] = _units(scenario)
        self.devices: dict[str, Device] = {}
        for instrument in scenario.site.instruments:
            signals = Signals(
                shapes_of(instrument, scenario.shapes.get(instrument.name, {})),
                seed=f"{scenario.head.seed}/{instrument.name}",
                day_ms=scenario.day_ms,
                outside=self._signals,
            )
            image = self.units[instrument.line][instrument.unit] if instrument.protocol == "modbus" else None
            self.devices[instrument.name] = Device(instrument, signals, image)

    def advance(self, dt_ms: int) -> None:
        """Let `dt_ms` milliseconds of scenario time pass, in one step."""
        self._signals.advance(dt_ms)
        for device in self.devices.values():
            device.advance(dt_ms)


def _units(scenario: Scenario) -> dict[str, dict[int, Image]]:
    units: dict[str, dict[int, Image]] = {}
    for line in scenario.site.lines:
        instruments = [each for each in scenario.site.on(line) if each.protocol == "modbus"]
        ids = dict.fromkeys(each.unit for each in instruments)
        units[line.name] = {
            unit: Image(chain.from_iterable(cells(each) for each in instruments if each.unit == unit)) for unit in ids
        }
    return units
