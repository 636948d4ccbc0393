"""What the status page says of the outbox."""

import os
from types import SimpleNamespace

import pytest

from parkgate.gateway import status

BOX = SimpleNamespace(epoch="0001-aaaaaa", collected=5, stored=5, queued=0, rejected=0, fault="")


def site(folder, max_size, *periods):
    return SimpleNamespace(
        gateway=SimpleNamespace(data=folder),
        outbox=SimpleNamespace(max_size=max_size),
        instruments=[SimpleNamespace(every=every) for every in periods],
    )


def test_the_days_that_fit_follow_from_what_rows_took_so_far(tmp_path):
    # 86,400 rows a day from each of two instruments, 100 bytes a row, 10 MB allowed
    told = status.outbox(BOX, site(tmp_path, 10_000_000, 1000, 1000), (1_000_000, 10_000))
    assert told["days_left"] == pytest.approx(10_000_000 / (100 * 2 * 86_400), abs=0.05)


def test_a_young_outbox_does_not_guess(tmp_path):
    assert status.outbox(BOX, site(tmp_path, 10_000_000, 1000), (120_000, 140))["days_left"] is None


def test_a_disk_smaller_than_the_budget_is_what_limits(tmp_path):
    free = os.statvfs(tmp_path)
    told = status.outbox(BOX, site(tmp_path, 10**18, 1000), (1_000_000, 10_000))
    room = 1_000_000 + free.f_bavail * free.f_frsize
    assert told["days_left"] == pytest.approx(room / 100 / 86_400, rel=0.05)
