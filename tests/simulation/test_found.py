"""What virtual days found, cut down to the faults that matter."""

from pathlib import Path

from chaos.days import UPLINKS, temporary
from support.virtual_plan import Fault
from support.virtual_world import lived, site_of


def test_an_uplink_that_was_refused_its_greeting_and_its_rows_sends_all_of_them_once_it_may(caplog):
    caplog.set_level("CRITICAL")
    plan = [Fault(500, 400, "code", "park", 0x80), Fault(650, 1, "stop")]
    with temporary() as folder:
        world = lived(site_of(Path(folder), UPLINKS), 1, plan, 1_000)
    assert not world.lost


def test_a_start_with_a_clock_ten_years_ahead_does_not_take_an_uplink_for_long_dead(caplog):
    caplog.set_level("CRITICAL")
    plan = [
        Fault(100, 900, "clock", "", 315_360_000_000),
        Fault(200, 600, "link", "city", "cut"),
        Fault(300, 1, "death", "", "now"),
    ]
    with temporary() as folder:
        world = lived(site_of(Path(folder), UPLINKS), 317, plan, 1_500)
    assert world.lives == 2
    assert not world.lost
