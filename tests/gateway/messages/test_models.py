"""The models are what consumers hold a payload to: strict in what must be there, open to what comes later."""

import json

import jsonschema
import pytest
from pydantic import ValidationError
from support.records import validator

from parkgate.config.flag import Flag
from parkgate.gateway.messages import models
from parkgate.gateway.messages.schema import SCHEMAS

SNAPSHOT = {
    "source": "xuwei/gw-01/stack-1", "epoch": "0007-k3f9a1", "seq": 1041, "low": 1038, "ts": 1763890000123,
    "rev": "9c1d02aa", "values": {"o2": 6.2, "door": 0, "mode": "auto"},
    "invalid": {"so2": {"flag": "calibration", "value": 12.31}, "nox": {"flag": "no-communication"}},
}  # fmt: skip
STANDING = {
    "point": "h2s", "alarm": "high", "kind": "above", "state": "active", "acknowledged": False, "latched": True,
    "value": 12.0, "limit": 10, "priority": "urgent", "since": 1,
}  # fmt: skip
EXAMPLES = {
    "data": SNAPSHOT,
    "backfill": [SNAPSHOT, SNAPSHOT],
    "meta": {
        "source": "xuwei/gw-01/stack-1", "rev": "9c1d02aa", "profile": "cems-generic", "protocol": "modbus",
        "every": 5000, "points": {"so2": {"type": "float32", "range": [0, 300]}},
    },
    "status": {
        "state": "online", "source": "xuwei/gw-01", "epoch": "0007-k3f9a1", "connection": 1, "since": 1,
        "version": "0.1.0", "backlog": {"records": 2, "oldest": 1}, "silent": ["ft-2"],
    },
    "stats": {
        "source": "xuwei/gw-01/stack-1", "epoch": "0007-k3f9a1", "seq": 9, "low": 1, "ts": 1763889960000,
        "rev": "9c1d02aa", "period": "1min", "revision": 0,
        "points": {"so2": {"avg": 12.1, "min": 11.8, "max": 12.9, "n": 12, "valid": 11, "sum": 0.41, "flag": "fault"}},
    },
    "event": {
        "source": "xuwei/gw-01", "epoch": "0007-k3f9a1", "seq": 1, "low": 1, "ts": 1, "event": "line-down",
        "subject": "cems", "detail": {"reason": "no connection"},
    },
    "alarm": {
        "source": "xuwei/gw-01/gas-3", "epoch": "0007-k3f9a1", "seq": 7, "low": 7, "ts": 1, "rev": "9c1d02aa",
        **STANDING,
    },
    "alarms": {"ts": 2, "standing": [{"instrument": "gas-3", "ts": 1, "rev": "9c1d02aa", **STANDING}]},
}  # fmt: skip


def accepts(message, payload):
    """Tell what the model says; the JSON Schema must say the same."""
    try:
        SCHEMAS[message].model_validate_json(json.dumps(payload))
    except ValidationError:
        model = False
    else:
        model = True
    try:
        validator(message).validate(payload)
    except jsonschema.ValidationError:
        schema = False
    else:
        schema = True
    assert model == schema
    return model


def test_every_message_has_an_example_here():
    assert EXAMPLES.keys() == SCHEMAS.keys()


@pytest.mark.parametrize("message", EXAMPLES)
def test_the_example_of_each_message_is_accepted(message):
    assert accepts(message, EXAMPLES[message])


@pytest.mark.parametrize("message", [name for name in EXAMPLES if name != "backfill"])
def test_a_field_of_a_later_version_is_ignored(message):
    assert accepts(message, {**EXAMPLES[message], "later": {"any": 1}})


REQUIRED = [
    (message, field)
    for message, fields in {
        "data": ["source", "epoch", "seq", "low", "ts", "rev", "values"],
        "meta": ["source", "rev", "profile", "protocol", "every", "points"],
        "status": ["state", "source", "epoch", "connection", "since", "version"],
        "event": ["source", "epoch", "seq", "low", "ts", "event", "subject"],
        "alarm": ["source", "seq", "rev", "point", "alarm", "state", "acknowledged", "latched", "priority", "since"],
        "alarms": ["ts", "standing"],
    }.items()
    for field in fields
]


@pytest.mark.parametrize(("message", "field"), REQUIRED)
def test_a_missing_field_is_refused(message, field):
    payload = {key: value for key, value in EXAMPLES[message].items() if key != field}
    assert not accepts(message, payload)


WRONG = [
    {"seq": 0},
    {"seq": -1},
    {"seq": 2**53},
    {"seq": "1"},
    {"low": 0},
    {"ts": "now"},
    {"ts": None},
    {"epoch": "7-k3f9a1"},
    {"epoch": "0007-K3F9A1"},
    {"epoch": "0007"},
    {"rev": "9C1D02AA"},
    {"rev": "9c1d02a"},
    {"values": {"o2": None}},
    {"values": {"o2": [1]}},
    {"values": []},
    {"invalid": {"o2": {}}},
    {"invalid": {"o2": {"flag": "broken"}}},
    {"invalid": {"o2": "fault"}},
    {"offsets": {"o2": "5"}},
    {"uncertain": "o2"},
    {"clock": "synced"},
]


@pytest.mark.parametrize("change", WRONG, ids=repr)
def test_what_a_snapshot_may_not_hold_is_refused(change):
    assert not accepts("data", {**SNAPSHOT, **change})
    assert not accepts("backfill", [SNAPSHOT, {**SNAPSHOT, **change}])


@pytest.mark.parametrize("flag", list(Flag))
def test_every_flag_of_the_contract_is_known_to_consumers(flag):
    assert accepts("data", {**SNAPSHOT, "invalid": {"o2": {"flag": flag.value}}})


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("status", {"state": "asleep"}),
        ("status", {"connection": 0}),
        ("status", {"backlog": {"records": -1}}),
        ("status", {"silent": "ft-2"}),
        ("meta", {"points": {"so2": {"unit": "mg/m3"}}}),
        ("meta", {"points": {"so2": {"type": "float32", "range": [0]}}}),
        ("meta", {"every": "5s"}),
        ("event", {"detail": "text"}),
        ("alarm", {"state": "latched"}),
        ("alarm", {"acknowledged": 1}),
        ("alarm", {"priority": "severe"}),
        ("alarm", {"kind": "over"}),
        ("alarm", {"flag": "broken"}),
        ("alarm", {"limit": "10"}),
        ("alarms", {"standing": {}}),
        ("alarms", {"standing": [STANDING]}),
        ("meta", {"points": {"so2": {"type": "float32", "alarms": [{"name": "high"}]}}}),
    ],
)
def test_what_other_messages_may_not_hold_is_refused(message, change):
    assert not accepts(message, {**EXAMPLES[message], **change})


def test_nan_and_infinity_are_no_numbers():
    for text in ("NaN", "Infinity", "-Infinity"):
        body = json.dumps(SNAPSHOT).replace("6.2", text)
        with pytest.raises(ValidationError):
            models.Snapshot.model_validate_json(body)


def test_an_invalid_point_without_a_value_is_written_without_one():
    read = models.Snapshot.model_validate_json(json.dumps(SNAPSHOT))
    assert read.model_dump(mode="json")["invalid"] == SNAPSHOT["invalid"]
