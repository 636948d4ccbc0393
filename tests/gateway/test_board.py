"""The newest of everything, from a broker's messages and from a gateway's status."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.messages.board import Board, rows_of_status
from parkgate.gateway.messages.table import Reading, Row

ROOT = "park/v1/xuwei/gw-01"
META = {
    "source": "xuwei/gw-01/stack-1", "rev": "9c1d02aa", "title": "1# 烟囱", "protocol": "modbus", "every": 2000,
    "points": {"so2": {"title": "二氧化硫", "unit": "mg/m3", "type": "float32"}, "nox": {"unit": "mg/m3"}, "o2": {}},
}  # fmt: skip
DATA = {
    "source": "xuwei/gw-01/stack-1", "epoch": "0001-aaaaaa", "seq": 7, "low": 5, "ts": 1763890000123, "rev": "9c1d02aa",
    "values": {"o2": 6.2, "so2": 12.3}, "invalid": {"nox": {"flag": "calibration", "value": 45.1}},
}  # fmt: skip


def board(*messages):
    filled = Board()
    for topic, record in messages:
        filled.take(f"{ROOT}/{topic}", json.dumps(record).encode())
    return filled


def test_a_row_joins_what_meta_describes_with_what_data_says_in_the_order_of_meta():
    (row,) = board(("meta/stack-1", META), ("data/stack-1", DATA)).rows()
    assert row == Row(
        instrument="stack-1",
        title="1# 烟囱",
        protocol="modbus",
        readings=(
            Reading("so2", "二氧化硫", 12.3, "mg/m3"),
            Reading("nox", "", 45.1, "mg/m3", "calibration"),
            Reading("o2", "", 6.2),
        ),
        at_ms=1763890000123,
        seq=7,
    )


def test_data_without_its_meta_is_shown_all_the_same():
    (row,) = board(("data/stack-1", DATA)).rows()
    assert [reading.name for reading in row.readings] == ["nox", "o2", "so2"]
    assert (row.title, row.protocol) == ("", "")


def test_meta_without_data_is_an_instrument_that_has_said_nothing_yet():
    (row,) = board(("meta/stack-1", META)).rows()
    assert (row.title, row.readings, row.at_ms, row.seq) == ("1# 烟囱", (), None, None)


def test_a_change_report_leaves_what_it_does_not_name_as_it_was_said_under_the_same_description():
    report = {**DATA, "seq": 8, "ts": 1763890000223, "values": {"nox": 40.0}, "invalid": {"o2": {"flag": "fault"}}}
    said = ("meta/stack-1", {**META, "report": "change"}), ("data/stack-1", DATA)
    (row,) = board(*said, ("data/stack-1", report)).rows()
    assert (row.at_ms, [(each.name, each.value, each.flag) for each in row.readings]) == (
        1763890000223, [("so2", 12.3, ""), ("nox", 40.0, ""), ("o2", None, "fault")],
    )  # fmt: skip
    (row,) = board(*said, ("data/stack-1", {**report, "rev": "00000000"})).rows()
    assert [each.name for each in row.readings] == ["nox", "o2"]
    (row,) = board(*said, ("data/stack-1", "gone")).rows()
    assert row.readings == ()


def test_newer_data_takes_the_place_of_older():
    (row,) = board(("data/stack-1", DATA), ("data/stack-1", {**DATA, "seq": 8, "values": {}, "invalid": {}})).rows()
    assert (row.seq, row.readings) == (8, ())


def test_the_meta_of_one_rev_and_backfill_and_other_topics_do_not_touch_the_newest():
    old = {**META, "title": "old"}
    filled = board(
        ("meta/stack-1", META), ("meta/stack-1/0000aaaa", old), ("backfill/stack-1", [DATA]), ("event", DATA)
    )
    (row,) = filled.rows()
    assert (row.title, row.seq) == ("1# 烟囱", None)


def test_an_empty_retained_message_takes_an_instrument_away():
    filled = board(("meta/gone", META), ("data/gone", DATA))
    filled.take(f"{ROOT}/data/gone", b"")
    filled.take(f"{ROOT}/meta/gone", b"")
    assert filled.rows() == ()


def test_with_several_gateways_instruments_carry_their_gateway():
    filled = board(("data/stack-1", DATA))
    filled.take("other/v1/xuwei/gw-02/data/stack-1", json.dumps(DATA).encode())
    assert [row.instrument for row in filled.rows()] == ["xuwei/gw-01/stack-1", "xuwei/gw-02/stack-1"]


def test_the_state_of_each_gateway_is_its_newest_status():
    filled = board(("status", {"state": "online"}), ("status", {"state": "offline"}))
    filled.take("park/v1/xuwei/gw-02/status", b'{"state":"online"}')
    filled.take("park/v1/xuwei/gw-03/status", b"")
    assert filled.states == {"xuwei/gw-01": "offline", "xuwei/gw-02": "online"}


FIELDS = (
    "title", "points", "values", "invalid", "ts", "seq", "low", "so2", "unit", "flag", "value", "state", "name", "at",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=6,
        )
    ),
)


@given(
    st.sampled_from(["data/a", "meta/a", "status", "data", "", "meta/a/b/c"]),
    st.lists(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(), max_size=4),
)
def test_no_message_whatsoever_raises(kind, payloads):
    filled = Board()
    for payload in (*payloads, b"[" * 100_000):
        filled.take(f"{ROOT}/{kind}", payload)
        filled.take(kind, payload)
    assert len(filled.rows()) <= 1
    assert len(filled.states) <= 1


INSTRUMENT = {
    "name": "stack-1", "title": "1# 烟囱", "line": "cems", "protocol": "modbus", "profile": "cems-generic",
    "every": 2000, "at": 1763890000123, "seq": 9, "low": 8, "state": "answering",
    "points": {"so2": {"value": 12.3, "unit": "mg/m3", "title": "二氧化硫", "flag": None},
               "nox": {"value": None, "unit": "mg/m3", "title": "", "flag": "fault"}},
}  # fmt: skip


def test_a_status_reply_says_what_was_stored_what_delivered_and_what_waits():
    (row,) = rows_of_status({"instruments": [INSTRUMENT]})
    assert (row.seq, row.stored, row.delivered, row.waiting) == (9, 9, 7, 2)
    assert row.readings == (Reading("so2", "二氧化硫", 12.3, "mg/m3"), Reading("nox", "", None, "mg/m3", "fault"))
    assert (row.instrument, row.title, row.protocol, row.at_ms) == ("stack-1", "1# 烟囱", "modbus", 1763890000123)


def test_an_instrument_that_has_stored_nothing_yet_has_nothing_waiting():
    (row,) = rows_of_status({"instruments": [{**INSTRUMENT, "at": None, "seq": 0, "low": 1, "points": {}}]})
    assert (row.stored, row.delivered, row.waiting, row.at_ms, row.readings) == (0, 0, 0, None, ())


@pytest.mark.parametrize("reply", [{}, {"error": "unknown verb"}, {"instruments": None}, {"instruments": [1, "a"]}])
def test_a_reply_without_instruments_has_no_rows(reply):
    assert rows_of_status(reply) == ()


@given(st.dictionaries(st.just("instruments"), st.lists(JSON)))
def test_no_reply_whatsoever_raises(reply):
    assert len(rows_of_status(reply)) <= len(reply.get("instruments", []))


def test_what_stands_is_that_of_all_gateways_and_what_a_broker_has_no_word_of_is_counted():
    filled = board(("alarms", {"ts": 1, "standing": [{"point": "so2", "acknowledged": True}], "more": 3}))
    filled.take("park/v1/xuwei/gw-02/alarms", json.dumps({"ts": 1, "standing": [{"point": "o2"}]}).encode())
    assert filled.alarms() == ([{"point": "so2", "acknowledged": True}, {"point": "o2"}], 3)
    filled.take(f"{ROOT}/alarms", b"")
    assert filled.alarms() == ([{"point": "o2"}], 0)
    filled.take("park/v1/xuwei/gw-02/alarms", json.dumps({"standing": "none", "more": "many"}).encode())
    assert filled.alarms() == ([], 0)
