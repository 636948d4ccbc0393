"""When things happen in a scenario."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from parkgate.simulator.episode import Condition, Episode

HOUR = 3_600_000
DAY = 24 * HOUR


def on(episode, times, day_ms=0):
    return [each for each in times if episode.on(each, day_ms)]


def test_at_60_s_for_30_s():
    episode = Episode.model_validate({"at": "60s", "for": "30s"})
    assert on(episode, (0, 59_999, 60_000, 89_999, 90_000, DAY)) == [60_000, 89_999]


def test_again_and_again_until_a_time():
    episode = Episode.model_validate({"at": "10s", "for": "2s", "every": "10s", "until": "25s"})
    assert on(episode, range(0, 60_000, 1_000)) == [10_000, 11_000, 20_000, 21_000]


def test_daily_at_a_time_of_the_local_day_also_over_midnight():
    episode = Episode.model_validate({"time": "23:59:00", "for": "2min"})
    began = 23 * HOUR
    assert not episode.on(58 * 60_000, began)
    assert episode.on(59 * 60_000, began)
    assert episode.on(60 * 60_000, began)
    assert not episode.on(61 * 60_000, began)
    assert episode.on(59 * 60_000 + DAY, began)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"for": "1s"}, '"at" or "time"'),
        ({"at": "1s", "time": "02:00:00", "for": "1s"}, '"at" or "time"'),
        ({"time": "02:00:00", "for": "1s", "every": "2h"}, "every day"),
        ({"at": "1s", "for": "5s", "every": "4s"}, "longer"),
        ({"at": "1s", "for": "5s", "until": "20s"}, "until"),
        ({"at": "-1s", "for": "5s"}, "at"),
        ({"at": "1s", "for": "0s"}, "for"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(wrong, word):
    with pytest.raises(ValidationError, match=word):
        Episode.model_validate(wrong)


@given(st.integers(0, DAY), st.integers(1, HOUR), st.integers(0, DAY), st.integers(0, 3 * DAY))
def test_a_daily_one_is_on_for_its_time_of_every_day(day_ms, lasting, begin, elapsed):
    second = begin // 1000 % 86_400
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    episode = Episode.model_validate({"time": clock, "for": lasting})
    assert episode.on(elapsed, day_ms) == ((day_ms + elapsed - second * 1000) % DAY < lasting)


def test_a_condition_names_its_instrument_flag_and_values():
    condition = Condition.model_validate(
        {"at": "0s", "for": "1s", "instrument": "stack-1", "flag": "calibration", "values": {"so2": 250}}
    )
    assert (condition.instrument, condition.flag, condition.values) == ("stack-1", "calibration", {"so2": 250.0})
