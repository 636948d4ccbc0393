"""Who may be asked now: a unit that owes a reply rests, one that is silent for long is asked rarely."""

import pytest

from parkgate.drivers.modbus.rests import FIRST_PAUSE, LATEST, LONGEST_PAUSE, SILENT_SECONDS, SILENT_TURNS, Rests


@pytest.fixture
def rests():
    return Rests(0.5, named=False)


def silent_for(rests, unit, seconds, step=1.0):
    """Note a silence every `step`, from 0 on; give the time of the last."""
    now = 0.0
    while now <= seconds:
        rests.missed(unit, now)
        now += step
    return now - step


def test_a_unit_nobody_knows_may_be_asked(rests):
    assert (rests.rests(3, 0.0), rests.owes(3, 0.0), rests.demoted(3), rests.late(3)) == (0.0, 0.0, False, 0.0)


def test_after_a_missing_reply_its_unit_alone_rests_until_it_could_no_more_be_that_late(rests):
    rests.owe(3, 10.0)
    assert rests.rests(3, 10.0) == LATEST * 0.5
    assert rests.rests(3, 10.0 + LATEST * 0.5) == 0.0
    assert rests.rests(4, 10.0) == 0.0


def test_a_late_reply_that_came_ends_the_rest_and_says_how_late_it_was(rests):
    rests.owe(3, 10.0)
    rests.came_late(3, 10.7)
    assert rests.rests(3, 10.7) == 0.0
    assert rests.late(3) == pytest.approx(0.7)


def test_what_comes_when_nothing_is_owed_is_nothing(rests):
    rests.missed(3, 0.0)
    rests.came_late(3, 1.0)
    rests.came_late(4, 1.0)
    assert rests.late(3) == rests.late(4) == 0.0


def test_where_replies_name_their_question_none_is_owed():
    rests = Rests(0.5, named=True)
    rests.owe(3, 10.0)
    assert rests.rests(3, 10.0) == 0.0


def test_a_unit_is_demoted_when_both_are_reached_the_turns_and_the_time(rests):
    for now in range(SILENT_TURNS + 1):
        rests.missed(3, now / 10)
    assert not rests.demoted(3), "many turns, but a short time"
    rests.missed(4, 0.0)
    rests.missed(4, 2 * SILENT_SECONDS)
    assert not rests.demoted(4), "a long time, but few turns"
    now = silent_for(rests, 5, SILENT_SECONDS)
    assert rests.demoted(5)
    assert rests.rests(5, now) == FIRST_PAUSE


def test_a_demoted_unit_is_asked_more_and_more_rarely_up_to_a_limit_and_at_once_normally_when_it_answers(rests):
    now = silent_for(rests, 5, SILENT_SECONDS)
    pauses = []
    for _ in range(6):
        pauses.append(rests.rests(5, now))
        now += pauses[-1]
        rests.missed(5, now)
    assert pauses == [5.0, 10.0, 20.0, 40.0, LONGEST_PAUSE, LONGEST_PAUSE]
    rests.answered(5)
    assert (rests.rests(5, now), rests.demoted(5)) == (0.0, False)
    rests.missed(5, now)
    assert rests.rests(5, now) == 0.0, "one silence is none for long"


def test_a_line_that_is_opened_again_asks_everyone_but_those_who_owe_a_reply(rests):
    now = silent_for(rests, 5, SILENT_SECONDS)
    rests.owe(6, now)
    rests.opened()
    assert (rests.rests(5, now), rests.demoted(5)) == (0.0, False)
    assert rests.rests(6, now) == LATEST * 0.5
