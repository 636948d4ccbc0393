"""What an OPC UA server says of a value: EUInformation to a unit, EURange to a range, and what a profile lacks. Pure.

A profile's own word always counts. What it is silent about comes from the server (OPC 10000-8, 5.6.3), unless the
profile scales the value: then the server speaks of another number than ours.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from parkgate.config.profile import STRING_TYPE, Point
from parkgate.config.site import Instrument

CHANGED = 0x4000
"""The bit of a status that says the unit or range of a value has changed (OPC 10000-4, 7.39.1, SemanticsChanged)."""

_CEFACT = "http://www.opcfoundation.org/UA/units/un/cefact"
_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "GP": "mg/m3", "GQ": "µg/m3", "M1": "mg/L", "H29": "µg/L", "59": "ppm", "61": "ppb", "P1": "%",
        "CEL": "°C", "KEL": "K", "FAH": "°F",
        "PAL": "Pa", "KPA": "kPa", "MPA": "MPa", "A97": "hPa", "BAR": "bar", "MBR": "mbar",
        "MTS": "m/s", "MTR": "m", "MMT": "mm", "CMT": "cm", "KMT": "km", "DD": "deg",
        "MTQ": "m3", "LTR": "L", "CMQ": "cm3", "MQH": "m3/h", "MQS": "m3/s", "G51": "L/s", "L2": "L/min", "E32": "L/h",
        "KGM": "kg", "TNE": "t", "GRM": "g", "E93": "kg/h", "E18": "t/h", "KGS": "kg/s", "KMQ": "kg/m3", "23": "g/cm3",
        "G42": "µS/cm", "H61": "mS/cm", "Q30": "pH", "2N": "dB",
        "WTT": "W", "KWT": "kW", "MAW": "MW", "KWH": "kWh", "MWH": "MWh", "KVR": "kvar", "K3": "kvarh", "D54": "W/m2",
        "VLT": "V", "2Z": "mV", "AMP": "A", "4K": "mA", "HTZ": "Hz",
        "SEC": "s", "MIN": "min", "HUR": "h", "RPM": "1/min",
        "C62": "",
    }
)  # fmt: skip
"""Our text of each UNECE common code (Recommendation 20); "one" is no unit."""

_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        "ug/m3": "µg/m3", "ug/L": "µg/L", "ug/l": "µg/L", "mg/l": "mg/L", "uS/cm": "µS/cm",
        "l": "L", "l/s": "L/s", "l/min": "L/min", "l/h": "L/h", "degC": "°C", "Cel": "°C", "C": "°C", "°": "deg",
        "r/min": "1/min", "rpm": "1/min",
    }
)  # fmt: skip
"""Other ways to write our units, once `_plain` has been at work."""

_DIGITS = str.maketrans({"\N{GREEK SMALL LETTER MU}": "\N{MICRO SIGN}", " ": None, "^": None})


@dataclass(frozen=True, slots=True)
class Said:
    """What a server says of one value: its unit, and its range in it; nothing where it says nothing of use."""

    unit: str = ""
    range: tuple[float, float] | None = None


NOTHING = Said()


def unit(namespace: str, unit_id: int, display: str) -> str:
    """Give our text of a unit: by its UNECE code, which `unit_id` spells in ASCII, else as it is displayed.

    `namespace` and `unit_id` are EUInformation's own; the id is -1 where the unit has no code (OPC 10000-8, 5.6.3).
    """
    if namespace == _CEFACT and 0 < unit_id < 1 << 32:
        code = unit_id.to_bytes(4, "big").lstrip(b"\0").decode("ascii", "replace")
        if code in _UNITS:
            return _UNITS[code]
    return display.strip() if _plain(display) not in _KNOWN else _plain(display)


def _plain(text: str) -> str:
    """Give a unit as we would write it: `m³/h`, `㎥/h` and `m^3/h` are all m3/h."""
    plain = unicodedata.normalize("NFKC", text).translate(_DIGITS)
    return _SPELLINGS.get(plain, plain)


_KNOWN = frozenset(_UNITS.values())


def span(low: float, high: float) -> tuple[float, float] | None:
    """Give an EURange as a measuring range; None where it is none: some servers leave both ends at 0."""
    return (low, high) if low < high and math.isfinite(low) and math.isfinite(high) else None


def known(instrument: Instrument, said: Mapping[int, Said]) -> Instrument:
    """Give an instrument with what its server says of its points, by index; itself where nothing is added."""
    points = tuple(_filled(point, said.get(place, NOTHING)) for place, point in enumerate(instrument.points))
    return instrument if points == instrument.points else instrument.model_copy(update={"points": points})


def _filled(point: Point, said: Said) -> Point:
    if not _speaks_of(point) or _differs(point, said):
        return point
    lacks: dict[str, object] = {}
    if said.unit and not point.unit:
        lacks["unit"] = said.unit
    if said.range is not None and point.range is None:
        lacks["range"] = said.range
    return point.model_copy(update=lacks) if lacks else point


def differing(instrument: Instrument, said: Mapping[int, Said]) -> Iterator[tuple[str, str]]:
    """Give the points whose unit is another one on the server than in the profile, and the server's."""
    for place, each in said.items():
        point = instrument.points[place]
        if _speaks_of(point) and _differs(point, each):
            yield point.name, each.unit


def _speaks_of(point: Point) -> bool:
    """Tell whether a server's unit and range can be those of a point: a number as the server holds it."""
    return point.scale == 1 and point.offset == 0 and point.type != "bool" and not STRING_TYPE.fullmatch(point.type)


def _differs(point: Point, said: Said) -> bool:
    return bool(point.unit and said.unit) and _plain(point.unit) != _plain(said.unit)
