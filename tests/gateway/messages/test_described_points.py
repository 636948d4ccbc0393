"""How derived and converted points are described and encoded: consumers can compute them again, nothing outgrows."""

import json

import orjson
import pytest
from support.derived import entry, instruments, snapshot
from support.records import validator

from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.gateway.commands.sizes import largest_snapshot, usual_snapshots
from parkgate.gateway.messages.encode import MAX_PAYLOAD, SnapshotEncoder, meta
from parkgate.gateway.processing.derive import derivers

SOURCE = "xuwei/gw-01/stack"
META, DATA = validator("meta"), validator("data")
RATE = 'derived.rate = { formula = "emission_rate", of = { c = "so2_dry", flow = "meter.flow" } }'


@pytest.fixture
def site(tmp_path):
    more = f'{RATE}\npoints.so2.convert = {{ to = "µg/m3" }}\n'
    return instruments(tmp_path, entry("stack", more), entry("meter"))


def described(about):
    _, body = meta(SOURCE, about)
    payload = json.loads(body)
    META.validate(payload)
    return payload["points"]


def test_a_derived_point_is_described_by_its_formula_its_points_and_its_numbers(site):
    points = described(site["stack"])
    assert points["so2_zs"] == {
        "unit": "µg/m3", "type": "float64", "ucum": "ug/m3", "unece": "GQ", "digits": 2,
        "formula": "reference_oxygen", "of": {"c": "so2_dry", "o2": "o2"}, "with": {"reference": 6, "limit": 20},
    }  # fmt: skip
    assert points["rate"]["of"] == {"c": "so2_dry", "flow": "meter.flow"}
    assert "with" not in points["rate"]


def test_a_converted_point_is_described_in_the_unit_it_is_passed_on_in_with_what_the_instrument_gives(site):
    points = described(site["stack"])
    assert points["so2"]["converted"] == {"unit": "mg/m3", "factor": 1000.0}
    assert (points["so2"]["unit"], points["so2"]["range"]) == ("µg/m3", [0, 300_000])
    assert "converted" not in points["o2"]


def test_a_change_of_a_formulas_number_is_another_rev(tmp_path):
    one = instruments(tmp_path, entry("stack"))["stack"]
    other = instruments(tmp_path, entry("stack", "derived.so2_zs.with = { reference = 3 }"))["stack"]
    assert meta(SOURCE, one)[0] == meta(SOURCE, instruments(tmp_path, entry("stack"))["stack"])[0]
    assert meta(SOURCE, one)[0] != meta(SOURCE, other)[0]


def test_a_unit_without_a_code_and_one_that_nobody_knows_have_none():
    points = (
        Point(name="a", at="input 0", type="float32", unit="NTU"),
        Point(name="b", at="input 2", type="float32", unit="?"),
    )
    about = Instrument(name="s", line="l", every=1_000, profile="p", protocol="modbus", points=points)
    assert described(about) == {
        "a": {"unit": "NTU", "type": "float32", "ucum": "{NTU}"},
        "b": {"unit": "?", "type": "float32"},
    }


def test_a_derived_snapshot_names_every_point_and_fits_the_schema(site):
    derive = derivers(site.values())
    about = site["stack"]
    encode = SnapshotEncoder(SOURCE, "0007-k3f9a1", "9c1d02aa", about)
    body = encode(derive["stack"](snapshot(about, 42_100.0, 8.6, 8.6, 1, flags={2: Flag.FAULT})), 1, 1)
    payload = orjson.loads(body)
    DATA.validate(payload)
    assert payload["values"] == {"so2": 42_100.0, "h2o": 8.6, "door": 1}
    assert payload["invalid"]["o2"] == {"flag": "fault", "value": 8.6}
    assert payload["invalid"]["so2_zs"] == {"flag": "fault"}
    assert payload["invalid"]["so2_dry"]["flag"] == "out-of-range"
    assert payload["invalid"]["rate"] == {"flag": "no-communication"}  # the meter said nothing, which is told first
    assert len(body) <= largest_snapshot("xuwei/gw-01", about)


def test_a_usual_snapshot_has_the_derived_points_too(site):
    (body,) = usual_snapshots("xuwei/gw-01", site["stack"], 1)
    assert list(json.loads(body)["values"]) == ["so2", "h2o", "o2", "door", "so2_dry", "so2_zs", "rate"]


def large(count, **more):
    points = tuple(
        Point(name=f"p{index}", at="input 0", type="float32", unit="mg/m3", **more) for index in range(count)
    )
    return Instrument(name="s", line="l", every=1_000, profile="p", protocol="modbus", points=points)


def test_the_codes_of_units_go_before_a_description_is_too_large():
    small, big = large(500), large(1_100)
    assert described(small)["p0"]["unece"] == "GP"
    _, body = meta(SOURCE, big)
    assert len(body) <= MAX_PAYLOAD
    assert described(big)["p0"] == {"unit": "mg/m3", "type": "float32"}
