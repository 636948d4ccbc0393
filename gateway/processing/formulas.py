"""The formulas of derived points, as functions of numbers in the units that formulas.toml names. Pure.

Each gives None where there is no value: outside of what the formula holds for. Where that is, is said here; that it is
then `out-of-range` is said by who calls it. Symbols and clauses are in config/formulas.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from parkgate.config.units import MOLAR_VOLUMES

_ZERO_C = 273.0
"""0 °C in K as the standard's formulas have it, not 273.15 (HJ 212-2017, D.2)."""
_ATMOSPHERE = 101.325
"""kPa."""
_AIR = 21.0
"""% oxygen of air in the formulas (HJ 212-2017, D.2), not 20.9."""
_NO, _NO2, _CO2 = 30.006, 46.005, 44.009
"""g/mol, from the standard atomic weights."""
_LITRES = MOLAR_VOLUMES[0]

Formula = Callable[..., float | None]


def ppm_to_mass(x: float, molar: float, at: float) -> float:
    """Give mg/m3 of a gas of `molar` g/mol that is `x` ppm of a volume at `at` °C (0, 20 or 25)."""
    return x * molar / MOLAR_VOLUMES[int(at)]


def nox_as_no2(no: float, no2: float) -> float:
    """Give mg/m3 of nitrogen oxides as NO2, from mg/m3 of both."""
    return no * _NO2 / _NO + no2


def actual_to_standard(c: float, temperature: float, pressure: float, barometric: float) -> float | None:
    """Give a concentration at 0 °C and 101.325 kPa; None without a pressure or at no temperature."""
    absolute = barometric + pressure
    if absolute <= 0 or temperature <= -_ZERO_C:
        return None
    return c * _ATMOSPHERE / absolute * (_ZERO_C + temperature) / _ZERO_C


def wet_to_dry(c: float, moisture: float) -> float | None:
    """Give a concentration in dry gas; None where `moisture` is no part of a gas: below 0 % or from 100 % on."""
    if not 0 <= moisture < 100:  # noqa: PLR2004  # percent
        return None
    return c / (1 - moisture / 100)


def reference_oxygen(c: float, o2: float, reference: float, limit: float) -> float | None:
    """Give a concentration at `reference` % oxygen; None from `limit` % on: near 21 % it would be anything."""
    return c * (_AIR - reference) / (_AIR - o2) if o2 < limit else None


def excess_air(o2: float, limit: float) -> float | None:
    """Give the excess air coefficient; None from `limit` % oxygen on."""
    return _AIR / (_AIR - o2) if o2 < limit else None


def reference_excess_air(c: float, alpha: float, reference: float) -> float | None:
    """Give a concentration at the excess air coefficient `reference`; None where `alpha` is none."""
    return c * alpha / reference if alpha > 0 else None


def velocity(v: float, kv: float) -> float:
    """Give the mean velocity of a duct, m/s, from that at one point."""
    return kv * v


def actual_flow(v: float, area: float) -> float:
    """Give m3/h through `area` m2 at `v` m/s."""
    return 3600 * area * v


def standard_dry_flow(
    flow: float, temperature: float, pressure: float, moisture: float, barometric: float
) -> float | None:
    """Give m3/h of dry gas at 0 °C and 101.325 kPa; None where there is no gas, or `moisture` is no part of one."""
    absolute = barometric + pressure
    if absolute <= 0 or temperature <= -_ZERO_C or not 0 <= moisture <= 100:  # noqa: PLR2004  # percent
        return None
    return flow * _ZERO_C / (_ZERO_C + temperature) * absolute / _ATMOSPHERE * (1 - moisture / 100)


def emission_rate(c: float, flow: float) -> float:
    """Give kg/h of `c` mg/m3 in `flow` m3/h."""
    return c * flow * 1e-6


def co2_mass_rate(y: float, flow: float) -> float:
    """Give kg/h of `y` % carbon dioxide in `flow` m3/h at standard conditions."""
    return flow * y / 100 * _CO2 / _LITRES


def capture_rate(inlet: float, outlet: float) -> float | None:
    """Give the captured part, %; None where nothing comes in. Below 0 more leaves than enters: that is told."""
    return 100 * (1 - outlet / inlet) if inlet > 0 else None


def water_volume(flow: float, interval: float) -> float:
    """Give m3 of `flow` L/s in `interval` s."""
    return flow * interval / 1000


def water_mass(volume: float, c: float) -> float:
    """Give kg of `c` mg/L in `volume` m3."""
    return volume * c / 1000


def totaliser_difference(total: float, rollover: float, largest: float, previous: float) -> float | None:
    """Give what a totaliser counted since it stood at `previous`, in its own unit.

    A smaller reading is one that ran over at `rollover` if that leaves no more than `largest` (0: half the rollover)
    counted; else somebody set it back, and nobody knows what it counted before: None. More than `largest` is None too.
    """
    counted = total - previous
    if counted < 0 and rollover > 0:
        counted += rollover
        largest = largest or rollover / 2
    return counted if counted >= 0 and (counted <= largest or not largest) else None


def difference(a: float, b: float) -> float:
    """Give a - b."""
    return a - b


def ratio(a: float, b: float) -> float | None:
    """Give a / b; None where b is 0."""
    return a / b if b else None


FORMULAS: Mapping[str, Formula] = MappingProxyType(
    {
        each.__name__: each
        for each in (
            ppm_to_mass, nox_as_no2, actual_to_standard, wet_to_dry, reference_oxygen, excess_air, reference_excess_air,
            velocity, actual_flow, standard_dry_flow, emission_rate, co2_mass_rate, capture_rate, water_volume,
            water_mass, totaliser_difference, difference, ratio,
        )
    }
)  # fmt: skip
"""Each by the name that formulas.toml has it by, its arguments in the order of the quantities there."""
