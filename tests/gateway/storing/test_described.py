"""What the instruments are described as, and that no row refers to what is not kept."""

import json
import sqlite3

import pytest

from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.storing.described import Described


def instrument(name):
    point = Point(name="so2", at="input 0", type="float32")
    return Instrument(name=name, line="cems", every=1_000, profile="p", protocol="modbus", points=(point,))


A, B = instrument("a"), instrument("b")


@pytest.fixture
async def described(outbox):
    made = Described("x/gw", [A, B], outbox)
    await made.keep()
    return made


async def kept(outbox, position=0):
    return [(name, json.loads(body).get("simulated", False))
            for name, _, body in await outbox.ask(lambda file: file.descriptions.needed(position))]  # fmt: skip


def said(needed):
    return [(name, json.loads(body).get("simulated", False)) for name, _, body in needed]


async def test_one_that_turns_out_to_be_simulated_is_today_and_what_it_was_before_is_still_needed(outbox, described):
    await described.anew(A, simulated=True)
    assert said(await described.needed(10**9)) == [("a", False), ("a", True), ("b", False)]
    name, rev, _ = (await described.needed(10**9))[1]
    body = json.loads(described.encoder(A)(Snapshot("a", 1, (1.0,)), 1, 1))
    assert (body["source"], body["rev"]) == (f"x/gw/{name}", rev)


async def test_after_a_start_it_is_what_the_site_file_says_until_it_was_asked_again(outbox, described):
    await described.anew(A, simulated=True)
    await described.anew(B, simulated=True)
    again = Described("x/gw", [A, B], outbox)
    await again.keep()
    assert said(await again.needed(10**9)) == [("a", False), ("b", False)]
    await again.anew(A, simulated=True)
    assert sorted(await kept(outbox, 10**9)) == [("a", False), ("a", True), ("b", False)]


async def test_what_a_full_disk_does_not_keep_is_kept_once_it_has_room(outbox, described, monkeypatch):
    ask = outbox.ask

    async def full(work):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorname, error.sqlite_errorcode = "SQLITE_FULL", sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(outbox, "ask", full)
    await described.anew(A, simulated=True)
    monkeypatch.setattr(outbox, "ask", ask)
    assert ("a", True) not in await kept(outbox)
    await described.anew(B, simulated=True)
    assert {("a", True), ("b", True)} <= set(await kept(outbox))


async def test_who_left_the_site_is_left(outbox, described):
    await described.anew(A, simulated=True)
    without = Described("x/gw", [B], outbox)
    await without.keep()
    assert {name: len(revs) for name, revs in (await without.left("park")).items()} == {"a": 2}


async def test_one_whose_unit_is_learnt_is_today_and_its_rows_refer_to_that(outbox, described):
    learnt = A.model_copy(update={"points": (A.points[0].model_copy(update={"unit": "mg/m3", "range": (0.0, 300.0)}),)})
    await described.anew(learnt)
    name, rev, payload = (await described.needed(10**9))[1]
    assert (name, json.loads(payload)["points"]["so2"]) == (
        "a",
        {"unit": "mg/m3", "type": "float32", "ucum": "mg/m3", "unece": "GP", "range": [0, 300]},
    )
    assert json.loads(described.encoder(learnt)(Snapshot("a", 1, (1.0,)), 1, 1))["rev"] == rev
    assert "simulated" not in json.loads(payload)
