"""What goes out, byte by byte, held to the contract and to the JSON Schema that consumers get."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import cases, instruments, texts, validator

from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.messages import encode, models

SOURCE = "xuwei/gw-01/stack-1"
EPOCH = "0007-k3f9a1"
REV = "9c1d02aa"
SNAPSHOT, META, EVENT, STATUS, BACKFILL = map(validator, ("data", "meta", "event", "status", "backfill"))
counts = st.integers(1, 2**53 - 1)


def instrument(*names, **more):
    points = tuple(Point(name=name, at="input 0", type="float32") for name in names)
    about = {"name": "stack-1", "line": "l", "every": 5_000, "profile": "cems", "protocol": "modbus", "points": points}
    return Instrument(**(about | more))


def encoder(about):
    return encode.SnapshotEncoder(SOURCE, EPOCH, REV, about)


def test_a_snapshot_is_byte_for_byte_the_contracts_example():
    about = instrument("o2", "door", "so2", "nox")
    snapshot = Snapshot(
        "stack-1",
        1_763_890_000_123,
        (6.2, 0, 12.31, None),
        flags={2: Flag.CALIBRATION, 3: Flag.NO_COMMUNICATION},
    )
    assert encoder(about)(snapshot, 1041, 1038) == (
        b'{"source":"xuwei/gw-01/stack-1","epoch":"0007-k3f9a1","seq":1041,"low":1038,"ts":1763890000123,'
        b'"rev":"9c1d02aa","values":{"o2":6.2,"door":0},'
        b'"invalid":{"so2":{"flag":"calibration","value":12.31},"nox":{"flag":"no-communication"}}}'
    )


def test_a_normal_snapshot_says_nothing_of_what_is_not_so():
    payload = json.loads(encoder(instrument("o2"))(Snapshot("stack-1", 1, (6.2,)), 1, 1))
    assert list(payload) == ["source", "epoch", "seq", "low", "ts", "rev", "values"]


def test_uncertain_points_stay_usable_and_times_of_their_own_stand_beside():
    about = instrument("a", "b", "c")
    snapshot = Snapshot("stack-1", 9, (1.0, 2.0, 3.0), uncertain=frozenset({2, 0}), offsets={1: -250})
    payload = json.loads(encoder(about)(snapshot, 1, 1))
    assert payload["values"] == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert payload["uncertain"] == ["a", "c"]
    assert payload["offsets"] == {"b": -250}


def test_what_comes_from_a_history_says_so_and_fits_the_schema():
    snapshot = Snapshot("stack-1", 9, (None, 2.0), absent=frozenset({0}), late=True)
    payload = json.loads(encoder(instrument("a", "b"))(snapshot, 1, 1))
    SNAPSHOT.validate(payload)
    assert (payload["history"], payload["values"]) == (True, {"b": 2.0})
    assert models.Snapshot.model_validate(payload).history
    assert not models.Snapshot.model_validate({**payload, "history": False}).history


def test_a_change_report_leaves_out_what_it_says_nothing_about():
    about = instrument("a", "b", "c")
    snapshot = Snapshot("stack-1", 9, (None, 2.0, None), flags={2: Flag.FAULT}, absent=frozenset({0}))
    payload = json.loads(encoder(about)(snapshot, 1, 1))
    assert (payload["values"], payload["invalid"]) == ({"b": 2.0}, {"c": {"flag": "fault"}})


@given(cases, counts, counts)
def test_every_snapshot_fits_the_models_and_the_schema(case, seq, low):
    about, snapshot = case
    body = encoder(about)(snapshot, seq, low)
    SNAPSHOT.validate(json.loads(body))
    read = models.Snapshot.model_validate_json(body)
    assert (read.seq, read.low, read.ts) == (seq, low, snapshot.at)
    BACKFILL.validate(json.loads(encode.pack([body, body])))
    assert models.Backfill.model_validate_json(encode.pack([body])).root == [read]


@given(cases)
def test_every_enabled_point_stands_in_exactly_one_of_values_and_invalid(case):
    about, snapshot = case
    payload = json.loads(encoder(about)(snapshot, 1, 1))
    values, invalid = payload["values"], payload.get("invalid", {})
    assert set(values).isdisjoint(invalid)
    assert {*values, *invalid} == {each.name for each in about.points}
    for place, point in enumerate(about.points):
        value = snapshot.values[place]
        if place in snapshot.flags:
            told = {"flag": snapshot.flags[place].value} | ({} if value is None else {"value": value})
            assert invalid[point.name] == told
        else:
            assert values[point.name] == value
    assert None not in values.values()


@given(cases)
def test_the_bytes_do_not_depend_on_when_or_in_what_order_flags_were_found(case):
    about, snapshot = case
    other = Snapshot(
        snapshot.instrument,
        snapshot.at,
        snapshot.values,
        flags=dict(sorted(snapshot.flags.items(), reverse=True)),
        uncertain=frozenset(sorted(snapshot.uncertain, reverse=True)),
        offsets=dict(sorted(snapshot.offsets.items(), reverse=True)),
    )
    one = encoder(about)
    assert one(snapshot, 5, 2) == one(snapshot, 5, 2) == encoder(about)(other, 5, 2)


@given(st.lists(cases, max_size=4))
def test_a_backfill_is_an_array_of_the_stored_bytes_one_a_line(several):
    bodies = [encoder(about)(snapshot, seq, 1) for seq, (about, snapshot) in enumerate(several, start=1)]
    packed = encode.pack(bodies)
    assert packed[1:-1].split(b",\n") == (bodies or [b""])
    assert json.loads(packed) == [json.loads(body) for body in bodies]


@given(instruments())
def test_every_description_fits_the_model_and_the_schema(about):
    rev, body = encode.meta(SOURCE, about)
    payload = json.loads(body)
    META.validate(payload)
    read = models.Meta.model_validate_json(body)
    assert (read.rev, read.source, read.every) == (rev, SOURCE, about.every)
    assert list(read.points) == [each.name for each in about.points]
    for point in about.points:
        told = read.points[point.name]
        assert (told.type, told.unit, told.title, told.factor) == (point.type, point.unit, point.title, point.factor)
        assert (told.range, told.digits) == (point.range, point.digits)
        assert told.as_ == ("string" if point.as_ == "string" else None)
    assert "" not in payload["points"][about.points[0].name].values()


CHANGES = [
    {"every": 6_000},
    {"title": "1#"},
    {"labels": {"outlet": "DA001"}},
    {"order": "CDAB"},
    {"unit": 4},
    {"points": (Point(name="o2", at="input 2", type="float32"),)},
    {"points": (Point(name="o2", at="input 0", type="float32", unit="%"),)},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_another_configuration_has_another_rev(change):
    same, other = instrument("o2"), instrument("o2", **change)
    assert encode.meta(SOURCE, same) == encode.meta(SOURCE, instrument("o2"))
    assert encode.meta(SOURCE, same)[0] != encode.meta(SOURCE, other)[0]
    assert encode.meta("xuwei/gw-02/stack-1", same)[0] != encode.meta(SOURCE, same)[0]


def test_an_instrument_that_is_simulated_says_so_under_a_rev_of_its_own():
    rev, body = encode.meta(SOURCE, instrument("o2"), simulated=True)
    other, plain = encode.meta(SOURCE, instrument("o2"))
    assert json.loads(body)["simulated"] is True
    assert "simulated" not in json.loads(plain)
    assert rev != other
    META.validate(json.loads(body))


def test_a_description_tells_what_consumers_need_and_not_where_registers_are():
    point = Point(
        name="so2", at="input 0", type="float32", unit="mg/m3", factor="a21026", range=(0, 300), digits=2, title="SO2"
    )
    _, body = encode.meta(SOURCE, instrument(title="1# 烟囱", points=(point,), labels={"outlet": "DA001"}))
    payload = json.loads(body)
    assert payload["points"] == {
        "so2": {
            "title": "SO2", "unit": "mg/m3", "type": "float32", "factor": "a21026", "ucum": "mg/m3", "unece": "GP",
            "range": [0, 300], "digits": 2,
        }
    }  # fmt: skip
    assert (payload["title"], payload["labels"], payload["every"]) == ("1# 烟囱", {"outlet": "DA001"}, 5_000)
    assert b"input 0" not in body


details = st.dictionaries(texts, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts, max_size=4)


@given(counts, counts, st.integers(0, 2**48), texts, texts, details)
def test_every_event_fits_the_model_and_the_schema(seq, low, ts, name, subject, detail):
    body = encode.event("xuwei/gw-01", EPOCH, ts, name, subject, detail)(seq, low)
    EVENT.validate(json.loads(body))
    read = models.Event.model_validate_json(body)
    assert (read.seq, read.low, read.ts) == (seq, low, ts)
    assert (read.event, read.subject, read.detail) == (name, subject, detail)


told = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=8,
)
surrogates = st.text(st.characters(categories=["Cs", "L"]), max_size=9)


@given(surrogates, surrogates, st.dictionaries(surrogates, told | surrogates, max_size=4))
def test_an_event_can_tell_of_anything(name, subject, detail):
    body = encode.event("xuwei/gw-01", EPOCH, 5, name, subject, detail)(1, 1)
    EVENT.validate(json.loads(body))
    assert json.loads(body)["event"] == name.encode("utf-8", "replace").decode()


class Odd:
    def __str__(self):
        return "odd \udcff"


ODD = [
    ("tank \udcb0C", "tank ?C"),
    (ValueError("bad \udcff"), "bad ?"),
    (Odd(), "odd ?"),
    (float("nan"), "nan"),
    (float("-inf"), "-inf"),
    (2**64 - 1, 2**64 - 1),
    (-(2**63), -(2**63)),
    (2**64, "0x10000000000000000"),
    (b"\xff", "b'\\xff'"),
    (Flag.FAULT, "fault"),
    (("a", 1), ["a", 1]),
    ({"deep": [{"\udcff": ["\udcff", {7: None}]}]}, {"deep": [{"?": ["?", {"7": None}]}]}),
    (10**5000, hex(10**5000)),
]


@pytest.mark.parametrize(("value", "written"), ODD, ids=lambda each: type(each).__name__)
def test_a_detail_that_json_has_no_word_for_becomes_text(value, written):
    body = encode.event("xuwei/gw-01", EPOCH, 5, "silent", "s\udc80", {"reason": value})(1, 1)
    assert json.loads(body) | {"seq": 0} == {
        "source": "xuwei/gw-01", "epoch": EPOCH, "seq": 0, "low": 1, "ts": 5,
        "event": "silent", "subject": "s?", "detail": {"reason": written},
    }  # fmt: skip


FIELDS = {"source": "xuwei/gw-01", "epoch": EPOCH, "connection": 3, "since": 5, "version": "0.1.0"}


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "online", **FIELDS, "backlog": {"records": 0}, "silent": []},
        {"state": "online", **FIELDS, "backlog": {"records": 7, "oldest": 4}, "silent": ["ft-2"]},
        {"state": "offline", **FIELDS, "reason": "lost"},
    ],
)
def test_every_status_fits_the_model_and_the_schema(fields):
    body = encode.status(fields)
    STATUS.validate(json.loads(body))
    assert models.Status.model_validate_json(body).model_dump(exclude_unset=True) == fields


@given(cases)
def test_no_snapshot_carries_a_null_a_nan_or_an_infinity(case):
    about, snapshot = case
    body = encoder(about)(snapshot, 1, 1)

    def refuse(constant):
        raise AssertionError(constant)

    json.loads(body, parse_constant=refuse)
    assert None not in _leaves(orjson.loads(body))


def _leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for each in value for leaf in _leaves(each)] if isinstance(value, list) else [value]


def test_the_statistics_of_an_interval_say_only_what_there_is_to_say():
    figures = {"avg": 1.5, "min": None, "max": None, "n": 12, "valid": 0, "sum": None, "flag": ""}
    (given_one,) = encode.statistics("x/g/a", EPOCH, "0a1b2c3d", "1min", 60_000, 2, {"so2": figures})
    body = json.loads(given_one(7, 5))
    validator("stats").validate(body)
    assert body == {
        "source": "x/g/a", "epoch": EPOCH, "seq": 7, "low": 5, "ts": 60_000, "rev": "0a1b2c3d", "period": "1min",
        "revision": 2, "points": {"so2": {"avg": 1.5, "n": 12, "valid": 0}},
    }  # fmt: skip


def test_a_record_of_statistics_stays_below_the_largest_payload_at_the_worst():
    figures = {
        "avg": -1.23456789e-300, "min": -1.2345678901234567e-300, "max": -1.2345678901234567e-300, "n": 9_999_999,
        "valid": 9_999_999, "sum": -1.23456789e-300, "flag": Flag.BAD_CONFIGURATION.value,
    }  # fmt: skip
    points = {f"p{number:031}": figures for number in range(encode.MOST_AVERAGED)}
    source = "/".join(["x" * 32] * 3)
    (largest,) = encode.statistics(source, "999999999-zzzzzz", "0a1b2c3d", "10min", 2**48, 10**6, points)
    assert len(largest(2**53 - 1, 2**53 - 1)) <= encode.MAX_PAYLOAD


def test_meta_says_how_a_point_is_averaged():
    points = (
        Point(name="flow", at="input 0", type="float32", unit="L/s", sum="m3"),
        Point(name="cod", at="input 2", type="float32", weight="flow"),
        Point(name="wind", at="input 4", type="float32", mean="direction"),
    )
    about = Instrument(name="a", line="l", every=1_000, profile="p", protocol="modbus", points=points)
    told = json.loads(encode.meta("x/g/a", about)[1])["points"]
    assert [told["flow"]["sum"], told["cod"]["weight"], told["wind"]["mean"]] == ["m3", "flow", "direction"]
    assert not {"sum", "weight", "mean"} & told["cod"].keys() - {"weight"}


def test_only_an_instrument_that_is_followed_says_that_it_reports_changes():
    for more, told in (({}, None), ({"protocol": "opcua", "acquisition": "subscription"}, "change")):
        _, body = encode.meta("x/y/stack-1", instrument("a", **more))
        assert models.Meta.model_validate_json(body).report == told
        assert ("report" in json.loads(body)) is bool(told)
