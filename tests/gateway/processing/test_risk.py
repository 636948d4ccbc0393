"""Hours that can still be saved."""

from parkgate.gateway.processing.risk import Risk
from parkgate.gateway.processing.statistics import NOTHING

FINE = NOTHING._replace(flag="", avg=1.0)
SPARE = 15
MINUTE = 60_000


def test_a_point_is_warned_of_when_it_has_lost_all_that_it_may_and_once():
    risk = Risk()
    warned = [risk.take(0, minute * MINUTE, {"so2": NOTHING, "o2": FINE}, SPARE) for minute in range(60)]
    assert [minute for minute, points in enumerate(warned) if points] == [14]
    assert warned[14] == ["so2"]


def test_a_minute_that_is_corrected_is_not_counted_twice_and_no_longer_once_it_is_valid():
    risk = Risk()
    for minute in range(14):
        risk.take(0, minute * MINUTE, {"so2": NOTHING}, SPARE)
    assert risk.take(0, 3 * MINUTE, {"so2": NOTHING}, SPARE) == []
    assert risk.take(0, 3 * MINUTE, {"so2": FINE}, SPARE) == []
    assert risk.take(0, 20 * MINUTE, {"so2": NOTHING}, SPARE) == []
    assert risk.take(0, 21 * MINUTE, {"so2": NOTHING}, SPARE) == ["so2"]


def test_every_hour_begins_anew():
    risk = Risk()
    for hour in (0, 60 * MINUTE):
        warned = [risk.take(hour, hour + minute * MINUTE, {"so2": NOTHING}, SPARE) for minute in range(15)]
        assert warned == [*[[]] * 14, ["so2"]]
