"""`parkgate window` and `parkgate trail` at a running agent, and what they say of mistakes."""

import json

import pytest
from rich.console import Console
from support.cabinet import Running, site_file, unit, verb

from parkgate.config.load import load_site
from parkgate.gateway.commands.status import show
from parkgate.simulator.modbus import ModbusPlant

pytestmark = pytest.mark.xdist_group("agents")

ANY = "modbus-tcp://127.0.0.1:0"
BY = ("--by", "Li Wei", "--why", "filter changed")
OPEN = ("stack-1", "--flag", "maintenance", "--for", "2h", *BY)


def read(told):
    return all(each["state"] == "answering" for each in told["instruments"])


async def test_a_window_is_opened_listed_and_ended_and_stands_in_the_trail(tmp_path, capsys):
    async with ModbusPlant(ANY, {1: unit()}) as plant:
        site = site_file(tmp_path, line=plant.url)
        async with Running(site) as agent:
            told = await agent.until(read)
            assert told["instruments"][0]["points"]["so2"]["flag"] is None
            assert await verb("window", site) == (0, "no window is open\n", "")
            code, out, _ = await verb("window", site, *OPEN, "--points", "so2")
            assert (code, "maintenance" in out, "Li Wei" in out, "filter changed" in out) == (0, True, True, True)
            told = await agent.until(lambda told: told["instruments"][0]["points"]["so2"]["flag"])
            assert told["instruments"][0]["points"]["so2"] | {"title": ""} == {
                "title": "", "unit": "mg/m3", "value": 12.5, "flag": "maintenance"
            }  # fmt: skip
            show(Console(width=200), load_site(site), told)
            assert "stack-1 so2: maintenance until " in capsys.readouterr().out
            code, _, err = await verb("window", site, *OPEN, "--points", "so2")
            assert (code, "open already" in err) == (1, True)
            code, out, _ = await verb("window", site, "stack-1", "--end", *BY, "--json")
            assert (code, json.loads(out)["open"]) == (0, [])
            await agent.until(lambda told: told["instruments"][0]["points"]["so2"]["flag"] is None)
            await trail_of_a_running_agent(site)
        assert (await verb("trail", site, "--verify"))[0] == 0, "killed: read from its file"
        code, _, err = await verb("window", site)
        assert (code, "no agent answers" in err) == (1, True)


async def trail_of_a_running_agent(site):
    code, out, _ = await verb("trail", site, "--json", "--verify")
    said = json.loads(out)
    events = [each["event"] for each in said["entries"]]
    assert (code, said["troubles"]) == (0, [])
    assert events == ["version", *["configured"] * 3, "window-opened", "window-closed"]
    assert said["entries"][3]["detail"]["changed"] == [["simulated", None, True]], "it says so itself"
    assert [each["n"] for each in said["entries"]] == [1, 2, 3, 4, 5, 6]
    assert said["entries"][1]["digest"] == said["entries"][2]["previous"]
    assert len((await verb("trail", site, "--last", "2"))[1].splitlines()) == 3
    rev = said["entries"][2]["detail"]["rev"]
    code, out, _ = await verb("trail", site, "--rev", rev)
    assert code == 0
    assert out.startswith(f"stack-1 {rev}\nin force from ")
    assert '"at": "input 0"' in out
    gateway = said["entries"][1]["detail"]["rev"]
    assert (await verb("trail", site, "--rev", gateway))[1].startswith(f"gateway {gateway}\n")


async def test_where_no_agent_ever_ran_the_trail_is_empty(tmp_path):
    site = site_file(tmp_path, line="modbus-tcp://127.0.0.1:1")
    assert await verb("trail", site) == (0, "the trail is empty\n", "")
    assert (await verb("trail", site, "--verify"))[:2] == (
        0, "the trail is whole: 0 entries, the newest has the digest –\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--end",), "name the INSTRUMENT too"),
        (("--by", "x"), "name the INSTRUMENT too"),
        (("stack-1",), "--by NAME --why TEXT"),
        (("stack-1", "--flag", "maintenance", "--for", "2h", "--by", "x"), "--by NAME --why TEXT"),
        (("stack-1", *BY), "--flag and --for"),
        (("stack-1", "--flag", "maintenance", *BY), "--flag and --for"),
        (("stack-1", "--flag", "maintenance", "--for", "2", *BY), "a duration with its unit"),
        (("stack-1", "--end", "--for", "2h", *BY), "--end goes without"),
        (("stack-1", "--flag", "fault", "--for", "2h", *BY), "invalid choice"),
    ],
)
async def test_what_is_not_understood_is_usage(tmp_path, words, said):
    code, out, err = await verb("window", site_file(tmp_path, line="modbus-tcp://127.0.0.1:1"), *words)
    assert (code, out) == (2, "")
    assert said in err
