"""A short crash loop; `make chaos` makes the long one."""

import pytest
from chaos.crash_loop import run

pytestmark = pytest.mark.xdist_group("agents")


def test_an_agent_that_is_killed_again_and_again_loses_nothing_that_it_committed():
    rows = run(cycles=8, seed=3)
    assert [row for row in rows if not row.ok and row.case != "running again"] == []
