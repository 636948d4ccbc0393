"""Every place at which the disk can fail in a short life, and while an outbox is opened."""

import pytest
from chaos.failure_sweep import swept, swept_openings
from support.failing_files import EIO, ENOSPC, SYNC, TRUNCATE, WRITE


def wrong(lives):
    return [(number, life.found[:3]) for number, life in enumerate(lives, start=1) if life.found]


@pytest.mark.parametrize(("kind", "places", "ends"), [(WRITE, 200, 100), (SYNC, 25, 12), (TRUNCATE, 10, 0)])
def test_an_io_error_anywhere_ends_the_agent_or_changes_nothing_and_all_that_was_committed_is_found(kind, places, ends):
    lives = swept(kind, EIO)
    assert wrong(lives) == []
    assert len(lives) > places
    # What fails while the WAL is merged fails nothing: it is merged again later.
    assert sum(life.fault for life in lives) >= ends
    assert not any(life.left for life in lives)


@pytest.mark.parametrize("times", [1, 25])
def test_a_full_disk_anywhere_keeps_what_is_to_be_stored_and_it_is_stored_once_there_is_room(times):
    lives = swept(WRITE, ENOSPC, times)
    assert wrong(lives) == []
    assert len(lives) > 200
    assert not any(life.fault for life in lives)
    assert sum(life.waited for life in lives) > 100
    assert not any(life.left for life in lives)


@pytest.mark.parametrize("times", [1, 25])
@pytest.mark.parametrize(("kind", "number"), [(WRITE, EIO), (WRITE, ENOSPC), (SYNC, EIO)])
def test_where_the_disk_fails_while_an_outbox_is_opened_the_next_start_finds_everything(kind, number, times):
    lives = swept_openings(kind, number, times)
    assert wrong(lives) == []
    assert len(lives) > 2
    assert not any(life.fault for life in lives)


def test_an_outbox_that_finds_no_room_at_its_start_is_no_damaged_one_at_the_next():
    lives = swept_openings(WRITE, ENOSPC)
    assert [life.waited for life in lives] == [True] * (len(lives) - 1) + [False]
    assert wrong(lives) == []
