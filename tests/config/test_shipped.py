"""The sites, profiles and factors that come with Parkgate."""

import re
import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from parkgate.config.document import Report
from parkgate.config.factors import Factor, factors
from parkgate.config.flag import Flag
from parkgate.config.load import read_site
from parkgate.config.profile import TYPES, Point, Profile, State
from parkgate.config.profile_file import read_profile
from parkgate.config.resolve import Entry
from parkgate.config.site import Gateway, Keep, Line, Outbox, Uplink

ROOM = Path(str(files("parkgate.config")))
SITES = sorted((ROOM / "sites").glob("*.toml"))
PROFILES = sorted((ROOM / "instruments").glob("*.toml"))


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_every_shipped_site_loads_without_a_warning(path):
    assert read_site(path).warnings == ()


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_shipped_profile_is_sound_and_says_whose_map_it_is(path):
    report = Report()
    profile = read_profile(path, report)
    assert report.problems == []
    assert profile is not None
    if path.stem.endswith(("-generic", "-opcua")):
        assert "Parkgate's generic map" in profile.manual
    else:
        assert re.search(r"section|table|appendix|chapter", profile.manual), "which part of which manual"
    assert profile.title
    assert not profile.title.isascii()


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_shipped_point_with_a_factor_has_the_unit_of_its_factor(path):
    profile = read_profile(path, Report())
    assert profile is not None
    for point in profile.points:
        assert point.title
        if point.factor is not None:
            assert point.unit == factors()[point.factor].unit


def test_the_shipped_profiles_exercise_the_types_orders_and_flags():
    profiles = [profile for path in PROFILES if (profile := read_profile(path, Report())) is not None]
    points = [point for profile in profiles for point in profile.points]
    assert {point.type for point in points} >= set(TYPES) - {"int64", "uint32", "bcd16"}
    assert {profile.order for profile in profiles} | {point.order for point in points if point.order} == {
        "ABCD", "CDAB", "BADC", "DCBA",
    }  # fmt: skip
    flags = {state.flag for profile in profiles for state in profile.states}
    assert flags >= {Flag.CALIBRATION, Flag.MAINTENANCE, Flag.FAULT, Flag.WARM_UP, Flag.OUT_OF_SERVICE}
    assert {profile.base for profile in profiles} == {0, 1}


def test_the_demo_is_the_park_that_the_scenario_and_the_manual_speak_of():
    site = read_site(ROOM / "sites" / "demo.toml").site
    assert (site.gateway.site, site.gateway.id, site.gateway.title) == ("xuwei", "gw-01", "徐圩一期 1# 网关")
    assert Counter(each.line for each in site.instruments) == {"cems": 2, "gas": 4, "water": 4, "tanks": 4}
    assert {each.name: each.every for each in site.instruments if each.line == "water"} == {
        "water-1": 5000, "flow-1": 1000, "flow-2": 1000, "weather-2": 2000,
    }  # fmt: skip
    assert all(each.title for each in (*site.lines, *site.instruments))
    assert len({(each.line, each.unit) for each in site.instruments if each.protocol == "modbus"}) == 10


def test_the_smallest_site_has_one_of_each_and_only_what_must_be_said():
    table = tomllib.loads((ROOM / "sites" / "minimal.toml").read_text(encoding="utf-8"))
    assert {key: len(table[key]) for key in ("uplink", "line", "instrument")} == {
        "uplink": 1,
        "line": 1,
        "instrument": 1,
    }
    for key, models in {"gateway": Gateway, "uplink": Uplink, "line": Line, "instrument": Entry}.items():
        entry = table[key] if key == "gateway" else table[key][0]
        required = {name for name, field in models.model_fields.items() if field.is_required()}
        assert set(entry) == required


def test_the_site_with_everything_names_every_key_there_is():
    table = tomllib.loads((ROOM / "sites" / "everything.toml").read_text(encoding="utf-8"))
    used = {
        Gateway: set(table["gateway"]),
        Outbox: set(table["outbox"]),
        Keep: set(table["outbox"]["keep"]),
        Uplink: {key for each in table["uplink"] for key in each},
        Line: {key for each in table["line"] for key in each},
        Entry: {key for each in table["instrument"] for key in each},
        Point: {key for each in table["instrument"] for point in each.get("points", {}).values() for key in point},
    }
    for model, keys in used.items():
        known = {field.alias or name for name, field in model.model_fields.items()}
        assert keys == known - ({"name"} if model is Point else set())


def test_a_profile_has_no_key_that_no_shipped_profile_shows_but_those_that_are_optional_and_rare():
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in PROFILES]
    header = {key for table in tables for key in table}
    assert header == {field.alias or name for name, field in Profile.model_fields.items()} - {
        "name",
        "pause",
        "response",
        "connections",
    }
    assert {key for table in tables for state in table.get("state", ()) for key in state} == set(State.model_fields)


def test_the_factor_table_names_each_code_in_both_languages():
    table = factors()
    assert len(table) >= 40
    assert table["a21026"] == Factor(en="Sulphur dioxide", zh="二氧化硫", unit="mg/m3")
    for code, factor in table.items():
        assert (len(code), code[0] in "aw", code[1:].isdigit()) == (6, True, True)
        assert factor.en.isprintable()
        assert not factor.zh.isascii() or code == "w01001"


def test_the_letters_of_a_standard_stand_for_flags_we_have():
    flags = tomllib.loads((ROOM / "factors.toml").read_text(encoding="utf-8"))["flags"]
    letters = {
        "normal": "N",
        Flag.OUT_OF_SERVICE: "F",
        Flag.MAINTENANCE: "M",
        Flag.MANUAL: "S",
        Flag.FAULT: "D",
        Flag.CALIBRATION: "C",
        Flag.OUT_OF_RANGE: "T",
        Flag.NO_COMMUNICATION: "B",
    }
    assert flags == {"2017": letters}
