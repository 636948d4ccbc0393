"""A short backlog: what is asserted is order and completeness; `make chaos` measures a long one."""

import pytest
from chaos.backlog import run

pytestmark = pytest.mark.xdist_group("agents")

JUDGED = {
    "the backlog is drained", "alarms at the end of the backlog come first", "live and alarms pass the backlog",
}  # fmt: skip


def test_live_snapshots_and_alarms_pass_a_backlog_that_drains_and_all_of_it_arrives():
    rows = {row.case: row for row in run(rows=100_000, seconds=1)}
    assert rows.keys() >= JUDGED
    assert [rows[case] for case in JUDGED if not rows[case].ok] == []
