"""Virtual days of the real agent. A seed that fails is lived through again by `python tests/chaos/days.py SEED`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.days import DAY, lived_day, temporary
from support.virtual_counts import miscounted

ONCE_FAILED = [4, 271, 317]
"""Seeds that found something, kept."""
DAYS = Path(__file__).parents[1] / "chaos" / "days.py"


@pytest.mark.parametrize("seed", [*ONCE_FAILED, *range(1_001, 1_021 - len(ONCE_FAILED))])
def test_a_day_of_faults_breaks_nothing_that_must_hold(seed, caplog):
    caplog.set_level("CRITICAL")
    with temporary() as folder:
        world = lived_day(seed, Path(folder))
    assert world.judge.rows > 2_000


@pytest.mark.parametrize("seed", [4, 271])
def test_the_statistics_count_every_snapshot_of_a_day_of_faults_once(seed, caplog):
    """Through stops, deaths and clock steps: the last word on a minute counts what was committed of it."""
    caplog.set_level("CRITICAL")
    with temporary() as folder:
        world = lived_day(seed, Path(folder), DAY / 4)
    assert sum(1 for (kind, *_), _ in world.judge.committed if kind == "stats/1min") > 500
    assert [*miscounted(world.judge, "a"), *miscounted(world.judge, "c")] == []


def test_a_seed_gives_the_same_day_in_every_process():
    told = {
        subprocess.run(
            [sys.executable, DAYS, "3"], env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True, text=True, check=True,
        ).stdout
        for salt in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1, told
