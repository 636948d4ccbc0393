"""Keeping within the budget, on a real file: what goes is declared, what is left is whole."""

import asyncio
import json
import os
import random
import sqlite3
from itertools import pairwise

import pytest

from parkgate.config.site import Outbox as Limits
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.storing.database import Database
from parkgate.gateway.storing.intervals import Kept
from parkgate.gateway.storing.keeper import Keeper
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.reader import Reader

DAY = 86_400_000


class Later(SystemClock):
    """A clock that a test moves forward."""

    def __init__(self):
        super().__init__()
        self.ahead = 0

    def now(self):
        return super().now() + self.ahead


@pytest.fixture
def clock():
    return Later()


def keeper_of(outbox, clock, *, safety=(), others=(), **limits):
    readers, told = [], []
    reader = Reader(outbox, outbox.uplink("park"), readers)
    for other in others:
        Reader(outbox, outbox.uplink(other), readers)

    def tell(name, subject, **detail):
        told.append((name, subject, detail))
        event = json.dumps({"event": name, "subject": subject, "detail": detail}).encode()
        return outbox.store(outbox.series("event", ""), clock.now(), lambda *_: event)

    keeper = Keeper(outbox, Limits(**limits), readers, clock, tell, trusted=clock.now, safety=safety, heart=Heart())
    return keeper, reader, told


async def rows(outbox, after=0):
    return await outbox.ask(lambda file: file.rows([(after + 1, 10**9)], 9999))


async def fill(outbox, clock, count, size=1000):
    for number in range(count):
        outbox.store(outbox.series("data", "ab"[number % 2]), clock.now(), lambda *_: os.urandom(size))
    await outbox.commit()


async def test_delivered_snapshots_go_when_they_are_old_and_events_stay(outbox, clock):
    keeper, reader, told = keeper_of(outbox, clock)
    await fill(outbox, clock, 10)
    outbox.store(outbox.series("event", ""), clock.now(), lambda *_: b"{}")
    await fill(outbox, clock, 4)
    reader.settle(range(1, 14), clock.now())
    assert not await keeper.remove_old()
    clock.ahead = 31 * DAY
    assert await keeper.remove_old()
    assert [row[0] for row in await rows(outbox)] == [11, 14, 15], "the event, and the rows that nobody had yet"
    assert not await keeper.remove_old()
    assert told == []
    reader.settle([14, 15], clock.now())
    assert await keeper.remove_old()
    assert outbox.stored == 15
    assert [row[0] for row in await rows(outbox)] == [11]


async def test_over_budget_the_oldest_delivered_go_first_and_need_no_word(outbox, clock):
    keeper, reader, told = keeper_of(outbox, clock, max_size=200_000)
    await fill(outbox, clock, 400)
    reader.settle(range(1, 401), clock.now())
    while await keeper.make_room():
        pass
    assert await outbox.ask(Database.size) <= 200_000
    left = [row[0] for row in await rows(outbox)]
    assert left == list(range(left[0], 401))
    assert told == []
    assert reader.state.expired == 0


async def test_undelivered_rows_that_must_go_are_declared_exactly_and_counted(outbox, clock):
    keeper, reader, told = keeper_of(outbox, clock, max_size=200_000)
    await fill(outbox, clock, 400)
    while await keeper.make_room():
        pass
    left = {row[0] for row in await rows(outbox) if row[0] <= 400}
    gone = set(range(1, 401)) - left
    declared = [(subject, seq) for name, subject, detail in told for seq in range(detail["from"], detail["to"] + 1)]
    assert sorted(declared) == sorted(("ab"[(row - 1) % 2], (row + 1) // 2) for row in gone)
    assert {each[0] for each in told} == {"expired"}
    assert {(detail["kind"], detail["epoch"], *detail["uplinks"]) for _, _, detail in told} == {
        ("data", outbox.epoch, "park")
    }
    assert sum(detail["count"] for _, _, detail in told) == len(gone)
    assert (reader.state.expired, reader.delivered) == (len(gone), 0)
    assert reader.waiting == len(left) + len(told)
    handed = [row.id for row in (await reader.backlog())[0]]
    assert handed == sorted(left | {row[0] for row in await rows(outbox, 400)})


async def test_removing_and_declaring_are_one_commit(outbox, clock, monkeypatch):
    keeper, _, told = keeper_of(outbox, clock, max_size=100_000)
    await fill(outbox, clock, 200)
    seen = []
    real = outbox._database.commit

    def watched(records, uplinks, removed=()):
        seen.append((len(records), len(removed)))
        real(records, uplinks, removed)

    monkeypatch.setattr(outbox._database, "commit", watched)
    assert await keeper.make_room()
    assert seen == [(len(told), seen[0][1])]
    assert seen[0][1] > 0


async def test_space_is_given_back_to_the_file_system(outbox, clock, tmp_path):
    keeper, reader, _ = keeper_of(outbox, clock, max_size=100_000)
    await fill(outbox, clock, 600)
    reader.settle(range(1, 601), clock.now())
    ask = outbox._database._connection.execute
    before = ask("PRAGMA page_count").fetchone()[0]
    while await keeper.make_room():
        await outbox.ask(lambda file: file.give_back(512))
    assert ask("PRAGMA page_count").fetchone()[0] < before / 2
    assert (tmp_path / "outbox.sqlite").exists()


async def test_a_row_that_was_delivered_ahead_and_left_never_lends_its_number_to_another(outbox, clock):
    keeper, reader, _ = keeper_of(outbox, clock)
    await fill(outbox, clock, 12)
    reader.settle([11, 12], clock.now())
    clock.ahead = 31 * DAY
    assert await keeper.remove_old()
    await outbox.commit()
    assert [row[0] for row in await rows(outbox)] == list(range(1, 11))
    assert await outbox.ask(Database.last_id) == 12


async def test_over_budget_rows_delivered_ahead_of_the_backlog_go_before_it(outbox, clock):
    keeper, reader, told = keeper_of(outbox, clock, max_size=400_000)
    await fill(outbox, clock, 400)
    reader.settle(range(201, 401), clock.now())
    while await keeper.make_room():
        pass
    left = [row[0] for row in await rows(outbox)]
    assert left[:200] == list(range(1, 201))
    assert told == []


async def test_rows_in_a_sessions_hands_are_not_declared_lost(outbox, clock):
    keeper, reader, told = keeper_of(outbox, clock, max_size=100_000)
    await fill(outbox, clock, 200)
    await reader.backlog()
    await keeper.make_room()
    assert told == []
    assert reader.state.expired == 0
    reader.rewind()
    assert await keeper.make_room()
    assert told


async def test_a_full_disk_is_waited_for_and_nothing_more_is_expired_meanwhile(outbox, clock, monkeypatch):
    keeper, reader, told = keeper_of(outbox, clock, max_size=100_000)
    await fill(outbox, clock, 200)
    real = outbox._database.commit

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(outbox._database, "commit", full)
    looks = []

    async def once(seconds):
        looks.append(seconds)
        raise asyncio.CancelledError

    monkeypatch.setattr(clock, "sleep", once)
    with pytest.raises(asyncio.CancelledError):
        await keeper.run()
    assert len(looks) == 1
    expired = reader.state.expired
    with pytest.raises(asyncio.CancelledError):
        await keeper.run()
    assert reader.state.expired == expired
    monkeypatch.setattr(outbox._database, "commit", real)
    await outbox.commit()
    left = [row for row in await rows(outbox) if row[0] <= 200]
    assert len(left) == 200 - expired, "what was declared is gone once the disk takes it"
    assert sum(detail["count"] for _, _, detail in told) == expired


async def until_it_fits(keeper):
    while await keeper.make_room():
        pass


async def test_safety_instruments_alarms_and_events_outlive_ordinary_ones_whatever_their_age(outbox, clock):
    keeper, _, told = keeper_of(outbox, clock, safety={"a"}, max_size=400_000)
    for kind, instrument in (("alarm", "b"), ("event", "")):
        outbox.store(outbox.series(kind, instrument), clock.now(), lambda *_: os.urandom(1000))
    await fill(outbox, clock, 200)  # 100 each of a and b; all of them fit with some room
    await until_it_fits(keeper)
    assert told == []
    await fill(outbox, clock, 150)
    await until_it_fits(keeper)
    assert {subject for _, subject, _ in told} == {"b"}
    left = [outbox.by_id[series] for _, series, *_ in await rows(outbox)]
    kept = [(each.kind, each.instrument) for each in left]
    assert kept.count(("data", "a")) == 175
    assert ("alarm", "b") in kept
    assert ("event", "") in kept


async def test_when_only_safety_is_left_its_oldest_go_too_and_are_declared(outbox, clock):
    keeper, _, told = keeper_of(outbox, clock, safety={"a", "b"}, max_size=200_000)
    await fill(outbox, clock, 400)
    await until_it_fits(keeper)
    assert await outbox.ask(Database.size) <= 200_000
    gone = set(range(1, 401)) - {row[0] for row in await rows(outbox)}
    assert gone == set(range(1, max(gone) + 1))
    assert sum(detail["count"] for _, _, detail in told) == len(gone)


async def test_an_uplink_that_is_away_for_long_takes_no_room_from_one_that_lives(outbox, clock):
    keeper, reader, told = keeper_of(outbox, clock, others=["dead"], max_size=300_000)
    await fill(outbox, clock, 200)
    reader.settle(range(1, 201), clock.now())
    await fill(outbox, clock, 150)
    await until_it_fits(keeper)
    assert {tuple(detail["uplinks"]) for _, _, detail in told} == {("dead",)}
    assert {row[0] for row in await rows(outbox)} >= set(range(201, 351)), "nothing that the living one waits for"
    assert reader.state.expired == 0
    assert outbox.uplink("dead").expired == sum(detail["count"] for _, _, detail in told)


async def test_an_uplink_that_is_away_for_long_holds_nothing_beyond_its_time(outbox, clock):
    keeper, reader, told = keeper_of(outbox, clock, others=["dead"])
    await fill(outbox, clock, 10)
    clock.ahead = 31 * DAY
    reader.settle(range(1, 9), clock.now())
    while await keeper.remove_old():
        pass
    await outbox.commit()
    assert [row[0] for row in await rows(outbox)][:2] == [9, 10]
    assert [(subject, detail["from"], detail["to"]) for _, subject, detail in told] == [("a", 1, 4), ("b", 1, 4)]
    assert {(detail["reason"], *detail["uplinks"]) for _, _, detail in told} == {("keep", "dead")}


async def test_while_no_uplink_was_reached_lately_nothing_is_given_up_for_its_age(outbox, clock):
    keeper, _, told = keeper_of(outbox, clock, others=["dead"])
    await fill(outbox, clock, 10)
    clock.ahead = 500 * DAY
    assert not await keeper.remove_old()
    assert told == []


async def test_a_wrong_clock_makes_nothing_old(outbox, clock):
    keeper, reader, _ = keeper_of(outbox, clock)
    keeper._trusted = lambda: SystemClock().now()
    await fill(outbox, clock, 10)
    reader.settle(range(1, 11), clock.now())
    clock.ahead = 3650 * DAY
    assert not await keeper.remove_old()


async def test_rows_behind_a_long_front_of_safety_rows_are_found_again_and_again(outbox, clock):
    keeper, _, told = keeper_of(outbox, clock, safety={"a"}, max_size=1_300_000)
    for _ in range(1200):
        outbox.store(outbox.series("data", "a"), clock.now(), lambda *_: os.urandom(500))
    await outbox.commit()
    for _ in range(6):
        for _ in range(400):
            outbox.store(outbox.series("data", "b"), clock.now(), lambda *_: os.urandom(500))
        await outbox.commit()
        await until_it_fits(keeper)
    assert {subject for _, subject, _ in told} == {"b"}
    declared = [(detail["from"], detail["to"]) for _, _, detail in told]
    assert declared[0][0] == 1
    assert all(left[1] + 1 == right[0] for left, right in pairwise(declared))


async def test_what_declared_a_loss_is_said_again_before_it_is_lost_itself(outbox, clock):
    keeper, reader, _ = keeper_of(outbox, clock, max_size=100_000)
    for number in range(1, 1001):
        detail = {"kind": "data", "epoch": outbox.epoch, "from": number, "to": number, "count": 1}
        keeper._tell("expired", "ab"[number > 500], reason="disk-budget", uplinks=["park"], **detail)
    await outbox.commit()
    await until_it_fits(keeper)
    assert reader.state.expired > 0, "events were given up"
    left = [json.loads(each.body) for each in await outbox.read(0, 10**9, 10**6)]
    numbers = {
        (each["subject"], seq)
        for each in left
        if each["detail"]["kind"] == "data"
        for seq in range(each["detail"]["from"], each["detail"]["to"] + 1)
    }
    assert numbers >= {("ab"[number > 500], number) for number in range(1, 1001)}
    assert any(each["detail"]["kind"] == "event" for each in left), "the events that left are declared too"


async def test_a_full_file_that_lets_rows_leave_alone_keeps_what_declares_them(clock, tmp_path):
    outbox = Outbox.open(tmp_path, clock, 1.0, random.Random(1))
    keeper, _, told = keeper_of(outbox, clock, max_size=400_000)
    await fill(outbox, clock, 400)
    real = outbox._database.commit

    def crowded(records, *rest):
        if records:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"
            raise error
        real(records, *rest)

    outbox._database.commit = crowded
    assert not await keeper.make_room()
    await outbox.close()
    again = Outbox.open(tmp_path, clock, 1.0, random.Random(1))
    assert {(name, detail["count"]) for name, _, detail in again.news} == {
        (name, detail["count"]) for name, _, detail in told
    }
    await again.close()


async def test_declarations_that_no_fewer_events_can_say_are_kept_beyond_the_budget(outbox, clock):
    keeper, reader, _ = keeper_of(outbox, clock, max_size=60_000)
    for number in range(1, 1001, 2):
        detail = {"kind": "data", "epoch": outbox.epoch, "from": number, "to": number, "count": 1}
        keeper._tell("expired", "a", reason="disk-budget", uplinks=["park"], **detail)
    await outbox.commit()
    assert not await keeper.make_room()
    assert reader.state.expired == 0


async def test_removing_that_must_be_declared_by_as_many_events_ends(outbox, clock):
    keeper, _, _ = keeper_of(outbox, clock, max_size=10_000)
    for number in range(1, 401, 2):
        detail = {"kind": "data", "epoch": outbox.epoch, "from": number, "to": number, "count": 1}
        keeper._tell("expired", "a", reason="disk-budget", uplinks=["park"], **detail)
    for _ in range(2):
        for _ in range(50):
            keeper._tell("remark", "a")
        await outbox.commit()
    for _ in range(50):
        if not await keeper.make_room():
            break
        await outbox.commit()
    else:
        pytest.fail("it would go on for ever")


async def test_what_only_late_values_would_need_goes_before_a_record_that_was_not_delivered(outbox, clock):
    keeper, _, told = keeper_of(outbox, clock, max_size=680_000)
    await fill(outbox, clock, 200)
    now, hour = clock.now(), 3_600_000
    hours = {"1min": 20, "1h": 20, "1d": 48}
    kept = [
        Kept("a", period, now - age * hour - hour // 2, 1, 1, 0, os.urandom(3_000))
        for period, most in hours.items()
        for age in range(most)
    ]
    await outbox.ask(lambda database: database.intervals.add(kept))
    assert await outbox.ask(Database.size) > 680_000
    await until_it_fits(keeper)
    places = await outbox.ask(lambda database: database.intervals.places())
    left = {(each.period, round((now - each.start) / hour - 0.5)) for each in places}
    assert left == {("1min", 0), *(("1h", age) for age in range(20)), *(("1d", age) for age in range(25))}
    assert told == [], "no record went"
    assert len(await rows(outbox)) == 200


async def test_rows_of_several_ranges_are_as_many_as_were_asked_for_all_in_all(outbox, clock):
    await fill(outbox, clock, 12)
    found = await outbox.ask(lambda file: file.rows([(1, 3), (5, 9), (11, 12)], 4))
    assert [row[0] for row in found] == [1, 2, 3, 5]
