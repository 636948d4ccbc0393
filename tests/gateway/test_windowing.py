"""Windows on a real outbox: opened by people and by the schedule, told, ended, and still open after a restart."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest
from support.alarm_bench import instrument

from parkgate.config.flag import Flag
from parkgate.config.site import Gateway, Line, Site
from parkgate.config.window import Window
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway import windowing as room
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages.trail import verify
from parkgate.gateway.processing.validity import Judge
from parkgate.gateway.storing import outbox as outbox_room
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.timekeeper import AgentTime
from parkgate.gateway.trailing import Trail
from parkgate.gateway.windowing import Hall, Windowing

NOW = 1_767_290_400_000
"""2026-01-02 02:00 in Shanghai, a Friday."""
HOUR = 3_600_000
BY = {"by": "Li Wei", "why": "filter changed"}
OPEN = {"instrument": "gas-1", "flag": "maintenance", "for": 2 * HOUR, **BY}
NIGHTLY = Window.model_validate({"flag": "calibration", "at": "03:00", "lasts": "30min", "why": "zero and span"})


class Held(SystemClock):
    """A wall clock that the test moves, and steps."""

    def __init__(self):
        super().__init__()
        self.seconds, self.wrong = 0.0, 0

    def now(self):
        return NOW + round(self.seconds * 1000) + self.wrong

    def monotonic(self):
        return self.seconds

    def synchronised(self):
        return None


def about(*windows, name="gas-1"):
    return instrument(name=name).model_copy(update={"windows": windows})


class Room:
    """The windows of a gateway, its trail and its clock."""

    def __init__(self, folder, *instruments):
        self.folder, self.clock = folder, Held()
        self.instruments = instruments or (about(),)

    async def open(self):
        self.outbox = Outbox.open(self.folder, self.clock, 1.0, random.Random(1))
        self.trail = await Trail.of("xuwei/gw-01", self.outbox)
        site = Site(
            path=self.folder / "site.toml", gateway=Gateway(site="xuwei", id="gw-01", data=self.folder), uplinks=(),
            lines=(Line(name="cems", url="modbus-tcp://h"),), instruments=self.instruments,
        )  # fmt: skip
        self.time = AgentTime(self.clock, self.folder / "clock", self.stepped)
        self.heart = Heart(self.clock.monotonic)
        self.windows = Windowing(
            Hall(self.outbox, self.clock, self.tell, self.time.look, self.heart), site, self.trail.kept
        )
        return self

    def stepped(self, event, offset):
        self.tell(event, "", offset=offset)
        self.windows.shift(offset)

    def tell(self, name, subject, **detail):
        now = self.clock.now()
        return self.outbox.store(
            self.outbox.series("event", ""), now, self.trail.event(now, name, subject, detail)
        )  # fmt: skip

    async def again(self, *instruments):
        """Stop at once, as a power cut would behind the last commit, and start with these instruments."""
        await self.outbox.commit()
        await self.outbox.close()
        self.instruments = instruments or self.instruments
        return await self.open()

    async def turn(self):
        """Let the loop turn, whatever it waits for."""
        async with self.running():
            for _ in range(5):
                await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.windows.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def read(self, value=0.0, *, of=0, at=None):
        watched = self.instruments[of]
        judge = Judge.of(watched, windows=self.windows.of(watched))
        snapshot = Snapshot(watched.name, self.clock.now() if at is None else at, (value,))
        self.time.unsynced(snapshot.at)  # as a line does it
        return judge(snapshot).flags.get(0)

    async def told(self):
        await self.outbox.commit()
        rows = await self.outbox.ask(lambda database: database.trail.all())
        assert verify(row[2] for row in rows) == []
        said = [json.loads(row[2]) for row in rows]
        return [(each["event"], each["subject"], each["detail"]) for each in said]

    async def names(self):
        return [name for name, _, _ in await self.told()]


@pytest.fixture
async def rooms(tmp_path):
    opened = []

    async def start(*instruments):
        opened.append(await Room(tmp_path / "data", *instruments).open())
        return opened[-1]

    yield start
    for each in opened:
        await each.outbox.close()


async def test_a_person_opens_a_window_and_a_zero_is_no_clean_air_until_it_is_ended(rooms):
    gw = await rooms()
    assert gw.read() is None
    answer = await gw.windows.answer({**OPEN, "points": ["gas"]})
    about_it = {"flag": "maintenance", "points": ["gas"], "since": NOW, "until": NOW + 2 * HOUR, **BY}
    assert answer["opened"] == answer["open"] == [{"instrument": "gas-1", **about_it}]
    assert gw.outbox.newest == 1, "it is answered once it is on the disk"
    assert gw.read() is Flag.MAINTENANCE
    gw.clock.seconds += 600
    answer = await gw.windows.answer({"instrument": "gas-1", "end": True, "by": "Wang", "why": "done"})
    assert (answer["open"], answer["ended"][0]["until"]) == ([], NOW + 600_000)
    assert gw.read() is None
    assert gw.read(at=NOW + 599_999) is Flag.MAINTENANCE, "what comes late is judged by its own time"
    opened, closed = await gw.told()
    assert {**opened[2], "trail": 0} == {**about_it, "trail": 0}
    assert closed[:2] == ("window-closed", "gas-1")
    assert (closed[2]["until"], closed[2]["by"], closed[2]["why"]) == (NOW + 600_000, "Wang", "done")


async def test_an_open_window_survives_a_restart(rooms):
    gw = await rooms()
    await gw.windows.answer(OPEN)
    before = gw.windows.open()
    gw.clock.seconds += 60
    await gw.again()
    assert gw.windows.open() == before
    assert gw.read() is Flag.MAINTENANCE
    await gw.turn()
    assert await gw.names() == ["window-opened"]


async def test_a_window_that_is_over_closes_by_itself_also_while_the_gateway_was_off(rooms):
    gw = await rooms()
    await gw.windows.answer(OPEN)
    gw.clock.seconds += 3 * 3600
    assert gw.read() is None
    await gw.again()
    await gw.turn()
    (_, (name, _, detail)) = await gw.told()
    assert (name, detail["until"], detail["by"], detail["why"]) == (
        "window-closed", NOW + 2 * HOUR, "schedule", room.OVER
    )  # fmt: skip
    assert gw.read(at=NOW + HOUR) is Flag.MAINTENANCE


async def test_a_window_that_was_ended_stays_so_after_a_restart(rooms):
    gw = await rooms()
    await gw.windows.answer(OPEN)
    gw.clock.seconds += 60
    await gw.windows.answer({"instrument": "gas-1", "end": True, **BY})
    await gw.again()
    gw.clock.seconds += 60
    assert gw.read() is None
    assert gw.read(at=NOW + 30_000) is Flag.MAINTENANCE


async def test_the_schedule_opens_and_closes_its_windows_and_says_so(rooms):
    gw = await rooms(about(NIGHTLY))
    await gw.turn()
    assert await gw.names() == []
    gw.clock.seconds = 3600
    assert gw.read() is Flag.CALIBRATION
    await gw.turn()
    await gw.turn()
    ((name, subject, detail),) = await gw.told()
    assert (name, subject, detail["by"], detail["why"]) == ("window-opened", "gas-1", "schedule", "zero and span")
    assert (detail["since"], detail["until"]) == (NOW + HOUR, NOW + HOUR + HOUR // 2)
    await gw.again()
    await gw.turn()
    gw.clock.seconds += 1800
    assert gw.read() is None
    await gw.turn()
    assert await gw.names() == ["window-opened", "window-closed"]


async def test_a_scheduled_window_that_a_person_ends_is_over_for_this_time(rooms):
    gw = await rooms(about(NIGHTLY))
    gw.clock.seconds = 3660
    await gw.turn()
    assert (await gw.windows.answer({"instrument": "gas-1", "end": True, **BY}))["ended"]
    assert gw.read() is None
    await gw.again()
    await gw.turn()
    assert gw.read() is None
    assert await gw.names() == ["window-opened", "window-closed"]


async def test_a_scheduled_window_that_left_the_site_file_closes(rooms):
    gw = await rooms(about(NIGHTLY))
    gw.clock.seconds = 3660
    await gw.turn()
    await gw.again(about())
    await gw.turn()
    assert (await gw.told())[-1][2]["why"] == room.GONE
    assert gw.windows.open() == []


async def test_the_loop_looks_when_a_window_closes_and_when_one_is_opened(rooms, monkeypatch):
    monkeypatch.setattr(room, "LOOK", 0.005)
    gw = await rooms(about(NIGHTLY))
    async with gw.running(), asyncio.timeout(20):
        gw.clock.seconds = 3600
        while not gw.windows.open():
            await asyncio.sleep(0.005)
        gw.clock.seconds = 5400
        while gw.windows.open():
            await asyncio.sleep(0.005)
    assert await gw.names() == ["window-opened", "window-closed"]


async def test_the_loop_promises_to_turn_again(rooms):
    gw = await rooms(about(NIGHTLY))
    async with gw.running():
        for _ in range(5):
            await asyncio.sleep(0)
        gw.clock.seconds += room.LOOK + room.SLACK - 1
        assert not gw.heart.late
        gw.clock.seconds += 2
        assert gw.heart.late


@pytest.mark.parametrize("step", [-10 * HOUR, 10 * HOUR])
async def test_a_step_of_the_clock_neither_ends_a_persons_window_nor_lets_a_zero_pass(rooms, step):
    gw = await rooms()
    await gw.windows.answer(OPEN)
    gw.clock.seconds += 60
    gw.clock.wrong = step
    assert gw.read() is Flag.MAINTENANCE, "the first reading after the step too"
    gw.clock.seconds += 7000
    assert gw.read() is Flag.MAINTENANCE
    await gw.again()
    assert gw.read() is Flag.MAINTENANCE, "a restart replays the step"
    gw.clock.seconds += 200
    assert gw.read() is None
    assert (await gw.names())[:2] == ["window-opened", "clock-stepped"]


async def test_a_gateway_that_wakes_up_in_1970_still_knows_its_open_window(rooms):
    gw = await rooms()
    await gw.windows.answer(OPEN)
    gw.clock.seconds += 60
    gw.time.keep()
    gw.clock.wrong = -NOW
    await gw.again()
    assert gw.read() is Flag.MAINTENANCE
    await gw.turn()
    assert await gw.names() == ["window-opened"]
    gw.clock.wrong = 0
    assert gw.read() is Flag.MAINTENANCE
    gw.clock.seconds += 7000
    assert gw.read() is Flag.MAINTENANCE
    await gw.again()
    assert gw.read() is Flag.MAINTENANCE, "a restart replays it"
    gw.clock.seconds += 200
    assert gw.read() is None
    assert await gw.names() == ["window-opened", "clock-set"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({**OPEN, "instrument": "gas-9"}, "gas-1"),
        ({**OPEN, "instrument": ["gas-1"]}, "gas-1"),
        ({**OPEN, "by": ""}, "who"),
        ({**OPEN, "why": None}, "who"),
        ({**OPEN, "by": "schedule"}, "who"),
        ({**OPEN, "by": "x" * 501}, "who"),
        ({**OPEN, "flag": "fault"}, "maintenance, calibration, out-of-service"),
        ({**OPEN, "flag": ["fault"]}, "maintenance"),
        ({**OPEN, "for": 0}, "7 days"),
        ({**OPEN, "for": True}, "7 days"),
        ({**OPEN, "for": 7 * 24 * HOUR + 1}, "7 days"),
        ({**OPEN, "points": ["so3"]}, "gas"),
        ({**OPEN, "points": [["gas"]]}, "gas"),
        ({**OPEN, "points": "gas"}, "gas"),
        ({"instrument": "gas-1", "end": True, **BY}, "no window is open"),
    ],
)
async def test_what_is_no_window_is_refused_with_what_to_write(rooms, request_, said):
    gw = await rooms()
    answer = await gw.windows.answer(request_)
    assert said in answer["error"]
    assert await gw.told() == []
    assert gw.read() is None


async def test_the_same_window_is_not_opened_twice_but_another_flag_is(rooms):
    gw = await rooms()
    await gw.windows.answer(OPEN)
    assert "open already" in (await gw.windows.answer(OPEN))["error"]
    assert len((await gw.windows.answer({**OPEN, "flag": "out-of-service"}))["open"]) == 2
    assert gw.read() is Flag.OUT_OF_SERVICE
    assert len((await gw.windows.answer({"instrument": "gas-1", "end": True, **BY}))["ended"]) == 2


async def test_who_asks_is_told_what_is_open_the_first_to_close_first(rooms):
    gw = await rooms(about(), about(name="gas-2"))
    await gw.windows.answer(OPEN)
    await gw.windows.answer({**OPEN, "instrument": "gas-2", "for": HOUR})
    answer = await gw.windows.answer({"verb": "window"})
    assert ([each["instrument"] for each in answer["open"]], answer["now"]) == (["gas-2", "gas-1"], NOW)
    assert gw.read(of=1) is Flag.MAINTENANCE


async def test_what_finds_no_room_is_not_opened_and_not_closed(rooms, monkeypatch):
    gw = await rooms()
    monkeypatch.setattr(outbox_room, "MAX_QUEUED", -1)
    assert "takes nothing" in (await gw.windows.answer(OPEN))["error"]
    assert gw.read() is None
    monkeypatch.setattr(outbox_room, "MAX_QUEUED", 10**6)
    await gw.windows.answer(OPEN)
    monkeypatch.setattr(outbox_room, "MAX_QUEUED", -1)
    assert "takes nothing" in (await gw.windows.answer({"instrument": "gas-1", "end": True, **BY}))["error"]
    assert gw.read() is Flag.MAINTENANCE


async def test_a_window_of_an_instrument_that_left_is_past_and_one_of_a_later_version_too(rooms):
    gw = await rooms(about(), about(name="gas-2"))
    await gw.windows.answer({**OPEN, "instrument": "gas-2"})
    gw.tell("window-opened", "gas-1", flag="sabbatical", points=[], since=1, until=2)
    gw.tell("window-opened", "gas-1", period="always")
    await gw.again(about())
    assert gw.windows.open() == []


async def test_an_instrument_without_a_window_costs_nothing(rooms, monkeypatch):
    gw = await rooms()
    holding = gw.windows.of(gw.instruments[0])
    monkeypatch.setattr(gw.clock, "now", None)
    assert holding(NOW) == ()
