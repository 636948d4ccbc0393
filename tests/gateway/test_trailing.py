"""What a gateway's trail begins with and goes on with, on real outboxes: whatever became of the file meanwhile."""

import json
import random

import pytest
from support.alarm_bench import instrument

from parkgate.config.site import Gateway, Line, Secret, Site, Uplink
from parkgate.gateway import trailing
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.messages import encode
from parkgate.gateway.messages.trail import digest, verify
from parkgate.gateway.storing import outbox as outbox_room
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.trail import Trail as Table
from parkgate.gateway.trailing import Trail, site_configuration

SOURCE = "xuwei/gw-01"


def site(folder, *instruments, **gateway):
    uplink = Uplink(name="park", url="mqtt://broker", password=Secret(env="PARK"))
    return Site(
        path=folder / "site.toml", gateway=Gateway(site="xuwei", id="gw-01", data=folder, **gateway),
        uplinks=(uplink,), lines=(Line(name="cems", url="modbus-tcp://h"),), instruments=instruments,
    )  # fmt: skip


class Run:
    """One life of a gateway's trail on the outbox of a folder."""

    def __init__(self, folder):
        self.folder = folder

    async def open(self, *instruments, version="1.0", **gateway):
        self.outbox = Outbox.open(self.folder, SystemClock(), 1.0, random.Random(1))
        self.trail = await Trail.of(SOURCE, self.outbox)
        self.site = site(self.folder, *instruments, **gateway)
        await self.trail.begin(self.site, version, self.tell)
        return self

    def tell(self, name, subject, **detail):
        return self.outbox.store(self.outbox.series("event", ""), 5, self.trail.event(5, name, subject, detail))

    async def close(self):
        await self.outbox.commit()
        await self.outbox.close()

    async def bodies(self):
        await self.outbox.commit()
        return [row[2] for row in await self.outbox.ask(lambda database: database.trail.all())]

    async def told(self):
        return [(each["event"], each["subject"]) for each in map(json.loads, await self.bodies())]


@pytest.fixture
async def lives(tmp_path):
    """Start one life after the other; the last is ended by the fixture."""
    run = Run(tmp_path / "data")

    async def start(*instruments, **about):
        if hasattr(run, "outbox"):
            await run.close()
        return await run.open(*(instruments or (instrument(),)), **about)

    yield start
    await run.close()


async def test_the_first_start_tells_what_it_begins_with(lives):
    run = await lives(instrument(), instrument(name="gas-2"))
    assert await run.told() == [("version", ""), ("configured", ""), ("configured", "gas-1"), ("configured", "gas-2")]
    rev, _ = encode.meta(f"{SOURCE}/gas-2", instrument(name="gas-2"))
    said = json.loads((await run.bodies())[-1])["detail"]
    assert (said["rev"], said["was"], "changed" in said) == (rev, "", False)


async def test_a_start_without_a_change_tells_nothing(lives):
    before = await (await lives()).bodies()
    assert await (await lives()).bodies() == before


async def test_what_changed_left_and_came_is_told(lives):
    await lives(instrument(), instrument(name="gas-2"))
    run = await lives(instrument(span=(0, 200)), instrument(name="gas-3"), version="1.1", title="new")
    said = [json.loads(body) for body in (await run.bodies())[4:]]
    assert [(each["event"], each["subject"]) for each in said] == [
        ("version", ""), ("configured", ""), ("configured", "gas-1"), ("configured", "gas-3"), ("removed", "gas-2"),
    ]  # fmt: skip
    assert said[0]["detail"] | {"trail": 0} == {"version": "1.1", "was": "1.0", "trail": 0}
    assert said[1]["detail"]["changed"] == [["gateway.title", "", "new"]]
    assert said[2]["detail"]["changed"] == [["points.gas.range", [0.0, 100.0], [0.0, 200.0]]]
    assert verify(await run.bodies()) == []


async def test_an_instrument_that_comes_back_as_it_was_is_told_again(lives):
    await lives(instrument(), instrument(name="gas-2"))
    await lives(instrument())
    run = await lives(instrument(), instrument(name="gas-2"))
    assert (await run.told())[-2:] == [("removed", "gas-2"), ("configured", "gas-2")]


async def test_every_configuration_that_was_in_force_is_kept(lives):
    await lives(instrument())
    run = await lives(instrument(span=(0, 200)))
    assert len(await run.bodies()) == 4
    for span in ((0, 100), (0, 200)):
        about = instrument(span=span)
        rev, _ = encode.meta(f"{SOURCE}/gas-1", about)
        answer = await run.trail.answer({"verb": "trail", "rev": rev})
        assert answer["configurations"] == [("gas-1", encode.configuration(f"{SOURCE}/gas-1", about))]
    assert len(answer["entries"]) == 4


async def test_a_long_trail_is_answered_page_by_page(lives, monkeypatch):
    monkeypatch.setattr(trailing, "PAGE", 3)
    run = await lives(instrument())
    for number in range(4):
        run.tell("acknowledged", "gas-1", by="Li Wei", why=str(number))
    await run.outbox.commit()
    whole = [[*key, body, sound] for *key, body, sound in await run.outbox.ask(lambda base: base.trail.entries())]
    found, request = [], {"verb": "trail", "rev": "none"}
    while True:
        answer = json.loads(json.dumps(await run.trail.answer(request)))
        found += [[epoch, n, bytes.fromhex(body), sound] for epoch, n, body, sound in answer["entries"]]
        if not answer["more"]:
            break
        request = {"verb": "trail", "after": answer["entries"][-1][:2]}
    assert found == whole
    assert len(whole) == 7
    answer = await run.trail.answer({"verb": "trail", "after": ["nonsense"]})
    assert len(answer["entries"]) == 3


async def test_an_instrument_that_turns_out_to_be_simulated_is_told_once(lives):
    run = await lives()
    await run.trail.described(instrument(), run.tell, simulated=True)
    await run.trail.described(instrument(), run.tell, simulated=True)
    bodies = await run.bodies()
    assert len(bodies) == 4
    assert json.loads(bodies[-1])["detail"]["changed"] == [["simulated", None, True]]


def test_no_password_stands_in_the_configuration_of_a_gateway(tmp_path, monkeypatch):
    monkeypatch.setenv("PARK", "s3cret")
    text = site_configuration(SOURCE, site(tmp_path, instrument()))
    assert "PARK" in text
    assert "s3cret" not in text
    assert "gas-1" not in text


async def test_a_folder_whose_name_is_no_text_is_a_configuration_like_any(tmp_path):
    folder = tmp_path / "data\udcff"
    run = await Run(folder).open(instrument())
    assert len(await run.told()) == 3
    await run.close()
    run = await Run(folder).open(instrument(), title="new")
    assert (await run.told())[-1] == ("configured", "")
    await run.close()


async def test_what_is_told_as_the_head_is_on_the_disk(lives):
    run = await lives()
    assert run.trail.head is None
    bodies = await run.bodies()
    assert run.trail.head == (3, digest(bodies[-1]))
    run = await lives()
    assert run.trail.head == (3, digest(bodies[-1]))


async def test_only_entries_are_linked(lives):
    run = await lives()
    run.tell("silent", "gas-1", reason="no answer")
    run.tell("clock-stepped", "", offset=5)
    assert (await run.told())[3:] == [("clock-stepped", "")]
    rows = await run.outbox.read(0, 99, 99)
    assert sum(b'"trail"' in row.body for row in rows) == 4


async def test_an_event_that_found_no_room_leaves_no_gap(lives, monkeypatch):
    run = await lives()
    monkeypatch.setattr(outbox_room, "MAX_QUEUED", -1)
    assert run.tell("clock-stepped", "", offset=5) == 0
    monkeypatch.setattr(outbox_room, "MAX_QUEUED", 10**6)
    assert run.tell("clock-set", "", offset=5)
    assert (await run.told())[3:] == [("clock-set", "")]
    assert verify(await run.bodies()) == []


async def test_what_was_not_committed_when_the_power_went_never_was(tmp_path):
    run = await Run(tmp_path).open(instrument())
    await run.bodies()
    run.tell("clock-stepped", "", offset=5)
    await run.outbox.close()
    again = await Run(tmp_path).open(instrument())
    again.tell("clock-set", "", offset=5)
    assert (await again.told())[3:] == [("clock-set", "")]
    assert verify(await again.bodies()) == []
    await again.close()


async def test_a_new_epoch_begins_anew_and_names_the_last_of_the_one_before(tmp_path):
    run = await Run(tmp_path).open(instrument())
    before = await run.bodies()
    await run.close()
    (tmp_path / "epoch").write_text("0007-k3f9a1\n")  # as where a copy of the file is put back
    again = await Run(tmp_path).open(instrument(span=(0, 50)))
    bodies = await again.bodies()
    trail = json.loads(bodies[-1])["detail"]["trail"]
    assert trail == {"n": 1, "previous": digest(before[-1]), "after": {"epoch": run.outbox.epoch, "n": 3}}
    assert again.outbox.epoch != run.outbox.epoch
    assert verify(bodies) == []
    await again.close()


async def test_a_damaged_outbox_hands_its_trail_on(tmp_path):
    run = await Run(tmp_path).open(instrument())
    for number in range(300):
        run.tell("clock-stepped", "", offset=number, note="x" * 400)
        if number % 20 == 0:
            await run.outbox.commit()
    before = await run.bodies()
    texts = await run.outbox.ask(lambda database: database.trail.configurations())
    await run.close()
    (tmp_path / "outbox.sqlite").write_bytes(bytes(100) + (tmp_path / "outbox.sqlite").read_bytes()[100:])
    again = await Run(tmp_path).open(instrument())
    assert again.outbox.news[0][0] == "outbox-damaged"
    assert await again.bodies() == before, "nothing changed: no entry of its own"
    assert await again.outbox.ask(lambda database: database.trail.configurations()) == texts
    await again.close()


async def test_a_damaged_entry_is_named_and_the_file_set_aside(tmp_path):
    run = await Run(tmp_path).open(instrument())
    epoch = run.outbox.epoch
    await run.bodies()
    await run.outbox.ask(lambda database: database.trail._connection.execute("UPDATE trail SET crc = 0 WHERE n = 2"))
    await run.close()
    again = await Run(tmp_path).open(instrument())
    assert again.outbox.news[0][2]["reason"] == f"trail {epoch} 2"
    assert [json.loads(body)["detail"]["trail"]["n"] for body in await again.bodies()] == [1, 2, 3]
    await again.close()


async def test_what_an_outbox_in_memory_adds_is_appended_to_the_file(tmp_path, monkeypatch):
    run = await Run(tmp_path).open(instrument())
    before = await run.bodies()
    await run.close()
    with monkeypatch.context() as disk:
        disk.setattr("parkgate.gateway.storing.folder.Folder.probe", damage_of_the_disk)
        memory = await Run(tmp_path).open(instrument(span=(0, 70)))
        assert not memory.outbox.durable
        bodies = await memory.bodies()
    await memory.close()
    assert (len(bodies), bodies[:3]) == (4, before)
    again = await Run(tmp_path).open(instrument(span=(0, 70)))
    assert await again.bodies() == bodies
    about = encode.configuration(f"{SOURCE}/gas-1", instrument(span=(0, 70)))
    assert await again.outbox.ask(lambda database: database.trail.text("gas-1", encode.rev_of(about))) == about
    assert verify(await again.bodies()) == []
    await again.close()


def damage_of_the_disk(_):
    raise OSError(30, "read-only file system")


async def test_nothing_that_leaves_the_outbox_takes_the_trail_along(lives):
    run = await lives()
    before = await run.bodies()
    await run.outbox.commit(range(1, run.outbox.newest + 1))
    assert await run.outbox.read(0, 99, 99) == []
    assert await run.bodies() == before


async def test_an_entry_is_never_written_over(lives):
    run = await lives()
    before = await run.bodies()
    other = before[0].replace(b"1.0", b"6.6")
    assert other != before[0]
    run.outbox.store(run.outbox.series("event", ""), 5, lambda *_: other)
    assert await run.bodies() == before


@pytest.mark.parametrize(
    "body", [b'"trail":{', b'{"detail":{"trail":{"n":"1"}},"epoch":"e"}', b'{"detail":{"trail":{}}}']
)
async def test_what_only_looks_like_an_entry_is_none(lives, body):
    run = await lives()
    run.outbox.store(run.outbox.series("event", ""), 5, lambda *_: body)
    assert len(await run.bodies()) == 3


async def test_what_a_full_disk_did_not_keep_is_kept_later(lives, monkeypatch):
    run = await lives()
    kept = Table.keep

    def full(*_):
        error = outbox_room.sqlite3.OperationalError("full")
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    monkeypatch.setattr(Table, "keep", full)
    await run.trail.described(instrument(), run.tell, simulated=True)
    monkeypatch.setattr(Table, "keep", kept)
    text = encode.configuration(f"{SOURCE}/gas-1", instrument(), simulated=True)
    assert await run.outbox.ask(lambda database: database.trail.text("gas-1", encode.rev_of(text))) is None
    await run.trail.keep()
    assert await run.outbox.ask(lambda database: database.trail.text("gas-1", encode.rev_of(text))) == text
