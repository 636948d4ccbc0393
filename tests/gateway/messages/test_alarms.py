"""Alarms as bytes: the record, the set, and what a description says of them."""

import json

from hypothesis import given
from hypothesis import strategies as st
from support.alarm_bench import Bench, alarm, instrument
from support.records import validator

from parkgate.gateway.messages import alarms, encode
from parkgate.gateway.messages.encode import MAX_PAYLOAD

FIELDS = {
    "point": "h2s", "alarm": "high", "kind": "above", "state": "active", "acknowledged": False, "latched": True,
    "value": 12.0, "limit": 10, "priority": "urgent", "since": 7,
}  # fmt: skip


def body(**more):
    return alarms.transition("xuwei/gw-01/gas-3", "0001-abcdef", 9, "9c1d02aa", {**FIELDS, **more})(3, 2)


def test_a_record_says_what_the_contract_does():
    assert json.loads(body()) == {
        "source": "xuwei/gw-01/gas-3", "epoch": "0001-abcdef", "seq": 3, "low": 2, "ts": 9, "rev": "9c1d02aa", **FIELDS,
    }  # fmt: skip
    validator("alarm").validate(json.loads(body(by="Li Wei", why="seen")))


def test_a_stamp_that_cannot_be_believed_is_told():
    told = alarms.transition("s/g/i", "0001-abcdef", 9, "9c1d02aa", FIELDS, unsynced=True)(1, 1)
    assert json.loads(told)["clock"] == "unsynced"
    assert "clock" not in json.loads(body())


def test_what_stands_of_a_record_leaves_its_series_and_its_acknowledger_out():
    place, entry = alarms.told("gas-3", body(by="Li Wei", why="seen", clock="unsynced"))
    assert place == ("gas-3", "h2s", "high")
    assert entry == {"instrument": "gas-3", "ts": 9, "rev": "9c1d02aa", **FIELDS}
    validator("alarms").validate(json.loads(alarms.standing(11, [entry])))


def test_the_set_tells_the_most_urgent_first_and_of_these_the_oldest():
    entries = [{"priority": priority, "since": since} for priority in ("low", "urgent", "high") for since in (2, 1)]
    told = json.loads(alarms.standing(5, entries))
    assert told["ts"] == 5
    assert [(each["priority"], each["since"]) for each in told["standing"]] == [
        ("urgent", 1), ("urgent", 2), ("high", 1), ("high", 2), ("low", 1), ("low", 2),
    ]  # fmt: skip


@given(count=st.integers(0, 700), text=st.text(max_size=30))
def test_the_set_never_passes_what_a_broker_takes_and_counts_what_it_leaves_out(count, text):
    entries = [{"instrument": f"gas-{number}", "title": text, **FIELDS, "since": number} for number in range(count)]
    payload = alarms.standing(5, entries)
    told = json.loads(payload)
    assert len(payload) <= MAX_PAYLOAD
    assert told["standing"] == entries[: len(told["standing"])]
    assert len(told["standing"]) + told.get("more", 0) == count
    assert "more" not in told or len(payload) > MAX_PAYLOAD - 1000


def test_a_description_lists_a_points_alarms_as_configured_and_no_default():
    about = instrument(
        alarm(above=35.0, deadband=1.5, delay="10s", priority="high", latch=True, basis="permit"),
        alarm("rise", rate=-5, per="1min"), alarm("fault", fault=True), gas="h2s",
    )  # fmt: skip
    _, payload = encode.meta("xuwei/gw-01/gas-1", about)
    told = json.loads(payload)
    validator("meta").validate(told)
    assert told["points"]["gas"]["gas"] == "h2s"
    assert told["points"]["gas"]["alarms"] == [
        {"name": "high", "above": 35, "deadband": 1.5, "delay": 10_000, "priority": "high", "latch": True,
         "basis": "permit"},
        {"name": "rise", "rate": -5, "per": 60_000, "priority": "medium"},
        {"name": "fault", "fault": True, "priority": "medium"},
    ]  # fmt: skip


def test_a_description_of_a_point_without_alarms_says_nothing_of_them():
    _, payload = encode.meta("xuwei/gw-01/gas-1", instrument())
    assert not {"alarms", "gas"} & json.loads(payload)["points"]["gas"].keys()


def test_another_limit_is_another_revision():
    first, second = (encode.meta("s/g/i", instrument(alarm(above=limit)))[0] for limit in (35, 36))
    assert first != second


def test_a_whole_limit_is_told_without_a_point():
    (said,) = Bench(alarm(above=35.0)).read(40.0)
    assert json.dumps(said["limit"]) == "35"
