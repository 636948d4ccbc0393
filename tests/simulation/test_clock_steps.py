"""Clocks that are stepped, stop, or start in 1970: nothing is lost or misordered, and the reading keeps its period."""

from pathlib import Path

import pytest
from chaos.days import UPLINKS, temporary
from support.virtual_plan import HOUR, STEPS, Fault
from support.virtual_world import lived, site_of


@pytest.mark.parametrize("how", [*STEPS, -490_896 * HOUR, "stop"])
def test_a_wrong_clock_loses_and_misorders_nothing(how, caplog):
    caplog.set_level("CRITICAL")
    plan = [
        Fault(1_000, 1_500, "link", "park", "cut"),
        Fault(2_000, 5_000, "clock", how=how),
        Fault(3_000, 1_000, "link", "city", "black"),
        Fault(4_500, 1, "death", how="after"),
        Fault(5_000, 1_000, "link", "park", "cut"),
    ]
    with temporary() as folder:
        world = lived(site_of(Path(folder), UPLINKS), 9, plan, 10_000)
    assert not world.lost
