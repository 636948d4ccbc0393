"""Stored snapshots back from their bytes: what a restart takes again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from parkgate.config.flag import Flag
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot, Value


def snapshot_of(instrument: Instrument, body: bytes) -> Snapshot:
    """Give the judged snapshot that these bytes were made of, as far as the instrument still has its points."""
    told: Mapping[str, Any] = orjson.loads(body)
    values, invalid, offsets = told["values"], told.get("invalid", {}), told.get("offsets", {})
    found: list[Value | None] = []
    flags: dict[int, Flag] = {}
    absent: set[int] = set()
    for place, point in enumerate(instrument.quantities):
        about = invalid.get(point.name)
        found.append(values.get(point.name) if about is None else about.get("value"))
        if about is not None:
            flags[place] = Flag(about["flag"])
        elif point.name not in values:
            absent.add(place)
    places = {point.name: place for place, point in enumerate(instrument.quantities)}
    return Snapshot(
        instrument=instrument.name,
        at=told["ts"],
        values=tuple(found),
        flags=flags,
        offsets={places[name]: offset for name, offset in offsets.items() if name in places},
        absent=frozenset(absent),
        late=told.get("history", False),
    )
