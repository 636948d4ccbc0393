"""Which message goes next."""

import json

from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.forwarding.lanes import Lane, Lanes, Message, backfill_messages, live_message
from parkgate.gateway.forwarding.ramp import Ramp
from parkgate.gateway.messages.topics import Topics
from parkgate.gateway.storing.database import Record, Series

TOPICS = Topics.of("park", "xuwei", "gw-01")


def message(lane, name="m"):
    return Message(lane, name, b"x" * 10, (1,))


def record(number, instrument="stack-1", kind="data", size=20):
    return Record(number, Series(1, "0001-aaaaaa", kind, instrument, number, 1), number, 0, b"%0*d" % (size, number))


def drain(lanes, window):
    taken = []
    while found := lanes.next(window):
        taken.append(found.lane)
    return taken


def test_nothing_but_an_alarm_passes_the_greeting_until_it_is_acknowledged():
    lanes = Lanes()
    for lane in (Lane.LIVE, Lane.BACKFILL, Lane.GREETING, Lane.ALARM):
        lanes.add(message(lane))
    assert lanes.next(10).lane is Lane.ALARM
    greeting = lanes.next(10)
    assert greeting.lane is Lane.GREETING
    assert lanes.next(10) is None
    lanes.done(greeting)
    assert drain(lanes, 10) == [Lane.LIVE, Lane.BACKFILL]


def test_an_alarm_read_from_the_backlog_is_an_alarm_still():
    (found,) = backfill_messages(TOPICS, [record(1, kind="alarm")], 60_000)
    assert (found.lane, found.topic) == (Lane.ALARM, f"{TOPICS.root}/alarm/stack-1")


@given(st.integers(1, 100), st.floats(0.05, 1))
def test_backfill_never_takes_more_than_its_share_of_the_window_and_always_gets_a_place(window, share):
    lanes = Lanes(share=share, ramp=Ramp(10**9, 10**9))
    for _ in range(200):
        lanes.add(message(Lane.BACKFILL))
    assert len(drain(lanes, window)) == max(1, int(window * share))


@given(st.lists(st.sampled_from([*Lane]), max_size=60), st.integers(2, 20))
def test_an_alarm_never_waits_behind_anything_but_what_is_on_its_way(waiting, window):
    lanes = Lanes()
    for lane in waiting:
        lanes.add(message(lane))
    lanes.add(message(Lane.ALARM))
    assert lanes.next(window).lane is Lane.ALARM


def test_backfill_begins_with_little_on_its_way():
    lanes = Lanes(share=1, ramp=Ramp(600_000))
    for _ in range(20):
        lanes.add(Message(Lane.BACKFILL, "m", b"x" * 5_000, (1,)))
    assert len(drain(lanes, 10)) == 1


def test_alarms_go_first_then_live_then_backfill():
    lanes = Lanes()
    for lane in (Lane.BACKFILL, Lane.LIVE, Lane.ALARM, Lane.LIVE, Lane.ALARM):
        lanes.add(message(lane))
    assert drain(lanes, 10) == [Lane.ALARM, Lane.ALARM, Lane.LIVE, Lane.LIVE, Lane.BACKFILL]


def test_backfill_takes_a_third_of_the_window_and_keeps_one_place_in_it():
    lanes = Lanes()
    for _ in range(20):
        lanes.add(message(Lane.BACKFILL))
    assert drain(lanes, 9) == [Lane.BACKFILL] * 3
    lanes = Lanes()
    for lane in (Lane.LIVE, Lane.BACKFILL):
        for _ in range(20):
            lanes.add(message(lane))
    assert drain(lanes, 9) == [Lane.LIVE] * 8 + [Lane.BACKFILL]


def test_a_window_of_two_keeps_one_place_for_backfill():
    lanes = Lanes()
    for lane in (Lane.LIVE, Lane.BACKFILL):
        for _ in range(3):
            lanes.add(message(lane))
    assert drain(lanes, 2) == [Lane.LIVE, Lane.BACKFILL]


def test_a_window_of_one_serves_live_before_backfill():
    lanes = Lanes()
    lanes.add(message(Lane.BACKFILL))
    lanes.add(message(Lane.LIVE))
    first = lanes.next(1)
    assert (first.lane, lanes.next(1)) == (Lane.LIVE, None)
    lanes.done(first)
    assert lanes.next(1).lane is Lane.BACKFILL


def test_what_is_put_first_goes_before_what_waited():
    lanes = Lanes()
    lanes.add(message(Lane.LIVE, "waited"))
    lanes.first(message(Lane.LIVE, "first"))
    assert lanes.live_bytes == 20
    for lane in (Lane.ALARM, Lane.GREETING, Lane.BACKFILL):
        lanes.first(message(lane))
        assert lanes.live_bytes == 20
        lanes.clear_rows() if lane is Lane.BACKFILL else lanes.done(lanes.next(10))
        assert lanes.live_bytes == (0 if lane is Lane.BACKFILL else 20)
    lanes.add(message(Lane.LIVE, "waited"))
    lanes.first(message(Lane.LIVE, "first"))
    assert [lanes.next(10).topic, lanes.next(10).topic] == ["first", "waited"]
    assert lanes.live_bytes == 0


def test_clearing_forgets_what_waits_and_not_what_is_in_the_window():
    lanes = Lanes()
    for lane in (Lane.LIVE, Lane.LIVE, Lane.BACKFILL, Lane.ALARM):
        lanes.add(message(lane))
    flying = lanes.next(10)
    lanes.clear_rows()
    assert lanes.next(10) is None
    assert (sum(lanes.flying), lanes.live_bytes) == (1, 0)
    lanes.done(flying)
    lanes.add(message(Lane.GREETING))
    lanes.add(message(Lane.LIVE))
    lanes.clear()
    assert lanes.next(10) is None
    assert (sum(lanes.flying), lanes.live_bytes) == (0, 0)


@given(st.lists(st.sampled_from([Lane.ALARM, Lane.LIVE, Lane.BACKFILL])), st.integers(1, 12), st.randoms())
def test_every_message_goes_once_and_the_window_is_never_passed(lanes_of, window, rng):
    lanes, flying, gone = Lanes(), [], []
    for place, lane in enumerate(lanes_of):
        lanes.add(Message(lane, str(place), b"body"))
    for _ in range(10 * len(lanes_of) + 10):
        while found := lanes.next(window):
            flying.append(found)
        assert len(flying) <= window
        if not flying:
            break
        done = flying.pop(rng.randrange(len(flying)))
        lanes.done(done)
        gone.append(done.topic)
    assert sorted(gone) == sorted(str(place) for place in range(len(lanes_of)))
    assert lanes.live_bytes == 0
    assert (lanes.live_bytes, lanes.late_bytes, sum(lanes.flying)) == (0, 0, 0)


def test_a_live_snapshot_is_retained_and_an_event_is_not():
    snapshot, event = live_message(TOPICS, record(1)), live_message(TOPICS, record(2, "", "event"))
    assert (snapshot.topic, snapshot.retain) == ("park/v1/xuwei/gw-01/data/stack-1", True)
    assert (event.topic, event.retain, event.lane) == ("park/v1/xuwei/gw-01/event", False, Lane.LIVE)
    assert live_message(TOPICS, record(3, "gas-1", "alarm")).lane is Lane.ALARM


@given(st.lists(st.tuples(st.sampled_from(["a", "b", ""]), st.integers(1, 300))), st.integers(302, 2000))
def test_packs_hold_every_record_once_in_order_within_the_limit(entries, limit):
    records = [record(number, name, "data" if name else "event", size)
               for number, (name, size) in enumerate(entries, start=1)]  # fmt: skip
    messages = backfill_messages(TOPICS, records, limit)
    assert sorted(row for each in messages for row in each.rows) == [each.id for each in records]
    assert [each.rows[0] for each in messages] == sorted(each.rows[0] for each in messages)
    by_id = {each.id: each for each in records}
    for each in messages:
        assert list(each.rows) == sorted(each.rows)
        assert len(each.payload) <= max(limit, *(len(by_id[row].body) + 2 for row in each.rows))
        bodies = [by_id[row].body for row in each.rows]
        whole = bodies[0] if each.topic.endswith("event") else b"[" + b",\n".join(bodies) + b"]"
        assert each.payload == whole


def test_a_pack_is_json_one_record_a_line():
    bodies = [json.dumps({"seq": number}).encode() for number in range(3)]
    series = Series(1, "0001-aaaaaa", "data", "a", 3, 1)
    records = [Record(number, series, number, 0, body) for number, body in enumerate(bodies, start=1)]
    (pack,) = backfill_messages(TOPICS, records, 60_000)
    assert json.loads(pack.payload) == [{"seq": 0}, {"seq": 1}, {"seq": 2}]
    assert len(pack.payload.splitlines()) == 3


def test_a_pack_is_filled_to_the_last_byte_of_its_limit():
    records = [record(number, size=20) for number in (1, 2, 3)]
    size = len(backfill_messages(TOPICS, records[:2], 1_000)[0].payload)
    limit = next(limit for limit in range(1_000) if len(backfill_messages(TOPICS, records[:2], limit)) == 1)
    assert limit == 2 * 22 >= size
    assert [each.rows for each in backfill_messages(TOPICS, records, limit)] == [(1, 2), (3,)]
    assert [each.rows for each in backfill_messages(TOPICS, records, 3 * 22 - 1)] == [(1, 2), (3,)]
    assert [each.rows for each in backfill_messages(TOPICS, [*records, record(4, size=20)], limit)] == [(1, 2), (3, 4)]
