"""The trail of a run with ten changes verifies, also at a subscriber; one altered byte is found and its entry named."""

import asyncio
import json
import random
import sqlite3
from contextlib import asynccontextmanager, closing
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from support.broker import Mosquitto
from support.subscriber import Subscriber
from support.trail_bench import altered

from parkgate.config.load import load_site
from parkgate.drivers.driver import Standing
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.agent import Agent, World
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands import main
from parkgate.gateway.commands.trail_table import show
from parkgate.gateway.control.client import ask
from parkgate.gateway.control.server import SOCKET
from parkgate.gateway.messages.trail import MARK, read, verify
from parkgate.gateway.storing.inspect import inspect_trail
from parkgate.gateway.storing.seal import sealed

pytestmark = pytest.mark.xdist_group("agents")

SITE = """
[gateway]
site = "xuwei"
id = "gw-01"
data = "data"
timezone = "{zone}"
[[uplink]]
name = "park"
url = "{url}"
[[line]]
name = "cems"
url = "modbus-tcp://127.0.0.1:1"
[[instrument]]
name = "stack-1"
line = "cems"
profile = "meter"
every = "50ms"
windows = [ {windows} ]
points.so2 = {{ range = [0, {most}], scale = {scale}, alarms = [ {{ name = "high", above = 200, latch = true }} ] }}
{more}"""
SECOND = '[[instrument]]\nname = "stack-2"\nline = "cems"\nunit = 2\nprofile = "meter"\nevery = "50ms"\n'
WINDOW = '{ flag = "calibration", at = "00:00", lasts = "1ms" }'
PROFILE = """
protocol = "modbus"
[points]
so2 = { at = "input 0", type = "float32", unit = "mg/m3" }
o2 = { at = "input 2", type = "float32", unit = "%" }
"""
BY = {"by": "Li Wei", "why": "filter changed"}


class Steered(SystemClock):
    """The machine's clock, which the test steps; nobody says whether it is right."""

    def __init__(self):
        super().__init__()
        self.offset = 0

    def now(self):
        return super().now() + self.offset

    def synchronised(self):
        return None


class Wire:
    """A driver that answers with what the test says."""

    value = 0.0

    def __init__(self, _line, _instruments, now):
        self.now = now

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def read(self, instrument, between=None):
        return (Snapshot(instrument.name, self.now(), (Wire.value, 21.0)),)

    def standing(self, instrument):
        return Standing()

    def described(self, instrument):
        return instrument

    async def identify(self, instrument):
        return None


class Gateway:
    """A gateway whose site file is changed between its runs."""

    def __init__(self, folder, url):
        self.file, self.data, self.clock = folder / "site.toml", folder / "data", Steered()
        self.said = {"url": url, "zone": "Asia/Shanghai", "most": 300, "scale": 1.0, "more": "", "windows": ""}
        (folder / "meter.toml").write_text(PROFILE)

    @asynccontextmanager
    async def run(self, **changed):
        self.said |= changed
        self.file.write_text(SITE.format(**self.said))
        agent = Agent(load_site(self.file), World(self.clock, random.Random(1), Wire))
        running = asyncio.create_task(agent.run())
        try:
            while True:
                answer = await self.asked(verb="status") if (self.data / SOCKET).exists() else {}
                if answer and answer["uplinks"][0]["state"] == "online":
                    break
                await asyncio.sleep(0.02)
            await self.readings()
            yield
        finally:
            agent.stop()
            await asyncio.wait_for(running, 20)

    async def readings(self, count=6):
        """Wait until each instrument was read so many times more."""
        least = {each["name"]: each["reads"] + count for each in (await self.asked(verb="status"))["instruments"]}

        def enough(answer):
            return all(
                each["reads"] >= least[each["name"]] for each in answer.get("instruments", [{"name": "", "reads": 0}])
            )

        least[""] = 1
        await self.until(enough, verb="status")

    async def asked(self, **request):
        try:
            return await asyncio.to_thread(ask, self.data / SOCKET, request, timeout=15)
        except Exception:  # noqa: BLE001  # it is just coming up
            return {}

    async def until(self, wanted, **request):
        while not wanted(answer := await self.asked(**request)):
            await asyncio.sleep(0.02)
        return answer


def entries(received, kind):
    return [each.payload for each in received if each.topic.split("/")[4] == kind and each.payload]


def stepped(answer):
    """Tell whether the trail of a running gateway has a step of the clock."""
    return any(b"clock-stepped" in bytes.fromhex(body) for _, _, body, _ in answer.get("entries", ()))


async def ten_changes(gateway):
    async with asyncio.timeout(60):
        async with gateway.run():
            Wire.value = 250.0
            await gateway.until(lambda answer: answer.get("standing"), verb="alarms")
            await gateway.asked(verb="acknowledge", instrument="stack-1", **BY)
            Wire.value = 0.0
            window = {"instrument": "stack-1", "flag": "maintenance", "for": 7_200_000, "points": ["so2"], **BY}
            assert (await gateway.asked(verb="window", **window))["opened"]
        async with gateway.run(most=500):
            gateway.clock.offset += 10_800_000  # past the end that the window had by the clock before
            await gateway.until(stepped, verb="trail")
            assert [each["flag"] for each in (await gateway.asked(verb="window"))["open"]] == ["maintenance"]
            await gateway.readings()
            assert (await gateway.asked(verb="window", instrument="stack-1", end=True, **BY))["ended"]
        async with gateway.run(scale=2.0, more=SECOND):
            pass
        async with gateway.run(more="", zone="UTC", windows=WINDOW):
            pass


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A gateway that has had its ten changes, and what a subscriber received of them."""
    folder = tmp_path_factory.mktemp("trail")

    async def play():
        async with Mosquitto() as broker, Subscriber(broker.port) as platform:
            gateway = Gateway(folder, broker.url)
            await ten_changes(gateway)
            async with asyncio.timeout(20):
                while json.loads(entries(platform.received, "status")[-1])["state"] != "offline":
                    await asyncio.sleep(0.02)
            return gateway, list(platform.received)

    return asyncio.run(play())


def happened(bodies):
    said = [json.loads(body) for body in bodies]
    return [(each["event"], each["subject"]) for each in said]


EXPECTED = [
    ("version", ""), ("configured", ""), ("configured", "stack-1"),
    ("acknowledged", "stack-1"), ("window-opened", "stack-1"),
    ("configured", "stack-1"), ("clock-stepped", ""), ("window-closed", "stack-1"),
    ("configured", "stack-1"), ("configured", "stack-2"),
    ("configured", ""), ("configured", "stack-1"), ("removed", "stack-2"),
]  # fmt: skip
"""Three entries of the first start, and ten of what was changed since."""


def stored(gateway):
    rows = inspect_trail(gateway.data, None)["entries"]
    return [(epoch, n, bytes.fromhex(body), sound) for epoch, n, body, sound in rows]


def sent(received):
    return [body for body in entries(received, "event") if MARK in body]


def heads(received):
    said = json.loads(entries(received, "status")[-1])
    return [(said["epoch"], said["trail"]["n"], said["trail"]["digest"])]


def test_the_trail_of_ten_changes_verifies_at_the_gateway_and_at_a_subscriber(ran, capsys):
    gateway, received = ran
    bodies = [body for _, _, body, _ in stored(gateway)]
    assert happened(bodies) == EXPECTED
    assert bodies == list(dict.fromkeys(sent(received))), "the same bytes"
    assert verify(sent(received), heads(received)) == []
    assert main.main(["trail", str(gateway.file), "--verify"]) == 0
    assert "13 entries" in capsys.readouterr().out


def test_an_entry_says_what_was_changed_from_what_to_what(ran):
    gateway, _ = ran
    changed = [said["detail"].get("changed") for _, _, body, _ in stored(gateway)
               if (said := json.loads(body))["event"] == "configured"]  # fmt: skip
    assert changed == [
        None, None, [["points.so2.range", [0.0, 300.0], [0.0, 500.0]]], [["points.so2.scale", 1.0, 2.0]], None,
        [["gateway.timezone", "Asia/Shanghai", "UTC"]],
        [["windows.0", None, said_of_the_window()]],
    ]  # fmt: skip


def test_any_value_is_traced_to_its_map_its_constants_and_its_state(ran, capsys):
    gateway, received = ran
    snapshots = [json.loads(body) for body in entries(received, "data") if b"stack-1" in body]
    revs = list(dict.fromkeys(each["rev"] for each in snapshots))
    found = []
    for rev in revs:
        assert main.main(["trail", str(gateway.file), "--rev", rev, "--json"]) == 0
        (said,) = json.loads(capsys.readouterr().out)
        so2 = said["configuration"]["points"][0]
        found.append((so2["at"], so2["scale"], so2["range"], len(said["in_force"])))
    assert found == [
        ("input 0", 1.0, [0.0, 300.0], 1), ("input 0", 1.0, [0.0, 500.0], 1), ("input 0", 2.0, [0.0, 500.0], 1),
        ("input 0", 2.0, [0.0, 500.0], 1),
    ]  # fmt: skip
    assert main.main(["trail", str(gateway.file), "--rev", "00000000"]) == 1
    assert "00000000" in capsys.readouterr().err


def test_a_zero_read_while_the_window_is_open_is_never_among_the_usable_values(ran):
    gateway, received = ran
    told = [json.loads(body) for _, _, body, _ in stored(gateway)]
    shift = next(each["detail"]["offset"] for each in told if each["event"] == "clock-stepped")
    since = next(each["ts"] for each in told if each["event"] == "window-opened")
    closed = next(each["ts"] for each in told if each["event"] == "window-closed")
    snapshots = [json.loads(body) for body in entries(received, "data")]
    inside = [each for each in snapshots if since + 1000 < each["ts"] < closed]
    assert closed - since > shift, "the step went past the end that the window had"
    assert len(inside) > 3
    assert all(each["invalid"]["so2"] == {"flag": "maintenance", "value": 0.0} for each in inside)
    assert all("o2" in each["values"] for each in inside)
    assert any(each["values"].get("so2") == 0.0 for each in snapshots if each["ts"] > closed)


@settings(max_examples=150)
@given(st.data())
def test_one_byte_altered_at_the_subscriber_is_found_and_its_entry_named(ran, data):
    _, received = ran
    bodies = list(dict.fromkeys(sent(received)))
    which = data.draw(st.integers(0, len(bodies) - 1))
    where = data.draw(st.integers(0, len(bodies[which]) - 1))
    changed = altered(bodies[which], where, data.draw(st.integers(1, 255)))
    found = verify([*bodies[:which], changed, *bodies[which + 1 :]], heads(received))
    (epoch, _, _), n = heads(received)[0], which + 1
    assert any(each.epoch == epoch and each.n <= n <= each.last and each.what != "doubtful" for each in found)


def said_of_the_window():
    return {"flag": "calibration", "at": "00:00", "lasts": 1, "days": [], "points": [], "why": ""}


def write(gateway, epoch, n, body, *, seal):
    with closing(sqlite3.connect(gateway.data / "outbox.sqlite", isolation_level=None)) as file:
        if seal:
            file.execute("UPDATE trail SET body = ?, crc = ? WHERE epoch = ? AND n = ?",
                         (body, sealed("trail", epoch, n, body)[-1], epoch, n))  # fmt: skip
        else:
            file.execute("UPDATE trail SET body = ? WHERE epoch = ? AND n = ?", (body, epoch, n))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_byte_altered_in_the_file_is_found_and_its_entry_named(ran, capsys, data):
    gateway, _ = ran
    rows = stored(gateway)
    epoch, n, body, _ = rows[data.draw(st.integers(0, len(rows) - 1))]
    changed = altered(body, data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(1, 255)))
    knows_the_seal = data.draw(st.booleans()) and n < len(rows)
    write(gateway, epoch, n, changed, seal=knows_the_seal)
    try:
        assert main.main(["trail", str(gateway.file), "--verify", "--json"]) == 1
        troubles = json.loads(capsys.readouterr().out)["troubles"]
        assert any(each["epoch"] == epoch and each["n"] <= n <= each["last"] for each in troubles)
        assert main.main(["trail", str(gateway.file), "--verify"]) == 1
        assert f"entry {n} of {epoch}" in capsys.readouterr().out or knows_the_seal
    finally:
        write(gateway, epoch, n, body, seal=True)


def test_the_table_shows_what_happened_when_and_by_whom(ran, capsys, monkeypatch):
    gateway, _ = ran
    console = Console(width=200, highlight=False)
    show(console, [read(body) for _, _, body, _ in stored(gateway)][4:], ZoneInfo("Asia/Shanghai"))
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 10
    assert "window opened" in shown[1]
    assert "Li Wei" in shown[1]
    assert "points.so2.range: [0.0, 300.0] → [0.0, 500.0]" in shown[2]
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    assert main.main(["trail", str(gateway.file), "--last", "9"]) == 0
    assert "时段打开" in capsys.readouterr().out


async def test_a_start_after_a_damaged_entry_keeps_the_others_and_names_it(ran, tmp_path, capsys):
    gateway, _ = ran
    again = Gateway(tmp_path, gateway.said["url"])
    again.said |= gateway.said
    again.data.mkdir()
    for file in gateway.data.iterdir():
        if file.is_file():
            (again.data / file.name).write_bytes(file.read_bytes())
    rows = stored(gateway)
    epoch, n, body, _ = rows[4]
    write(again, epoch, n, body.replace(b"Li Wei", b"Li Wen"), seal=False)
    again.file.write_text(SITE.format(**again.said))
    agent = Agent(load_site(again.file), World(again.clock, random.Random(1), Wire))
    running = asyncio.create_task(agent.run())
    async with asyncio.timeout(20):
        while not (again.data / SOCKET).exists():
            await asyncio.sleep(0.02)
    agent.stop()
    await running
    kept = stored(again)
    assert [row[:3] for row in kept[:13]] == [row[:3] for row in rows], "its record in the outbox was whole"
    assert kept[0][0] == epoch
    assert main.main(["trail", str(again.file), "--verify"]) == 0
    assert capsys.readouterr().out
