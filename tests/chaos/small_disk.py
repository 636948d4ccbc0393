"""Outages longer than a small disk holds, in virtual time: what fell out is declared, to the record."""

from __future__ import annotations

import logging
from pathlib import Path

from chaos.days import DAY, UPLINKS, temporary
from chaos.row import Row
from support.mount import small_disk
from support.virtual_plan import Fault
from support.virtual_world import World, lived, site_of

POINTS = 80
"""Points of each instrument: some 700 bytes a record on the disk."""


def lived_outage(folder: Path, days: float, **outbox: object) -> World:
    """Give the world of a site whose platforms are away for all but the last hours of some days."""
    plan = [Fault(3_600.0, days * DAY - 7_200, "link", each, "cut") for each in UPLINKS]
    return lived(site_of(folder, UPLINKS, points=POINTS, **outbox), 6, plan, days * DAY)


def declared(world: World, uplink: str) -> tuple[int, int]:
    """Give how many records an uplink never had, and how many of all it was told that it never will."""
    platform = world.judge.platforms[uplink]
    missing = sum(
        last - first + 1
        for series, newest in world.judge.last.items() for first, last in platform.had[series].gaps(1, newest)
    )  # fmt: skip
    return missing, sum(len(each) for each in platform.told.values())


def run(days: float = 7, size: int = 10 * 1024**2) -> list[Row]:
    """Live through an outage of a week on a disk of 10 MB, once a real one, once by `max_size`; the polling is watched.

    The real one needs root.
    """
    logging.disable(logging.CRITICAL)
    with small_disk(size) as folder:
        rows = _judged("a disk of its own", lived_outage(folder, days), size)
    with temporary() as name:
        return [*rows, *_judged("max_size", lived_outage(Path(name), days, max_size=size), size)]


def _judged(kind: str, world: World, size: int) -> list[Row]:
    missing, told = declared(world, UPLINKS[0])
    used = (world.site.gateway.data / "outbox.sqlite").stat().st_size
    kept = world.judge.rows - missing
    case = f"{size} bytes, {kind}, a week away"
    return [
        Row(
            f"{case}: records missing, declared",
            f"{missing}, {told}; {kept} arrived",
            "equal",
            missing == told > 0 < kept,
        ),
        Row(f"{case}: bytes at the end", f"{used}", f"<= {size}", used <= size),
    ]
