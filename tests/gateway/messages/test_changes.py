"""What differs between two configurations, as people read it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.alarm import Alarm
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.gateway.messages import encode
from parkgate.gateway.messages.changes import LONGEST, MOST, changes, read

SOURCE = "xuwei/gw-01/stack-1"
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS | st.lists(SCALARS, min_size=1, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


def said(*points, simulated=False, **about):
    given = {"every": 1000, "line": "cems", "profile": "p", "protocol": "modbus"} | about
    text = encode.configuration(SOURCE, Instrument(name="stack-1", points=points, **given), simulated=simulated)
    return read(text)


def point(name="so2", **about):
    return Point(**{"name": name, "at": "input 0", "type": "float32", "range": (0, 300)} | about)


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (said(point(range=(0, 500))), [("points.so2.range", [0, 300], [0, 500])]),
        (said(point(), every=2000), [("every", 1000, 2000)]),
        (said(point(scale=2.0)), [("points.so2.scale", 1.0, 2.0)]),
        (said(point(), labels={"outlet": "DA001"}), [("labels.outlet", None, "DA001")]),
        (said(point(), simulated=True), [("simulated", None, True)]),
        (said(point()), []),
    ],
)
def test_a_change_is_named_by_its_path(after, found):
    assert changes(said(point()), after) == (found, 0)


def test_an_alarm_is_named_by_its_point_and_its_name():
    before, after = (point(alarms=(Alarm(name="high", above=limit),)) for limit in (10, 12))
    assert changes(said(before), said(after)) == ([("points.so2.alarms.high.above", 10, 12)], 0)


def test_a_point_that_came_or_left_is_one_change():
    ((path, before, after),), more = changes(said(point()), said(point(), point("o2")))
    assert (path, before, more) == ("points.o2", None, 0)
    assert len(after) <= LONGEST + 1


def test_at_most_forty_are_listed_and_the_others_counted():
    before, after = ({str(number): value for number in range(MOST + 3)} for value in (0, 1))
    found, more = changes(before, after)
    assert (len(found), more) == (MOST, 3)
    assert found[0] == ("0", 0, 1)


@given(JSON, JSON)
def test_there_is_a_change_where_there_is_one_and_none_where_there_is_none(before, after):
    found, more = changes({"it": before}, {"it": after})
    assert bool(found) is (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))
    assert more == 0 or len(found) == MOST
    json.dumps(found)


@pytest.mark.parametrize("text", ["", "no json", "s{", "s{]}"])
def test_what_is_no_configuration_is_refused(text):
    with pytest.raises(ValueError, match=r"substring|Expecting"):
        read(text)
