"""`parkgate status SITE` of an agent that runs, that died, and that never was."""

import json

from support.broker import Mosquitto
from support.cabinet import Running, answering, site_file, unit, verb

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


async def test_an_outbox_that_cannot_be_read_is_told_without_a_traceback(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "outbox.sqlite").write_bytes(b"notes" * 1_000)
    code, out, err = await verb("status", site_file(tmp_path))
    assert (code, out) == (1, "")
    assert "the outbox cannot be read" in err
