"""No instrument is asked more often than it must be: the planner beside a search that tries everything."""

import pytest
from hypothesis import given
from support.fewest_requests import asked, fewest, shipped
from support.modbus_maps import instrument, instruments, point

SHIPPED = dict(shipped())


@pytest.mark.parametrize("profile", SHIPPED)
def test_a_shipped_profile_costs_the_fewest_requests_and_of_these_the_fewest_registers(profile):
    assert asked(SHIPPED[profile]) == fewest(SHIPPED[profile])


def test_the_shipped_profiles_are_all_there():
    assert len(SHIPPED) >= 20


@given(instruments(most=700, size=40))
def test_no_map_whatever_is_asked_more_often_or_for_more_than_it_must_be(site):
    assert asked(site) == fewest(site)


@pytest.mark.parametrize(
    ("points", "max_gap", "least"),
    [
        ((point("30001"), point("holding 0x10", "string:3"), point("coil 5", "bool")), 0, (3, 5)),
        ((point("input 0", "double"), point("input 20", "bcd32"), point("input 20.3", "bool")), 16, (1, 22)),
        ((point("input 0", "float64"), point("input 21", "uint64")), 16, (2, 8)),
        ((point("holding 0"), point("holding 100"), point("holding 130")), 124, (2, 32)),
        ((point("coil 0", "bool"), point("coil 1999", "bool"), point("coil 2000", "bool")), 124, (2, 3)),
    ],
)
def test_the_search_itself_finds_what_can_be_counted_by_hand(points, max_gap, least):
    assert fewest(instrument(*points, max_gap=max_gap)) == least
