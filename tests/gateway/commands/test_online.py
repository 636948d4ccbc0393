"""`parkgate check SITE --online` at a cabinet: real instruments, a real broker, and what can be wrong with each."""

import asyncio
import io
import json
import socket
from importlib.resources import files
from pathlib import Path

import pytest
from asyncua import ua
from rich.console import Console
from support import opcua_park
from support.broker import Mosquitto
from support.cabinet import Running, answering, site_file, unit, verb
from support.scripted_broker import ScriptedBroker
from support.subscriber import Subscriber

from parkgate.config.load import load_site
from parkgate.drivers.catalog import open_driver
from parkgate.drivers.driver import Standing
from parkgate.drivers.faults import Unreachable
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands import commissioning, uplink_checks
from parkgate.gateway.commands.finding import Result
from parkgate.gateway.commands.line_checks import check_line, of_running_agent
from parkgate.gateway.commands.review import review
from parkgate.simulator.modbus import ModbusPlant
from parkgate.simulator.moved_site import moved_site
from parkgate.simulator.park import Park
from parkgate.simulator.scenario import load_scenario

ANY = "modbus-tcp://127.0.0.1:0"


async def online(site):
    """The check as JSON: its exit code and the findings by (what, where)."""
    code, out, err = await verb("check", site, "--online", "--json")
    assert err == ""
    told = json.loads(out)
    assert (told["result"] == "problem") == (code == 1)
    found = {}
    for each in told["online"]:
        found.setdefault((each["what"], each["where"]), []).append(each)
    return code, found


def only(found, what, where):
    (finding,) = found[what, where]
    return finding


async def test_where_everything_is_well_all_is_ok_and_nothing_stays_on_the_broker(tmp_path):
    async with ModbusPlant(ANY, {1: unit(), 2: unit()}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, units=(1, 2))
        async with Subscriber(broker.port) as subscriber:
            code, found = await online(site)
            (message,) = await subscriber.until(1)
        async with Subscriber(broker.port) as later:
            assert later.received == []
    assert (message.topic, message.payload, message.retain) == ("park/v1/xuwei/gw-01/check", b"", False)
    assert code == 0
    assert list(found)[:4] == [("clock", ""), ("data", str(tmp_path / "data")), ("disk", ""), ("agent", "")]
    assert only(found, "line", "cems")["found"] == f"{plant.url} is open"
    for name in ("stack-1", "stack-2"):
        assert only(found, "instrument", name)["result"] == "ok"
        assert only(found, "instrument", name)["found"].endswith("0 of them flagged")
    uplink = only(found, "uplink", "park")
    assert (uplink["result"], uplink["next"]) == ("ok", "")
    assert uplink["found"] == "connected (MQTT 5, not encrypted), may publish under park/v1/xuwei/gw-01/"
    assert not (tmp_path / "data").exists()


async def test_the_table_has_a_row_for_each_with_what_to_do_next(tmp_path):
    async with ModbusPlant(ANY, {1: unit(so2=500.0)}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url)
        code, out, _ = await verb("check", site, "--online")
    rows = [line.split() for line in out.splitlines()[4:]]
    assert code == 1
    assert rows[0][:3] == ["what", "where", "result"]
    assert ["line", "cems", "ok"] in [row[:3] for row in rows]
    assert "out of range: so2 500.0 mg/m3. Compare with the display" in " ".join(out.split())


async def test_the_values_are_shown_below_it_aligned_with_units_and_flags(tmp_path):
    async with ModbusPlant(ANY, {1: unit(), 2: unit(so2=500.0, o2=0xFFFF)}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, units=(1, 2))
        _, out, _ = await verb("check", site, "--online")
        _, found = await online(site)
    table = out.rpartition("\n\n")[2].splitlines()
    assert [line.split() for line in table] == [
        ["instrument", "point", "value", "unit", "flag"],
        ["stack-1", "so2", "12.5", "mg/m3"],
        ["o2", "6.2", "%"],
        ["stack-2", "so2", "500.0", "mg/m3", "out", "of", "range"],
        ["o2", "-", "%", "fault"],
    ]
    assert len({line.rindex(unit) for line, unit in zip(table[1:], ["mg/m3", "%", "mg/m3", "%"], strict=True)}) == 1
    assert only(found, "instrument", "stack-2")["points"] == {
        "so2": {"value": 500.0, "unit": "mg/m3", "flag": "out-of-range"},
        "o2": {"unit": "%", "flag": "fault"},
    }


async def test_an_outbox_that_is_none_fails_the_check(tmp_path):
    (tmp_path / "data").mkdir()
    outbox = tmp_path / "data" / "outbox.sqlite"
    outbox.write_text("no database" * 500)
    async with ModbusPlant(ANY, {1: unit()}) as plant, Mosquitto() as broker:
        code, found = await online(site_file(tmp_path, line=plant.url, uplink=broker.url))
    finding = only(found, "outbox", str(outbox))
    assert (code, finding["result"]) == (1, "problem")
    assert finding["found"] == "the outbox cannot be read: file is not a database"
    assert outbox.read_text() == "no database" * 500


async def test_flagged_points_are_named_with_their_value_and_what_to_do(tmp_path):
    units = {1: unit(state=1), 2: unit(o2=0xFFFF), 3: unit(so2=300.5, o2=9_999)}
    async with ModbusPlant(ANY, units) as plant, Mosquitto() as broker:
        code, found = await online(site_file(tmp_path, line=plant.url, uplink=broker.url, units=units))
    assert code == 1
    calibration, fault, beyond = (only(found, "points", f"stack-{number}") for number in (1, 2, 3))
    assert (calibration["result"], calibration["found"]) == ("warning", "calibration: so2 12.5 mg/m3")
    assert calibration["next"].startswith("The instrument says so itself")
    assert (fault["result"], fault["found"]) == ("problem", "fault: o2")
    assert "look at its display" in fault["next"]
    assert (beyond["result"], beyond["found"]) == ("problem", "out of range: so2 300.5 mg/m3, o2 99.99 %")
    assert only(found, "instrument", "stack-3")["found"].endswith("2 of them flagged")


async def test_calibration_alone_does_not_fail_the_check(tmp_path):
    async with ModbusPlant(ANY, {1: unit(state=1)}) as plant, Mosquitto() as broker:
        code, _ = await online(site_file(tmp_path, line=plant.url, uplink=broker.url))
    assert code == 0


async def test_a_register_that_does_not_exist_is_bad_configuration_of_its_point_alone(tmp_path):
    async with ModbusPlant(ANY, {1: unit()}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, more='points.o2.at = "input 900"\n')
        code, found = await online(site)
    finding = only(found, "points", "stack-1")
    assert (code, finding["result"], finding["found"]) == (1, "problem", "bad configuration: o2")
    assert "compare the address in the profile with the manual" in finding["next"]


async def test_an_instrument_that_is_not_there_is_told_and_the_others_are_read(tmp_path):
    async with ModbusPlant(ANY, {1: unit(), 3: unit()}) as plant, Mosquitto() as broker:
        code, found = await online(site_file(tmp_path, line=plant.url, uplink=broker.url, units=(1, 2, 3)))
    assert code == 1
    results = [only(found, "instrument", f"stack-{number}")["result"] for number in (1, 2, 3)]
    assert results == ["ok", "problem", "ok"]
    assert "unit number" in only(found, "instrument", "stack-2")["next"]


async def test_a_line_that_nobody_answers_on_is_told_once_and_its_instruments_are_not_read(tmp_path):
    async with Mosquitto() as broker:
        code, found = await online(site_file(tmp_path, uplink=broker.url, units=(1, 2)))
    assert code == 1
    line = only(found, "line", "cems")
    assert (line["result"], line["found"]) == ("problem", "no connection to 127.0.0.1:1")
    assert line["next"].startswith("Check power, cable, address and port")
    for name in ("stack-1", "stack-2"):
        assert only(found, "instrument", name)["found"] == "not read"
    assert only(found, "uplink", "park")["result"] == "ok"


class Torn:
    """A line that goes down whenever the first instrument is read, and opens again."""

    def __init__(self, instruments):
        self.opened = 0
        self._bad = instruments[0]

    async def __aenter__(self):
        self.opened += 1
        return self

    async def __aexit__(self, *_):
        pass

    async def read(self, instrument, between=None):
        if instrument is self._bad:
            raise Unreachable("the connection was closed", where="cems", hint="Look for a second program.")
        return [Snapshot(instrument.name, 1, (1.0, 1.0), states=(0,))]

    def standing(self, instrument):
        return Standing()

    def described(self, instrument):
        return instrument

    async def identify(self, instrument):
        return None


async def test_a_line_that_goes_down_under_an_instrument_is_opened_again_for_the_others(tmp_path):
    site = load_site(site_file(tmp_path, units=(1, 2, 3)))
    driver = Torn(site.instruments)
    found = await check_line(site.lines[0], site.instruments, lambda *_: driver, SystemClock().now)
    assert driver.opened == 2
    assert [(each.what, each.where, each.result) for each in found] == [
        ("line", "cems", Result.OK),
        ("instrument", "stack-1", Result.PROBLEM),
        ("instrument", "stack-2", Result.OK),
        ("instrument", "stack-3", Result.OK),
    ]
    assert (found[1].found, found[1].advice) == ("the connection was closed", "Look for a second program.")


async def test_the_whole_demo_park_passes_over_modbus_and_opc_ua(tmp_path):
    scenario = load_scenario(files("parkgate.config") / "scenarios" / "demo.toml")
    template = (files("parkgate.config") / "sites" / "demo.toml").read_text(encoding="utf-8")
    async with Park(scenario, any_port=True) as park, Mosquitto() as broker:
        text = moved_site(template, park.urls, broker.url, str(tmp_path / "data")).text
        (tmp_path / "site.toml").write_text(text, encoding="utf-8")
        _, found = await online(tmp_path / "site.toml")
    assert [only(found, "line", each.name)["result"] for each in scenario.site.lines] == ["ok"] * 4
    assert [only(found, "instrument", each.name)["result"] for each in scenario.site.instruments] == ["ok"] * 14


async def test_a_mosquitto_that_wants_a_password_is_told_apart_from_one_that_is_down(tmp_path):
    async with Mosquitto(["allow_anonymous false"]) as broker:
        site = site_file(tmp_path, uplink=broker.url)
        _, found = await online(site)
        assert only(found, "uplink", "park")["next"].startswith("Check username and password")
        await broker.stop()
        _, found = await online(site)
    assert only(found, "uplink", "park")["found"] == f"nothing listens on port {broker.port}"


async def test_lines_of_a_running_agent_are_not_opened_beside_it(tmp_path):
    async with ModbusPlant(ANY, {1: unit(), 2: unit(so2=500.0)}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, units=(1, 2))
        async with Running(site) as agent:
            await agent.until(answering)
            code, found = await online(site)
            after = await agent.until(answering)
            connections = len(plant._connections)
    assert (code, connections) == (1, 1)
    assert "its lines are not opened beside it" in only(found, "agent", "")["found"]
    assert only(found, "line", "cems")["found"] == "open in the running agent"
    assert only(found, "instrument", "stack-1")["result"] == "ok"
    assert only(found, "points", "stack-2")["found"] == "out of range: so2 500.0 mg/m3"
    assert only(found, "uplink", "park")["result"] == "ok"
    assert after["uplinks"][0]["connection"] == 1  # it was not thrown out


async def test_what_the_agent_says_of_dead_lines_and_instruments_is_passed_on(tmp_path):
    async with ModbusPlant(ANY, {1: unit()}) as plant, Mosquitto() as broker:
        more = (
            '[[line]]\nname = "dead"\nurl = "modbus-tcp://127.0.0.1:1"\n'
            '[[instrument]]\nname = "far"\nline = "dead"\nprofile = "stack"\nevery = "100ms"\n'
        )
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, units=(1, 2), more=more)
        async with Running(site) as agent:
            wanted = ["answering", "silent", "silent"]
            await agent.until(lambda told: [each["state"] for each in told["instruments"]] == wanted)
            code, found = await online(site)
    assert code == 1
    assert only(found, "line", "cems")["result"] == "ok"
    assert "no connection to 127.0.0.1:1" in only(found, "line", "dead")["found"]
    for what, where in (("line", "dead"), ("instrument", "stack-2"), ("instrument", "far")):
        assert only(found, what, where)["next"] == ""  # what the agent says ends with what to do
    assert only(found, "instrument", "stack-1")["points"]["so2"] == {"value": 12.5, "unit": "mg/m3"}
    assert ("outbox", str(tmp_path / "data" / "outbox.sqlite")) not in found
    for name in ("stack-2", "far"):
        assert only(found, "instrument", name)["result"] == "problem"


def test_what_the_agent_has_no_fault_of_yet_is_looked_at_in_status():
    lines = [{"name": "cems", "state": "down", "fault": ""}]
    instruments = [{"name": "stack-1", "line": "cems", "state": "starting", "fault": ""}]
    found = of_running_agent({"lines": lines, "instruments": instruments, "now": 0}, Path("/etc/gw-01.toml"))
    assert [(each.found, each.advice) for each in found] == [
        ("not open yet", "See: parkgate status /etc/gw-01.toml"),
        ("no answer yet", "See: parkgate status /etc/gw-01.toml"),
    ]


def test_what_the_agent_knows_to_be_otherwise_than_the_profile_says_is_found():
    tank = {
        "name": "tank-7", "line": "dcs", "state": "answering", "at": 0, "units": {"level": "mm"},
        "reasons": {"list": "the server has an array"},
        "points": {
            "level": {"title": "", "unit": "m", "value": 2.5, "flag": None},
            "list": {"title": "", "unit": "", "value": None, "flag": "bad-configuration"},
        },
    }  # fmt: skip
    answer = {"lines": [{"name": "dcs", "state": "up", "fault": ""}], "instruments": [tank], "now": 0}
    *_, differs, misfit = of_running_agent(answer, Path("/etc/gw-01.toml"))
    assert (differs.result, differs.found) == (
        Result.WARNING, "level is in mm on the server; the profile's unit is told",
    )  # fmt: skip
    assert (misfit.result, misfit.found) == (Result.PROBLEM, "list: the server has an array")
    assert "OPC UA browser" in misfit.advice


async def test_units_and_ranges_of_an_opc_ua_server_are_shown_and_judge_its_values():
    tank = opcua_park.instrument(
        opcua_park.point("level"), opcua_park.point("low", unit="mm"), opcua_park.point("name")
    )
    async with opcua_park.bare() as park:
        for name, value in (("level", 12.5), ("low", 2.5), ("name", "T7")):
            await park.put(name, opcua_park.datavalue(value))
            held = park.server.get_node(ua.NodeId(name, park.space))
            about = ua.EUInformation("urn:vendor", -1, ua.LocalizedText("m"), ua.LocalizedText(""))
            await held.add_property(ua.NodeId(f"{name}.unit", park.space), "0:EngineeringUnits", about)
            await held.add_property(ua.NodeId(f"{name}.range", park.space), "0:EURange", ua.Range(0, 12))
        found = await check_line(opcua_park.line(park.url), [tank], open_driver, SystemClock().now)
    assert [(each.result, each.found.partition(";")[0]) for each in found[2:]] == [
        (Result.PROBLEM, "out of range: level 12.5 m"),
        (Result.PROBLEM, "bad configuration: name"),
        (Result.WARNING, "low is in m on the server"),
        (Result.PROBLEM, "name: the server has a value of type string, the profile says double"),
    ]
    assert [reading.unit for reading in found[1].readings] == ["m", "mm", "m"]


async def test_a_socket_that_a_dead_agent_left_does_not_keep_the_lines(tmp_path):
    (tmp_path / "data").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "data" / "control.sock"))
    async with ModbusPlant(ANY, {1: unit()}) as plant, Mosquitto() as broker:
        code, found = await online(site_file(tmp_path, line=plant.url, uplink=broker.url))
    assert code == 0
    assert only(found, "agent", "")["found"] == "no agent runs: the lines are free to be tried"


@pytest.mark.parametrize("answer", [b"", b'{"error":"?"}\n'])
async def test_where_something_else_listens_the_lines_are_left_alone(tmp_path, answer):
    async def serve(reader, writer):
        await reader.readline()
        writer.write(answer)
        writer.close()

    (tmp_path / "data").mkdir()
    server = await asyncio.start_unix_server(serve, tmp_path / "data" / "control.sock")
    async with server, ModbusPlant(ANY, {1: unit()}) as plant, Mosquitto() as broker:
        code, found = await online(site_file(tmp_path, line=plant.url, uplink=broker.url))
    assert code == 1
    assert only(found, "agent", "")["result"] == "problem"
    assert ("line", "cems") not in found


async def test_a_terminal_shows_what_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(commissioning, "PATIENCE", 0.0)
    monkeypatch.setattr(uplink_checks, "_ANSWER", 0.6)
    shown = io.StringIO()
    async with ScriptedBroker(on_publish=lambda *_: None) as broker:
        reviewed = review(site_file(tmp_path, uplink=broker.url))
        console = Console(file=shown, force_terminal=True, width=100)
        findings = await commissioning.commission(reviewed, SystemClock(), console)
    assert "waiting for park" in shown.getvalue()
    assert findings[-1].what == "uplink"


async def test_a_pipe_is_shown_nothing_while_it_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(commissioning, "PATIENCE", 0.0)
    shown = io.StringIO()
    await commissioning.commission(review(site_file(tmp_path)), SystemClock(), Console(file=shown))
    assert shown.getvalue() == ""
