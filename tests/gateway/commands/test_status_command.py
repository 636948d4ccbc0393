"""`parkgate status SITE` of an agent that runs, that died, and that never was."""

import asyncio
import io
import json

import pytest
from rich.cells import cell_len
from rich.console import Console
from support.broker import Mosquitto
from support.cabinet import Running, answering, site_file, unit, verb

from parkgate.config.load import load_site
from parkgate.gateway.commands.status import fine, show
from parkgate.gateway.control.server import SOCKET
from parkgate.simulator.modbus import ModbusPlant

ANY = "modbus-tcp://127.0.0.1:0"


async def test_of_a_running_agent_it_shows_everything_and_exits_with_0(tmp_path):
    async with ModbusPlant(ANY, {1: unit(), 2: unit()}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, units=(1, 2))
        async with Running(site) as agent:
            told = await agent.until(answering)
            code, out, err = await verb("status", site)
    assert (code, err) == (0, "")
    assert told["outbox"]["epoch"] in out
    rows = {tuple(line.split()[:3]) for line in out.splitlines()}
    assert ("cems", plant.url, "up") in rows
    assert ("stack-1", "cems", "answering") in rows
    assert ("park", broker.url, "online") in rows
    assert str(tmp_path / "data") in out


async def test_as_json_the_account_holds(tmp_path):
    async with ModbusPlant(ANY, {1: unit()}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url)
        async with Running(site) as agent:
            told = await agent.until(lambda told: answering(told) and told["uplinks"][0]["delivered"] > 3)
    (instrument,), (uplink,), outbox = told["instruments"], told["uplinks"], told["outbox"]
    assert told["source"] == "xuwei/gw-01"
    assert outbox["collected"] == outbox["stored"] + outbox["rejected"] + outbox["queued"]
    assert outbox["stored"] == sum(uplink[each] for each in ("delivered", "waiting", "expired", "quarantined"))
    assert instrument["points"]["so2"] == {"title": "", "unit": "mg/m3", "value": 12.5, "flag": None}
    assert instrument["reads"] >= instrument["seq"] > 0


async def test_what_does_not_answer_is_shown_with_its_fault_and_exits_with_1(tmp_path):
    async with ModbusPlant(ANY, {1: unit()}) as plant:
        site = site_file(tmp_path, line=plant.url, units=(1, 2))
        async with Running(site) as agent:
            await agent.until(
                lambda told: told["instruments"][1]["state"] == "silent" and told["uplinks"][0]["fault"] != ""
            )
            code, out, _ = await verb("status", site)
    assert code == 1
    assert "silent" in out
    assert "stack-2" in out
    assert "nothing listens on port 1" in " ".join(out.split())


async def test_of_a_killed_agent_it_shows_what_is_in_the_outbox_and_exits_with_1(tmp_path):
    async with ModbusPlant(ANY, {1: unit()}) as plant:
        site = site_file(tmp_path, line=plant.url)
        async with Running(site) as agent:
            told = await agent.until(lambda told: told["outbox"]["stored"] >= 3)
            agent.process.kill()
            await agent.ended()
        code, out, err = await verb("status", site, "--json")
        _, shown, _ = await verb("status", site)
    dead = json.loads(out)
    assert (code, err, dead["agent"]) == (1, "", "stopped")
    assert "no agent answers" in dead["fault"]
    assert dead["outbox"]["epoch"] == told["outbox"]["epoch"]
    assert dead["outbox"]["stored"] >= told["outbox"]["stored"]
    (uplink,) = dead["outbox"]["uplinks"]
    assert (uplink["name"], uplink["delivered"], uplink["quarantined"]) == ("park", 0, 0)
    assert uplink["waiting"] == dead["outbox"]["stored"]
    assert "no agent answers" in " ".join(shown.split())
    assert f"{dead['outbox']['stored']} records" in " ".join(shown.split())


async def test_of_a_site_that_never_ran_it_says_so(tmp_path):
    site = site_file(tmp_path)
    code, out, err = await verb("status", site)
    assert (code, err) == (1, "")
    assert "there is no outbox yet" in out
    code, out, _ = await verb("status", site, "--json")
    assert (code, json.loads(out)["outbox"]) == (1, None)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", ["notes", "folder"])
async def test_an_outbox_that_cannot_be_read_is_told_without_a_traceback(tmp_path, kind):
    path = tmp_path / "data" / "outbox.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"notes" * 1_000) if kind == "notes" else path.mkdir()
    site = site_file(tmp_path)
    code, out, err = await verb("status", site)
    assert (code, err) == (1, "")
    assert "the outbox cannot be read" in " ".join(out.split())
    assert "join the group parkgate, or use sudo" in " ".join(out.split())
    assert "there is no outbox yet" not in out
    code, out, err = await verb("status", site, "--json")
    told = json.loads(out)
    assert (code, err) == (1, "")
    assert (told["agent"], told["outbox"]) == ("stopped", None)
    assert "no agent answers" in told["fault"]
    assert "the outbox cannot be read" in told["outbox_fault"]


async def test_of_a_dead_agent_the_lines_and_instruments_of_the_site_are_listed_as_unknown(tmp_path):
    _, out, _ = await verb("status", site_file(tmp_path, units=(1, 2)))
    rows = [line.split() for line in out.splitlines()]
    assert ["cems", "modbus-tcp://127.0.0.1:1", "unknown"] in rows
    assert ["stack-1", "cems", "unknown"] in rows
    assert ["stack-2", "cems", "unknown"] in rows


async def test_an_agent_that_leaves_without_an_answer_counts_as_stopped(tmp_path):
    path = site_file(tmp_path)
    (tmp_path / "data").mkdir()

    async def leave(reader, writer):
        await reader.readline()
        writer.close()

    async with await asyncio.start_unix_server(leave, tmp_path / "data" / SOCKET):
        code, out, err = await verb("status", path, "--json")
    assert (code, err) == (1, "")
    assert "no agent answers" in json.loads(out)["fault"]


LINE = "modbus-tcp://127.0.0.1:15021"
DEAD = f"{LINE}: nothing listens on port 15021. Check that the device is on."


def line(name="gas", title="", fault=""):
    return {"name": name, "title": title, "url": LINE, "state": "down" if fault else "up", "fault": fault}


def instrument(name="gas-1", title="", fault="", **more):
    state = "silent" if fault else "answering"
    return {
        "name": name, "title": title, "line": "gas", "state": state, "fault": fault, "at": 1_000, "reads": 123_456,
        "failed": 0, "missed": 12, "unsupported": [], "rests": 0, "seq": 123_444, **more,
    }  # fmt: skip


def uplink(**more):
    return {
        "name": "park", "url": "mqtts://broker.example:8883", "state": "online", "delivered": 123_456, "waiting": 300,
        "quarantined": 0, "fault": "", "refused": {}, **more,
    }  # fmt: skip


def reply(*, lines=(), instruments=(), uplinks=(), **outbox):
    """What a running agent answers."""
    size = {"bytes": 44 << 20, "free_bytes": 9 << 30, "stored": 5, "fault": "", "path": "/data/[x]/o", "epoch": "ab"}
    return {
        "source": "xuwei/gw-01", "version": "1", "now": 5_000, "lines": lines, "instruments": instruments,
        "uplinks": uplinks, "outbox": {**size, **outbox},
    }  # fmt: skip


def shown(folder, answer, width=80, title="徐圩一期"):
    site = load_site(site_file(folder))
    site = site.model_copy(update={"gateway": site.gateway.model_copy(update={"title": title})})
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    show(console, site, answer)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("acknowledged", "said"),
    [((), ""), ((True, False), "alarms that stand: 2, not acknowledged: 1; parkgate alarms SITE lists them\n")],
)
def test_alarms_that_stand_are_counted_below_the_tables(tmp_path, acknowledged, said):
    told = reply(instruments=[instrument()]) | {"alarms": [{"acknowledged": each} for each in acknowledged]}
    assert shown(tmp_path, told).partition("free on the disk\n")[2] == said
    assert fine(told)


def test_nothing_that_others_wrote_is_read_as_markup(tmp_path):
    odd = "[red]x[/b]"
    told = reply(
        lines=[line("gas", odd, odd)], instruments=[instrument("gas-1", odd, "[i]y")],
        uplinks=[uplink(fault="[/u]z", url="mqtt://[::1]")], fault="[/]disk",
    )  # fmt: skip
    out = shown(tmp_path, told, title="[/b]一期")
    for each in ("[/b]一期", odd, "[i]y", "[/u]z", "mqtt://[::1]", "[/]disk", "/data/[x]/o"):
        assert each in out
    dead = shown(tmp_path, {"agent": "stopped", "outbox": None, "fault": "[/b]dead", "outbox_fault": "[/b]file"})
    assert "[/b]dead" in dead
    assert "[/b]file" in dead


def test_a_fault_stands_below_the_tables_and_that_of_a_line_once(tmp_path):
    own = f"{LINE}: unit 3 is silent."
    told = reply(
        lines=[line(fault=DEAD)],
        instruments=[instrument("gas-1", fault=DEAD), instrument("gas-2", fault=DEAD), instrument("gas-3", fault=own)],
        uplinks=[uplink(fault="the platform refuses", refused={"0x87": 12})],
    )
    lines = shown(tmp_path, told, width=200).splitlines()
    assert lines[-3:] == [
        f"gas: {DEAD}", f"gas-3: {own}", "park: the platform refuses (refused 0x87: 12)",
    ]  # fmt: skip
    assert sum("nothing listens" in each for each in lines) == 1


@pytest.mark.parametrize(
    "fault", ["gas: no answer.", "gas：没有应答。", 'line "gas": no answer.', "通道“gas”：没有应答。"]
)
def test_a_fault_that_names_its_line_is_not_named_again(tmp_path, fault):
    assert shown(tmp_path, reply(lines=[line(fault=fault)])).splitlines()[-1] == fault


@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_in_80_columns_every_instrument_takes_one_line_with_its_whole_name_and_state(tmp_path, monkeypatch, tongue):
    monkeypatch.setenv("PARKGATE_LANG", tongue)
    names = ["n" * 32, "stack-1"]
    told = reply(
        lines=[line(fault=DEAD)], uplinks=[uplink()],
        instruments=[instrument(name, "废水总排口" * 8, DEAD, failed=99_999) for name in names],
    )  # fmt: skip
    lines = shown(tmp_path, told).splitlines()
    assert all(cell_len(each) <= 80 for each in lines)
    word = {"en": "silent", "zh": "无应答"}[tongue]
    for name in names:
        (row,) = [each for each in lines if each.startswith(name)]
        assert word in row.split()
        assert row.endswith("123444")
        assert "…" in row


def test_a_wide_terminal_shows_more_of_a_title(tmp_path):
    told = reply(instruments=[instrument("gas-1", "1# [备用] 烟囱 [/b]")])
    assert "1# [备用] 烟囱 [/b]" not in shown(tmp_path, told)
    assert "1# [备用] 烟囱 [/b]" in shown(tmp_path, told, width=160)


@pytest.mark.parametrize(("days", "said"), [(12.34, "about 12 days"), (3.21, "about 3.2 days"), (0, "about 0.0 days")])
def test_it_tells_how_many_days_of_outage_fit(tmp_path, days, said):
    assert f"{said} of outage fit" in shown(tmp_path, reply(days_left=days))


def test_where_the_growth_is_not_known_it_tells_no_days(tmp_path):
    assert "outage" not in shown(tmp_path, reply(days_left=None))
    assert "outage" not in shown(tmp_path, reply())


def test_a_state_of_a_later_version_is_shown_as_it_came(tmp_path):
    assert "resting" in shown(tmp_path, reply(instruments=[instrument("gas-1", state="resting")]))


def test_an_uplink_that_is_online_with_a_fault_is_not_fine():
    assert fine(reply(lines=[line()], instruments=[instrument("gas-1")], uplinks=[uplink()]))
    assert not fine(reply(uplinks=[uplink(fault="the platform refuses")]))
    assert not fine(reply(uplinks=[uplink(quarantined=1)]))


def test_the_points_that_an_instrument_refuses_are_named(tmp_path):
    out = shown(tmp_path, reply(instruments=[instrument(unsupported=["so2", "nox"])], lines=[line()]), width=120)
    assert "gas-1: it has no so2, nox; compare their addresses in the profile with the manual" in out


def test_the_reasons_of_points_are_told_each_with_its_points_and_what_else_is_not_as_it_was_asked_for(tmp_path):
    many = {f"p{place}": "BadNoCommunication" for place in range(23)}
    about = instrument(
        reasons={"level": "BadNodeIdUnknown", **many, "flow": "BadNodeIdUnknown"},
        remarks=["the server samples every 1000 ms where 100 ms was asked for"],
        dropped=12,
        units={"level": "mm"},
    )
    out = shown(tmp_path, reply(instruments=[about], lines=[line()]), width=300)
    assert "gas-1: BadNodeIdUnknown: level, flow\n" in out
    assert "gas-1: BadNoCommunication: " + ", ".join(f"p{place}" for place in range(20)) + " and 3 more\n" in out
    assert "gas-1: the server samples every 1000 ms where 100 ms was asked for\n" in out
    assert "gas-1: 12 changes were lost before they were told\n" in out
    assert "gas-1: level is in mm on the server; the profile's unit is told\n" in out


def test_of_many_reasons_twenty_are_told_and_how_many_more_there_are(tmp_path):
    about = instrument(reasons={f"p{place}": f"the server has no node ns=2;i={place}" for place in range(23)})
    out = shown(tmp_path, reply(instruments=[about], lines=[line()]), width=300)
    assert out.count("the server has no node") == 20
    assert "gas-1: 3 more points are amiss; status --json names them\n" in out


def test_where_nothing_is_amiss_with_its_points_nothing_is_told(tmp_path):
    out = shown(tmp_path, reply(instruments=[instrument(reasons={}, remarks=[], dropped=0)], lines=[line()]), width=300)
    assert "gas-1:" not in out
