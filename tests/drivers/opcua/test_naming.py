"""Names of points made of browse names: each one that a profile takes, none twice, and telling where they can be."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parkgate.drivers.opcua.naming import names, slug

VALID = re.compile(r"[a-z0-9_]{1,32}")
PATHS = st.lists(st.lists(st.one_of(st.text(max_size=40), st.sampled_from(["Level", "level", "液位", "T1", "x" * 40])),
                          min_size=1, max_size=4), max_size=20)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Level", "level"), ("HighLevel", "high_level"), ("PV_101", "pv_101"), ("FT-101.PV", "ft_101_pv"), ("pH", "ph"),
        ("SO2Conc", "so2_conc"), ("TI 101", "ti_101"), ("Débit", "debit"), ("ＦＴ１０１", "ft101"),
        ("液位", "level"), ("1号罐液位", "1_tank_level"), ("液位LT101", "level_lt101"), ("高高报警", "high_high_alarm"),
        ("二氧化硫浓度", "so2_concentration"), ("井", ""), ("µ°", ""), ("", ""), ("__", ""),
    ],
)  # fmt: skip
def test_a_text_becomes_what_of_it_a_name_can_hold(text, name):
    assert slug(text) == name


@given(paths=PATHS)
@example(paths=[["level", "level"], ["level_level"]])
@example(paths=[["level_2"], ["level"], ["level"]])
@example(paths=[["x" * 33], ["x" * 32], ["x" * 34], ["x" * 32]])
@example(paths=[["point_1"], ["井"], ["point"]])
def test_each_has_a_name_that_a_profile_takes_and_no_other_has(paths):
    made = names(paths)
    assert len(made) == len(paths)
    assert len(set(made)) == len(made)
    assert all(map(VALID.fullmatch, made))


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ([["Tank7", "Level"], ["Tank7", "Temperature"]], ["level", "temperature"]),
        ([["T1", "Level"], ["T2", "Level"], ["T2", "Flow"]], ["t1_level", "t2_level", "flow"]),
        ([["A", "T1", "PV"], ["B", "T1", "PV"]], ["a_t1_pv", "b_t1_pv"]),
        ([["Level"], ["Level"]], ["level", "level_2"]),
        ([["井"], ["泉"], ["Level"]], ["point_1", "point_2", "level"]),
        ([["Tank7", "井"], ["Tank7", "Level"]], ["point_1", "level"]),
        (
            [["UncertainEngineeringUnitsExceededForLong"]],
            ["engineering_units_exceeded_for_long"[-32:].partition("_")[2]],
        ),
        ([["x" * 40]], ["x" * 32]),
    ],
)
def test_a_name_says_no_more_than_tells_it_apart(paths, told):
    assert names(paths) == told


@given(paths=PATHS, more=st.text(max_size=5))
def test_the_same_variables_always_have_the_same_names(paths, more):
    assert names(paths) == names([[*path] for path in paths])


def test_a_name_that_needs_no_change_is_not_taken_by_one_that_does():
    assert names([["x" * 33], ["x" * 32]])[1] == "x" * 32
    assert names([["Level"], ["Level"], ["level_2"]])[2] == "level_2"


def test_thousands_that_cannot_be_told_apart_are_numbered_without_trying_all():
    made = names([["井"]] * 5_000)
    assert (made[0], made[-1], len(set(made))) == ("point_1", "point_5000", 5_000)
