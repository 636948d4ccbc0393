"""A disk that fills up under the agent, and one that is read-only: nothing is lost."""

import pytest
from chaos.real_disk import run

pytestmark = pytest.mark.xdist_group("agents")


@pytest.mark.root
def test_a_full_and_a_read_only_disk_lose_nothing_and_stop_nothing():
    rows = run()
    assert [row for row in rows if not row.ok and "polling" not in row.case] == []
    assert len(rows) == 5
