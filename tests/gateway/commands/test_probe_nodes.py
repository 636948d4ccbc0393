"""`parkgate probe` on OPC UA: value, status and both times of each node, with and without a running agent."""

import asyncio
import json
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from support.cabinet import Running, verb
from support.opcua_park import T0, URI, instrument, line, point, state
from support.tank_farm import at, say, site_file, tank_farm

from parkgate.config.flag import Flag
from parkgate.drivers.opcua.plan import plan
from parkgate.drivers.opcua.probing import Near, Probe
from parkgate.drivers.opcua.space import Answer
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.commands.probe_nodes_table import Probed, as_json, remarks

PROFILE = f"""\
protocol = "opcua"

[points]
level = {{ at = "{at("T1.Level")}", type = "double", unit = "m", range = [0, 15] }}
temp = {{ at = "{at("T1.Temp")}", type = "float32", unit = "°C" }}
alarms = {{ at = "{at("T1.Alarms")}", type = "bool" }}
count = {{ at = "{at("T1.液位")}", type = "bool" }}
gone = {{ at = "{at("T2.Levl")}", type = "double" }}
strange = {{ at = "nsu=urn:test:prak;s=T1.Level", type = "double" }}

[[state]]
at = "{at("T1.Health")}"
equals = 1
flag = "maintenance"
points = ["level"]
"""


@pytest.fixture
async def farm():
    async with tank_farm() as park:
        yield park


@pytest.fixture
def site(farm, tmp_path):
    (tmp_path / "tank.toml").write_text(PROFILE, encoding="utf-8")
    return site_file(tmp_path, farm.url)


async def document(*words):
    code, out, err = await verb("probe", *words, "--json")
    assert err == ""
    return code, json.loads(out)


async def test_each_point_has_its_value_and_beside_it_what_the_server_said(site):
    code, out, err = await verb("probe", site, "tank-1")
    rows = {row[0]: row for line in out.splitlines() if len(row := re.split(r"\s{2,}", line.strip())) > 2}
    assert (code, err) == (1, "")
    assert rows["point"] == ["point", "value", "flag", "at the server", "status", "source time", "server time", "age",
                             "node id"]  # fmt: skip
    assert rows["level"][:4] == ["level", "2.5 m", "2.5 Double", "Good"]
    assert rows["level"][-1] == at("T1.Level")
    assert rows["temp"][:5] == ["temp", "-", "fault", "-", "BadSensorFailure"]
    assert rows["state 1"][:4] == ["state 1", "0", "0 Int32", "Good"]
    assert "profile tank, times of Asia/Shanghai" in out
    assert "temp: BadSensorFailure: the sensor has failed: look at the instrument" in out
    assert "alarms: the server has Boolean[2], the profile says bool" in out
    assert "count: the server has UInt16, the profile says bool" in out
    assert f"gone: {at('T2.Levl')} is not there; did you mean {at('T2.Level')}" in out
    assert f"strange: the server has no such namespace; it has {URI}" in out


async def test_it_speaks_chinese(site, monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    _, out, _ = await verb("probe", site, "tank-1", "temp")
    assert "服务器时间" in out
    assert "传感器故障：请查看仪表" in out


async def test_times_are_those_of_the_site_and_the_age_is_the_sources(farm, site):
    now = int(datetime.now(UTC).timestamp() * 1000)
    await say(farm, "T1.Level", 3.0, source=now - 30_000, server=T0)
    code, out, _ = await verb("probe", site, "tank-1", "level")
    local = datetime.fromtimestamp((now - 30_000) / 1000, ZoneInfo("Asia/Shanghai"))
    server = datetime.fromtimestamp(T0 / 1000, ZoneInfo("Asia/Shanghai"))
    assert code == 0
    assert f"{local:%H:%M:%S}" in out
    assert f"{server:%Y-%m-%d %H:%M:%S}.{T0 % 1000:03}" in out
    _, told = await document(site, "tank-1", "level")
    said = told["points"]["level"]["server"]
    assert (said["source"], said["server"]) == (now - 30_000, T0)
    assert said["age"] >= 30_000


async def test_a_server_whose_clock_is_ahead_is_told(farm, site):
    await say(farm, "T1.Level", 3.0, source=int(datetime.now(UTC).timestamp() * 1000) + 3_600_000)
    _, out, _ = await verb("probe", site, "tank-1", "level")
    assert re.search(r"The server's clock is 3(599|600)\.\d s ahead of this gateway's\.", out)


async def test_a_value_that_is_judged_has_its_flag_and_is_shown_all_the_same(farm, site):
    await say(farm, "T1.Level", 99.0)
    beyond, told = await document(site, "tank-1", "level")
    await say(farm, "T1.Level", 5.0)
    await say(farm, "T1.Health", 1)
    serviced, state_ = await document(site, "tank-1", "level")
    await say(farm, "T1.Health", 0)
    await say(farm, "T1.Level", 5.0, status=0x4093_0000)
    uncertain, doubt = await document(site, "tank-1", "level")
    assert (beyond, told["points"]["level"]["flag"], told["points"]["level"]["server"]["value"]) == (
        1,
        "out-of-range",
        99,
    )
    assert (serviced, state_["points"]["level"]["flag"], state_["states"][0]["value"]) == (0, "maintenance", 1)
    assert (uncertain, doubt["points"]["level"]["uncertain"]) == (0, True)
    assert doubt["points"]["level"]["server"]["status"] == "UncertainSensorNotAccurate"
    assert doubt["points"]["level"]["server"]["meaning"]


async def test_the_same_for_machines(site):
    code, told = await document(site, "tank-1", "level", "gone", "strange")
    assert code == 1
    assert [*told["points"]] == ["level", "gone", "strange"]
    level = told["points"]["level"]
    assert (level["at"], level["value"], level["unit"], "flag" in level) == (at("T1.Level"), 2.5, "m", False)
    assert (level["server"]["type"], level["server"]["code"]) == ("Double", "0x00000000")
    assert told["points"]["gone"]["near"][0] == at("T2.Level")
    assert told["points"]["gone"]["flag"] == "bad-configuration"
    assert told["points"]["strange"]["namespaces"] == [URI]


async def test_a_running_agent_is_asked_and_its_one_session_does_all(farm, site):
    _, alone = await document(site, "tank-1")
    async with Running(site) as agent:
        before = await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
        most, done = 0, asyncio.Event()

        async def count():
            nonlocal most
            while not done.is_set():
                most = max(most, farm.sessions)
                await asyncio.sleep(0)

        watching = asyncio.create_task(count())
        code, told = await document(site, "tank-1")
        done.set()
        await watching
        after = await agent.until(lambda told: told["instruments"][0]["reads"] > before["instruments"][0]["reads"])
    assert (code, most) == (1, 1)
    assert after["instruments"][0]["failed"] == 0
    for one in (told, alone):
        for each in (*one["points"].values(), *one["states"]):
            each["server"] = {
                key: value for key, value in each["server"].items() if key not in {"age", "source", "server"}
            }
    assert (told["points"], told["states"]) == (alone["points"], alone["states"])


async def test_a_server_that_is_away_is_a_problem_with_what_to_do(tmp_path):
    site = site_file(tmp_path, "opc.tcp://127.0.0.1:1")
    code, out, err = await verb("probe", site, "tank-1")
    machine, told = await document(site, "tank-1")
    assert (code, out, machine) == (1, "", 1)
    assert "Check that the server runs" in err
    assert "Check that the server runs" in told["fault"]["next"]


@pytest.mark.parametrize("words", [("tank-9",), ("tank-1", "flow"), ("tank-1", "--trace"), ("tank-1", "--all-orders")])
async def test_what_makes_no_sense_is_a_usage_error(tmp_path, words):
    code, out, err = await verb("probe", site_file(tmp_path, "opc.tcp://127.0.0.1:1"), *words)
    assert (code, out) == (2, "")
    assert err


def probed(answers, *, flags=(), near=(), now=T0):
    """Give a probe as it would come, without a server."""
    tank = instrument(point("level"), point("flow"), states=[state()])
    snapshot = Snapshot("tank-1", now, (1.0, None), dict(flags), (None,))
    probe = Probe(tank, snapshot, plan(tank), tuple(answers), dict(near))
    return Probed(probe, snapshot, line("opc.tcp://h"), now, ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize("time", [None, 0, -11_644_473_600_000, 253_402_214_400_000])
def test_a_time_that_says_none_is_none(time):
    told = as_json(probed([Answer(1.0, "Double", source=time, server=time)] * 3), ["level"])
    assert "age" not in told["points"]["level"]["server"]
    assert told["remarks"] == []


def test_a_value_that_json_has_no_number_for_is_told_as_text():
    told = as_json(probed([Answer(float("nan"), "Double")] * 3, flags={0: Flag.FAULT}), ["level"])
    assert told["points"]["level"]["server"]["value"] == "nan"
    assert json.dumps(told, allow_nan=False)


def test_only_the_points_asked_for_and_the_states_are_remarked_on():
    bad = Answer(status=0x8034_0000, said="BadNodeIdUnknown")
    found = probed([bad] * 3, near={1: Near(("ns=2;s=flow",))})
    assert [each.split(":")[0] for each in remarks(found, ["level"])] == ["level", "state 1"]
    assert any("did you mean ns=2;s=flow?" in each for each in remarks(found, ["flow"]))
