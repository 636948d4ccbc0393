"""`parkgate alarms SITE`: what stands as people and programs read it, and who acknowledges what."""

import asyncio
import io
import json

import pytest
from rich.console import Console
from support.broker import Mosquitto
from support.cabinet import Running, answering, site_file, unit, verb

from parkgate.config.load import load_site
from parkgate.gateway.commands.alarms import show
from parkgate.gateway.control.server import SOCKET
from parkgate.simulator.modbus import ModbusPlant

ALARMS = """points.so2.alarms = [
  { name = "high", above = 100, latch = true, priority = "urgent" },
  { name = "rise", rate = 50, per = "1min" },
  { name = "fault", fault = true },
]
points.o2.alarms = [ { name = "low", below = 8, priority = "low" } ]
"""
BY = ("--by", "Li Wei", "--why", "valve closed")
NOW = 1_763_890_000_000


@pytest.mark.xdist_group("agents")
async def test_of_a_running_agent_it_lists_what_stands_and_acknowledges_it(tmp_path):
    async with ModbusPlant("modbus-tcp://127.0.0.1:0", {1: unit(so2=150.0)}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, more=ALARMS)
        async with Running(site) as agent:
            await agent.until(answering)
            async with asyncio.timeout(30):
                while (listed := await verb("alarms", site))[1].count("stack-1") < 2:
                    await asyncio.sleep(0.05)
            code, out, err = listed
            status = await verb("status", site)
            acknowledged = await verb("alarms", site, "--ack", "stack-1", *BY)
            again = await verb("alarms", site, "--ack", "stack-1", *BY)
            as_json = await verb("alarms", site, "--json")
            await agent.stop()
    assert (code, err) == (1, "")
    assert "alarms that stand: 2, not acknowledged: 2; parkgate alarms SITE lists them" in status[1]
    assert status[0] == 0, "an alarm is no fault of the gateway"
    assert [line.split()[:7] for line in out.splitlines()[1:]] == [
        ["stack-1", "so2", "high", "urgent", "unacknowledged", "150.0", "≥"],
        ["stack-1", "o2", "low", "low", "unacknowledged", "6.2", "≤"],
    ]
    stands = "acknowledged; it stands until the value returns"
    assert acknowledged == (0, f"stack-1 so2 high: {stands}\nstack-1 o2 low: {stands}\n", "")
    assert (again[0], again[1]) == (1, "")
    assert "nothing to acknowledge: stack-1" in again[2]
    assert [each["acknowledged"] for each in json.loads(as_json[1])["standing"]] == [True, True]


async def test_without_an_agent_it_says_so(tmp_path):
    for words in ((), ("--ack", "stack-1", *BY)):
        code, out, err = await verb("alarms", site_file(tmp_path), *words)
        assert (code, out) == (1, "")
        assert "no agent answers" in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ack", "stack-1"), "an acknowledgement needs a name and a reason: --by NAME --why TEXT"),
        (("--ack", "stack-1", "--by", "Li Wei"), "an acknowledgement needs a name and a reason"),
        (("--ack", "stack-1", "so2", "high", "more", *BY), "--ack takes an instrument, a point and an alarm at most"),
        (BY, "--by and --why go with --ack"),
    ],
)
async def test_an_acknowledgement_is_asked_for_whole(tmp_path, words, said):
    code, out, err = await verb("alarms", site_file(tmp_path), *words)
    assert (code, out) == (2, "")
    assert said in err


async def answered(folder, *words, **answer):
    """Run the verb at an agent that answers this; give what it was asked too."""
    asked = []

    async def serve(reader, writer):
        asked.append(json.loads(await reader.readline()))
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    path = site_file(folder)
    (folder / "data").mkdir()
    async with await asyncio.start_unix_server(serve, folder / "data" / SOCKET):
        return asked, await verb("alarms", path, *words)


async def test_the_agent_is_asked_for_just_what_was_named(tmp_path):
    done = {"instrument": "stack-1", "point": "so2", "alarm": "high", "state": "cleared"}
    asked, told = await answered(tmp_path, "--ack", "stack-1", "so2", *BY, acknowledged=[done])
    assert asked == [
        {"verb": "acknowledge", "instrument": "stack-1", "point": "so2", "by": "Li Wei", "why": "valve closed"}
    ]
    assert told == (0, "stack-1 so2 high: acknowledged and cleared\n", "")


async def test_what_the_agent_refuses_is_said_and_exits_with_1(tmp_path):
    _, told = await answered(tmp_path, "--ack", "stack-1", *BY, error="not so")
    assert told == (1, "", "not so\n")


async def test_an_acknowledgement_as_json_is_the_agents_answer(tmp_path):
    _, (code, out, _) = await answered(tmp_path, "--ack", "stack-1", "--json", *BY, acknowledged=[])
    assert (code, json.loads(out)) == (1, {"acknowledged": []})


async def test_where_nothing_stands_it_says_so_and_exits_with_0(tmp_path):
    _, told = await answered(tmp_path, now=NOW, standing=[])
    assert told == (0, "no alarm stands\n", "")


def entry(**more):
    return {
        "instrument": "stack-1", "point": "so2", "alarm": "high", "kind": "above", "state": "active",
        "acknowledged": False, "latched": True, "value": 150.0, "limit": 100, "priority": "urgent",
        "since": NOW - 90_000, "ts": NOW, **more,
    }  # fmt: skip


def shown(folder, *entries):
    site = load_site(site_file(folder))
    file = io.StringIO()
    show(Console(file=file, width=120), site, {"now": NOW, "standing": list(entries)})
    return file.getvalue().splitlines()


def test_each_kind_of_limit_says_its_direction_and_its_unit(tmp_path):
    lines = shown(
        tmp_path, entry(), entry(kind="below", limit=0.5), entry(kind="rate", limit=-5), entry(kind="equals", limit=1),
        entry(point="gone", limit=7),
    )  # fmt: skip
    assert [next(word for word in ("≥ 100 mg/m3", "≤ 0.5 mg/m3", "Δ -5 mg/m3", "= 1 mg/m3", "≥ 7 ") if word in line)
            for line in lines[1:]]  # fmt: skip


def test_what_returned_and_what_was_acknowledged_is_told_apart(tmp_path):
    lines = shown(tmp_path, entry(returned=True), entry(acknowledged=True), entry(flag="out-of-range", value=400.0))
    assert "returned, unacknowledged" in lines[1]
    assert " acknowledged" in lines[2]
    assert "400.0" in lines[3]
    assert "90 s" in lines[3]


def test_a_fault_has_neither_value_nor_limit(tmp_path):
    fault = {key: value for key, value in entry(kind="fault", flag="no-communication").items()
             if key not in {"value", "limit"}}  # fmt: skip
    (line,) = shown(tmp_path, fault)[1:]
    assert "None" not in line


def test_in_chinese_it_is_aligned_too(tmp_path, monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    lines = shown(tmp_path, entry(), entry(instrument="gas-10", returned=True))
    assert "紧急" in lines[1]
    assert "已恢复，未确认" in lines[2]
    assert [line.index("so2") for line in lines[1:]] == [8, 8]
