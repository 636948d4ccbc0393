"""An OPC UA server that is killed again and again: a few times."""

import pytest
from chaos.opcua_restarts import run


@pytest.mark.parametrize("seed", range(2))
async def test_a_server_that_is_killed_again_and_again_costs_no_change_that_its_history_holds(seed):
    rows = await run(restarts=5, seed=seed)
    assert [row for row in rows if not row.ok] == []
