"""5,000 power cuts; `make chaos` makes 200,000."""

from chaos.power_cuts import run


def test_no_power_cut_takes_what_was_committed_and_an_outbox_that_does_not_sync_is_found_out():
    rows = run(images=5_000)
    assert [row for row in rows if not row.ok] == []
    assert len(rows) == 5
