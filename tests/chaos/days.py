"""Virtual days of the real agent, one a seed: `python tests/chaos/days.py SEED …` lives through some again."""

from __future__ import annotations

import logging
import random
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.row import Row
from support.virtual_plan import drawn
from support.virtual_world import World, lived, site_of

DAY = 86_400.0
UPLINKS, LINES = ("park", "city"), ("l1", "l2", "l3", "a", "b", "c", "d")
SEEDS = range(1, 501)
_SHARED = Path("/dev/shm")  # a folder in memory: a virtual day has some thousand commits


def lived_day(seed: int, folder: Path, seconds: float = DAY) -> World:
    """Give the world of a seed's day; everything held in it."""
    plan = drawn(random.Random(seed), seconds, UPLINKS, LINES)
    return lived(site_of(folder, UPLINKS), seed, plan, seconds)


def temporary() -> tempfile.TemporaryDirectory[str]:
    """Give a folder, in memory where there is one, whose path is short enough for a socket."""
    return tempfile.TemporaryDirectory(dir=_SHARED if _SHARED.is_dir() else None)


def fails(seed: int, seconds: float = DAY) -> str:
    """Live through a seed's day; say what did not hold, nothing if all did."""
    with temporary() as folder:
        try:
            world = lived_day(seed, Path(folder), seconds)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what the seed found
            return "\n".join([f"seed {seed}: {type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    print(f"seed {seed}: {world.digest()}, {world.judge.rows} records, {world.lives} lives")
    return ""


def run(seeds: Iterable[int] = SEEDS, seconds: float = DAY) -> list[Row]:
    """Live through many days; one row of the table, and each failing seed told at once."""
    logging.disable(logging.CRITICAL)
    failing, count = [], 0
    for seed in seeds:
        count += 1
        if said := fails(seed, seconds):
            print(said)
            failing.append(seed)
    figure = f"{count} days, {len(failing)} with a fault {failing or ''}".strip()
    return [Row("virtual days of the real agent, seeded faults", figure, "0 with a fault", not failing)]


if __name__ == "__main__":
    [row] = run([int(seed) for seed in sys.argv[1:]] or SEEDS)
    print(row.figure)
    sys.exit(not row.ok)
