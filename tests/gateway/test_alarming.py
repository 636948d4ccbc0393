"""The alarms of a gateway on a real outbox: what is stored, what stands, what a start goes on with."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

import jsonschema
import pytest
from support.alarm_bench import alarm, instrument
from support.records import validator

from parkgate.config.flag import Flag
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway import alarming as room
from parkgate.gateway.alarming import Alarming, Desk
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages import encode
from parkgate.gateway.storing import outbox as outbox_room
from parkgate.gateway.storing.described import Described
from parkgate.gateway.storing.outbox import Outbox

NOW = 1_763_890_000_000
HIGH = alarm(above=10, latch=True, priority="urgent")


class Held(SystemClock):
    """A clock that the test moves."""

    def __init__(self):
        super().__init__()
        self.seconds = 0.0

    def now(self):
        return NOW + round(self.seconds * 1000)

    def monotonic(self):
        return self.seconds


class Gateway:
    """The alarms of some instruments on an outbox in a folder; the test commits."""

    def __init__(self, folder, *instruments):
        self.folder = folder
        self.instruments = instruments or (instrument(HIGH),)
        self.clock = Held()
        self.told = []
        self.unsynced = set()

    async def open(self):
        self.outbox = Outbox.open(self.folder, self.clock, 1.0, random.Random(1))
        described = Described("xuwei/gw-01", self.instruments, self.outbox)
        await described.keep()
        self.heart = Heart(self.clock.monotonic)
        desk = Desk(
            "xuwei/gw-01", self.outbox, described, self.clock, self.tell, self.unsynced.__contains__, self.heart
        )  # fmt: skip
        self.alarming = await Alarming.of(desk, self.instruments)

    def tell(self, name, subject, **detail):
        self.told.append((name, subject, detail))
        event = encode.event("xuwei/gw-01", self.outbox.epoch, self.clock.now(), name, subject, detail)
        return self.outbox.store(self.outbox.series("event", ""), self.clock.now(), event)

    def read(self, value=None, flag=None, *, of=0):
        watched = self.instruments[of]
        flags = {} if flag is None else {0: flag}
        self.alarming.watcher(watched)(Snapshot(watched.name, self.clock.now(), (value,), flags))

    async def again(self, *instruments):
        """Stop at once, as a power cut would behind the last commit, and start with these instruments."""
        await self.outbox.close()
        self.instruments = instruments or self.instruments
        await self.open()

    async def records(self):
        await self.outbox.commit()
        rows = await self.outbox.read(0, 10**6, 10**6)
        return [json.loads(each.body) for each in rows if each.series.kind == "alarm"]

    @property
    def standing(self):
        return json.loads(self.alarming.payload())["standing"]

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.alarming.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def gateway(tmp_path):
    opened = []

    async def start(*instruments):
        gateway = Gateway(tmp_path / "data", *instruments)
        await gateway.open()
        opened.append(gateway)
        return gateway

    yield start
    for each in opened:
        await each.outbox.close()


async def turned():
    """Let the loop of the alarms turn."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_transition_is_a_record_of_the_instrument_that_fits_its_schema(gateway):
    gw = await gateway()
    gw.read(12.0)
    (record,) = await gw.records()
    assert record == {
        "source": "xuwei/gw-01/gas-1", "epoch": gw.outbox.epoch, "seq": 1, "low": 1, "ts": NOW, "since": NOW,
        "rev": record["rev"], "point": "gas", "alarm": "high", "kind": "above", "state": "active",
        "acknowledged": False, "latched": True, "value": 12.0, "limit": 10, "priority": "urgent",
    }  # fmt: skip
    validator("alarm").validate(record)


async def test_a_transition_is_committed_at_once_with_the_snapshot_that_made_it(gateway):
    gw = await gateway()
    gw.outbox.window = 1e6
    gw.outbox._last_commit = gw.clock.monotonic()
    committing = asyncio.create_task(gw.outbox.run())
    gw.outbox.store(gw.outbox.series("data", "gas-1"), NOW, lambda seq, low: b"{}")
    await turned()
    assert not gw.outbox._urgent.is_set(), "nothing hurries: it waits for its window"
    gw.read(12.0)
    async with asyncio.timeout(20):
        while gw.outbox.newest < 2:
            await asyncio.sleep(0)
    committing.cancel()
    await asyncio.gather(committing, return_exceptions=True)


async def test_what_stands_is_told_once_it_is_on_the_disk_and_no_sooner(gateway):
    gw = await gateway()
    gw.read(12.0)
    assert gw.standing == []
    (record,) = await gw.records()
    (entry,) = gw.standing
    assert entry["instrument"] == "gas-1"
    assert entry.items() - {("instrument", "gas-1")} <= record.items()
    jsonschema.Draft202012Validator.check_schema(validator("alarms").schema)
    validator("alarms").validate(json.loads(gw.alarming.payload()))


async def test_a_start_goes_on_with_what_stood(gateway):
    gw = await gateway()
    gw.read(12.0)
    gw.read(1.0)
    await gw.records()
    before = gw.standing
    assert before[0]["returned"]
    await gw.again()
    assert gw.standing == before
    gw.read(1.0)
    assert len(await gw.records()) == 2, "it goes on as it was: a value that is back is no news"
    gw.read(12.0)
    assert len(await gw.records()) == 3


async def test_what_was_not_committed_when_the_power_went_happens_again(gateway):
    gw = await gateway()
    gw.read(12.0)
    await gw.again()
    assert gw.standing == []
    gw.read(12.0)
    assert [each["state"] for each in await gw.records()] == ["active"]


LEFT = {
    "the alarm": (instrument(alarm("other", above=10)),),
    "the point": (instrument(name="gas-1"),),
    "the instrument": (instrument(HIGH, name="gas-2"),),
}


@pytest.mark.parametrize("left", LEFT)
async def test_what_left_the_configuration_is_cleared_with_its_reason(gateway, left):
    gw = await gateway()
    gw.read(12.0)
    (raised,) = await gw.records()
    await gw.again(*LEFT[left])
    assert len(gw.standing) == 1, "until its end is on the disk it stands"
    async with gw.running():
        await turned()
        _, cleared = await gw.records()
    assert (cleared["state"], cleared["reason"], cleared["rev"]) == ("cleared", "configuration", raised["rev"])
    assert not cleared["acknowledged"]
    assert cleared["source"] == "xuwei/gw-01/gas-1"
    validator("alarm").validate(cleared)
    assert gw.standing == []
    await gw.again()
    assert gw.standing == []


async def test_a_delay_ends_without_a_further_reading(gateway):
    gw = await gateway(instrument(alarm(above=10, delay="40ms")))
    async with gw.running():
        await turned()
        gw.read(12.0)
        assert await gw.records() == []
        gw.clock.seconds = 0.04  # the loop waits by its own clock, and looks at this one
        async with asyncio.timeout(20):
            while not (found := await gw.records()):
                await asyncio.sleep(0.005)
    assert (found[0]["state"], found[0]["ts"]) == ("active", NOW + 40)


async def test_what_finds_no_room_in_memory_has_not_happened_and_is_offered_again(gateway, monkeypatch):
    monkeypatch.setattr(room, "AGAIN", 0.005)
    gw = await gateway()
    async with gw.running():
        await turned()
        monkeypatch.setattr(outbox_room, "MAX_QUEUED", -1)
        gw.read(12.0)
        await turned()
        assert await gw.records() == []
        monkeypatch.setattr(outbox_room, "MAX_QUEUED", 10**6)
        async with asyncio.timeout(20):
            while not (found := await gw.records()):
                await asyncio.sleep(0.005)
    assert [(each["state"], each["value"]) for each in found] == [("active", 12.0)]


async def test_an_end_that_finds_no_room_is_offered_again_too(gateway, monkeypatch):
    monkeypatch.setattr(room, "AGAIN", 0.005)
    gw = await gateway()
    gw.read(12.0)
    await gw.records()
    await gw.again(instrument())
    monkeypatch.setattr(outbox_room, "MAX_QUEUED", -1)
    async with gw.running():
        await turned()
        assert len(await gw.records()) == 1
        monkeypatch.setattr(outbox_room, "MAX_QUEUED", 10**6)
        async with asyncio.timeout(20):
            while gw.standing:
                await gw.outbox.commit()
                await asyncio.sleep(0.005)


async def test_the_loop_promises_to_turn_again_when_a_delay_ends(gateway):
    gw = await gateway(instrument(alarm(above=10, delay="1h")))
    async with gw.running():
        await turned()
        gw.clock.seconds = 10**7
        assert not gw.heart.late, "nothing is waited for: nothing is promised"
        gw.read(12.0)
        await turned()
        gw.clock.seconds += 3600
        assert not gw.heart.late
        gw.clock.seconds += room.SLACK + 1
        assert gw.heart.late


async def test_what_was_stamped_by_a_clock_that_cannot_be_believed_says_so(gateway):
    gw = await gateway()
    gw.unsynced.add(NOW)
    gw.read(12.0)
    (record,) = await gw.records()
    assert record["clock"] == "unsynced"
    assert "clock" not in gw.standing[0]


BY = {"by": "Li Wei", "why": "valve closed"}


async def test_an_acknowledgement_is_a_transition_with_who_and_why_and_an_event(gateway):
    gw = await gateway()
    gw.read(12.0)
    await gw.records()
    answer = await gw.alarming.acknowledge({"instrument": "gas-1", "point": "gas", "alarm": "high", **BY})
    assert [(each["alarm"], each["state"]) for each in answer["acknowledged"]] == [("high", "active")]
    assert gw.standing[0]["acknowledged"], "it is answered once it is on the disk"
    record = (await gw.records())[-1]
    assert (record["acknowledged"], record["by"], record["why"]) == (True, "Li Wei", "valve closed")
    validator("alarm").validate(record)
    assert gw.told == [("acknowledged", "gas-1", {"point": "gas", "alarm": "high", **BY})]
    gw.read(1.0)
    assert [each["state"] for each in await gw.records()] == ["active", "active", "cleared"]
    assert gw.standing == []


async def test_a_latched_alarm_whose_value_is_back_ends_with_its_acknowledgement(gateway):
    gw = await gateway()
    gw.read(12.0)
    gw.read(1.0)
    answer = await gw.alarming.acknowledge({"instrument": "gas-1", **BY})
    assert [each["state"] for each in answer["acknowledged"]] == ["cleared"]
    assert gw.standing == []
    assert (await gw.alarming.acknowledge({"instrument": "gas-1", **BY})) == {"acknowledged": []}


@pytest.mark.parametrize(
    "request_",
    [
        {"instrument": "gas-1"},
        {"instrument": "gas-1", "by": "Li Wei"},
        {"instrument": "gas-1", "by": " ", "why": "x"},
        {"instrument": "gas-1", "by": "x" * 501, "why": "x"},
        {"instrument": ["gas-1"], **BY},
        {"instrument": None, **BY},
        BY,
    ],
)
async def test_an_acknowledgement_without_a_name_or_a_reason_is_none(gateway, request_):
    gw = await gateway()
    gw.read(12.0)
    assert "error" in await gw.alarming.acknowledge(request_)
    assert len(await gw.records()) == 1


@pytest.mark.parametrize("names", [{"instrument": "gas-9"}, {"instrument": "gas-1", "alarm": "low"}])
async def test_of_what_does_not_stand_nothing_is_acknowledged(gateway, names):
    gw = await gateway()
    gw.read(12.0)
    assert await gw.alarming.acknowledge({**names, **BY}) == {"acknowledged": []}
    assert gw.told == []


async def test_who_asks_is_told_what_stands_the_most_urgent_first(gateway):
    low, high = (instrument(alarm(above=10, priority=each), name=f"gas-{each}") for each in ("low", "high"))
    gw = await gateway(low, high)
    gw.read(12.0)
    gw.read(12.0, of=1)
    await gw.records()
    answer = await gw.alarming.answer({"verb": "alarms"})
    assert [each["instrument"] for each in answer["standing"]] == ["gas-high", "gas-low"]
    assert answer["now"] == NOW


async def test_an_instrument_that_is_described_anew_is_watched_by_what_is_known_by_then(gateway):
    gw = await gateway(instrument(HIGH, span=None), instrument(name="plain"))
    for each in (instrument(HIGH, span=(0, 100)), instrument(name="plain")):
        gw.alarming.describe(each)
    gw.read(-0.1, Flag.OUT_OF_RANGE)
    assert await gw.records() == []
    gw.read(100.1, Flag.OUT_OF_RANGE)
    assert [each["state"] for each in await gw.records()] == ["active"]


async def test_who_acknowledges_on_a_terminal_of_another_encoding_is_taken_too(gateway):
    gw = await gateway()
    gw.read(12.0)
    name = "李伟".encode("gbk").decode("utf-8", "surrogateescape")  # as Python has arguments that are no UTF-8
    answer = await gw.alarming.acknowledge({"instrument": "gas-1", "by": name, "why": "leak"})
    assert len(answer["acknowledged"]) == 1
    record = (await gw.records())[-1]
    validator("alarm").validate(record)
    assert (record["acknowledged"], record["by"]) == (True, name.encode("utf-8", "replace").decode())


async def test_an_instrument_without_alarms_costs_nothing(gateway):
    gw = await gateway(instrument(name="plain"), instrument(HIGH))
    assert gw.alarming.watcher(gw.instruments[0]) is None
    assert gw.alarming.watcher(gw.instruments[1]) is not None


async def test_an_instrument_that_falls_silent_keeps_what_stands(gateway):
    gw = await gateway()
    gw.read(12.0)
    gw.read(None, Flag.NO_COMMUNICATION)
    await gw.again()
    gw.read(None, Flag.NO_COMMUNICATION)
    assert await gw.records() == []


async def test_a_foreign_record_of_the_kind_stands_for_nothing(gateway):
    gw = await gateway()
    for body in (b"no json", b"[]", b'{"point":"gas"}', b'"text"'):
        gw.outbox.store(gw.outbox.series("alarm", "gas-1"), 1, lambda *_, body=body: body, urgent=True)
    await gw.outbox.commit()
    assert gw.standing == []
    await gw.again()
    assert gw.standing == []
