"""A short soak; `make chaos` makes the long one, which also holds memory, files and threads still."""

import pytest
from chaos.soak import run

pytestmark = pytest.mark.xdist_group("agents")


def test_a_park_whose_link_is_cut_now_and_then_is_balanced_and_its_wal_stays_small():
    rows = run(minutes=0.35, every=10)
    judged = {row.case: row for row in rows if row.case not in {"memory", "files and threads", "CPU"}}
    assert [row for row in judged.values() if not row.ok] == []
    assert len(judged) == 3
