"""Windows in a site file: what is read, and what is said of mistakes."""

from datetime import time

import pytest
from support.sites import SITE, edited, problems_of

from parkgate.config.load import load_site

POINTS = "points.so2.digits = 1\n"


def written(folder, *windows):
    path = folder / "site.toml"
    text = f"windows = [ {', '.join('{ ' + each + ' }' for each in windows)} ]\n{POINTS}"
    path.write_text(edited(SITE, POINTS, text), encoding="utf-8")
    return path


RIGHT = 'flag = "calibration", at = "02:00", lasts = "30min"'


def test_a_window_is_read_with_everything_that_it_says(tmp_path):
    path = written(tmp_path, f'{RIGHT}, days = ["mon", "thu"], points = ["so2"], why = "zero and span"', RIGHT)
    first, second = load_site(path).instruments[0].windows
    assert (first.opens, first.lasts, first.points, first.why) == (time(2), 1_800_000, ("so2",), "zero and span")
    assert first.weekdays == {0, 3}
    assert second.weekdays == set(range(7))


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (RIGHT.replace("calibration", "callibration"), 'unknown flag "callibration"; did you mean "calibration"?'),
        (RIGHT.replace("calibration", "fault"), 'unknown flag "fault"'),
        (RIGHT.replace("02:00", "2:00"), '"2:00" is no time of the day; write it as "02:00" or "23:30"'),
        (RIGHT.replace("02:00", "24:00"), '"24:00" is no time of the day'),
        (RIGHT.replace("30min", "25h"), "windows.lasts: must be at most 24 h"),
        (RIGHT.replace("30min", "30"), "is not a duration with its unit"),
        (f'{RIGHT}, days = ["mo"]', "unknown"),
        (f'{RIGHT}, points = ["so3"]', 'there is no point "so3", or it is disabled; did you mean "so2"?'),
        (f'{RIGHT}, points = ["co"]', 'there is no point "co", or it is disabled'),
        (f'{RIGHT}, every = "1d"', 'unknown key "every"'),
        ('flag = "calibration", at = "02:00"', "windows.lasts: is missing; add it"),
    ],
)
def test_a_mistake_is_said_with_its_place(tmp_path, window, said):
    (found,) = problems_of(written(tmp_path, window))
    assert found.startswith("site.toml:")
    assert 'instrument "stack-1", windows' in found
    assert said in found


def test_a_window_that_stands_there_twice_is_a_slip(tmp_path):
    (found,) = problems_of(written(tmp_path, RIGHT, RIGHT))
    assert "this window stands there twice; leave one out" in found
