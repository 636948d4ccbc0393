"""Outages longer than a small disk holds, in virtual time: what fell out is declared, to the record."""

from __future__ import annotations

import logging
from pathlib import Path

from chaos.days import DAY, UPLINKS, temporary
from chaos.row import Row
from support.virtual_plan import Fault
from support.virtual_world import World, lived, site_of

POINTS = 80
"""Points of each instrument: some 700 bytes a record on the disk."""


def lived_outage(folder: Path, days: float, budget: int) -> World:
    """Give the world of a site whose platforms are away for all but the last hours of some days."""
    plan = [Fault(3_600.0, days * DAY - 7_200, "link", each, "cut") for each in UPLINKS]
    return lived(site_of(folder, UPLINKS, points=POINTS, max_size=budget), 6, plan, days * DAY)


def declared(world: World, uplink: str) -> tuple[int, int]:
    """Give how many records an uplink never had, and how many of all it was told that it never will."""
    platform = world.judge.platforms[uplink]
    missing = sum(
        last - first + 1
        for series, newest in world.judge.last.items() for first, last in platform.had[series].gaps(1, newest)
    )  # fmt: skip
    return missing, sum(len(each) for each in platform.told.values())


def run(days: float = 7, budget: int = 10 * 1024**2) -> list[Row]:
    """Live through an outage of a week on 10 MB; the polling is watched all the while."""
    logging.disable(logging.CRITICAL)
    with temporary() as folder:
        world = lived_outage(Path(folder), days, budget)
        size = (world.site.gateway.data / "outbox.sqlite").stat().st_size
    missing, told = declared(world, UPLINKS[0])
    return [
        Row("a small disk, a week away: records missing, declared", f"{missing}, {told}", "equal", missing == told > 0),
        Row("a small disk, a week away: bytes at the end", f"{size}", f"<= {budget}", size <= budget),
    ]
