"""What a rate adds up to over time, pure: kg/h to kg, L/s to m3, kW to kWh."""

from __future__ import annotations

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_SCALES = (
    {"mg": 1e-6, "g": 1e-3, "kg": 1.0, "t": 1e3},
    {"mL": 1e-6, "L": 1e-3, "dm3": 1e-3, "m3": 1.0},
    {"Wh": 1e-3, "kWh": 1.0, "MWh": 1e3},
)
"""Units of one kind, each by the first's multiple: what a rate in one of them adds up to may be said in another."""
_POWER = {"W": "Wh/h", "kW": "kWh/h", "MW": "MWh/h"}


def amount_per_second(rate: str, amount: str) -> float | None:
    """Give what a rate of 1 (of `"kg/h"`) adds up to in a second, in the amount's unit (`"kg"`); None if it cannot."""
    what, slash, time = _POWER.get(rate, rate).rpartition("/")
    if not slash or time not in _SECONDS:
        return None
    if what == amount:
        return 1.0 / _SECONDS[time]
    for scale in _SCALES:
        if what in scale and amount in scale:
            return scale[what] / scale[amount] / _SECONDS[time]
    return None
