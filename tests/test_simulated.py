"""A simulated instrument cannot pass for real: from its own words to what the platform and the technician read."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from support.broker import Mosquitto
from support.cabinet import Running, answering, site_file, unit, verb
from support.modbus_wire import Wire
from support.river import leaf, seqs, simulated, until, write_site
from support.subscriber import Subscriber

from parkgate.gateway.messages import models
from parkgate.simulator.agent import Agent
from parkgate.simulator.modbus import ModbusPlant

pytestmark = pytest.mark.xdist_group("agents")

ANY = "modbus-tcp://127.0.0.1:0"
REAL_LINE = """
[[line]]
name = "real"
url = "modbus-tcp://127.0.0.1:{port}"
timeout = "200ms"
[[instrument]]
name = "real-1"
line = "real"
profile = "stack"
every = "100ms"
"""


def bodies(messages, kind):
    return [json.loads(each.payload) for each in messages if leaf(each).partition("/")[0] == kind]


async def test_meta_says_so_before_the_first_value_and_so_does_status(tmp_path):
    async with simulated(tmp_path / "park", 1) as park, Mosquitto() as broker:
        site = write_site(tmp_path, broker.url, dict(park.urls))
        async with Subscriber(broker.port, "park/v1/#") as platform, Agent(site, tmp_path / "data"):
            await until(lambda: all(len(seqs(platform.received, name)) >= 5 for name in ("tank", "gas-1")))
            await until(lambda: bodies(platform.received, "status")[-1].get("simulated"))
    known = {}
    for message in platform.received:
        kind = leaf(message).partition("/")[0]
        if kind == "meta":
            meta = models.Meta.model_validate_json(message.payload)
            known[meta.rev] = meta.simulated
        if kind in {"data", "backfill"}:
            told = json.loads(message.payload)
            for snapshot in told if isinstance(told, list) else [told]:
                assert known[snapshot["rev"]] or snapshot["values"] == {}
    assert sorted(known.values()) == [False, False, True, True]


async def test_who_connects_later_is_told_what_the_rows_refer_to(tmp_path):
    async with simulated(tmp_path / "park", 1, tank=False) as park, Mosquitto() as broker:
        await broker.stop()
        site = write_site(tmp_path, broker.url, dict(park.urls))
        async with Agent(site, tmp_path / "data") as agent:
            async with asyncio.timeout(30):
                while (await agent.status() or {"instruments": [{"seq": 0}]})["instruments"][0]["seq"] < 5:
                    await asyncio.sleep(0.05)
            await broker.start()
            async with Subscriber(broker.port, "park/v1/#") as platform:
                await until(lambda: seqs(platform.received, "gas-1", of=("data",)))
    metas = {body["rev"]: body.get("simulated", False) for body in bodies(platform.received, "meta")}
    assert all(metas[body["rev"]] for body in bodies(platform.received, "data"))


@asynccontextmanager
async def cabinet(folder, **more):
    """A site of a simulated instrument `stack-1` and a real one `real-1`, which knows function 3 and 4 only."""
    registers = {("input", 0): 0x4148, ("input", 1): 0, ("input", 2): 620, ("holding", 0): 0}
    async with ModbusPlant(ANY, {1: unit()}) as plant, Wire(registers) as wire, Mosquitto() as broker:
        site = site_file(folder, line=plant.url, uplink=broker.url, more=REAL_LINE.format(port=wire.port), **more)
        async with Subscriber(broker.port, "park/v1/#") as platform, Running(site) as agent:
            yield site, agent, platform


def by_name(told):
    return {each["name"]: each for each in told["instruments"]}


async def known(agent):
    """Wait until both were asked."""
    asked = {True, False}
    told = await agent.until(
        lambda told: answering(told) and {each["simulated"] for each in told["instruments"]} == asked
    )
    return by_name(told)


@pytest.mark.parametrize(("language", "word"), [("en", "simulated"), ("zh", "模拟")])
async def test_beside_a_real_one_it_is_flagged_told_and_shown_as_a_fault(tmp_path, monkeypatch, language, word):
    async with cabinet(tmp_path) as (site, agent, platform):
        instruments = await known(agent)
        monkeypatch.setenv("PARKGATE_LANG", language)
        code, out, err = await verb("status", site)
        monkeypatch.undo()
        flagged = {"flag": "bad-configuration", "value": 12.5}
        await until(lambda: any(
            body["source"].endswith("/stack-1") and body.get("invalid", {}).get("so2") == flagged
            for body in bodies_of(platform, "data")
        ))  # fmt: skip
        await until(lambda: any(body["event"] == "simulated-refused" for body in bodies_of(platform, "event")))
    assert (code, err) == (1, "")
    assert word in out
    assert "mixed = true" in out
    assert (instruments["stack-1"]["simulated"], instruments["real-1"]["simulated"]) == (True, False)
    assert "mixed = true" in instruments["stack-1"]["fault"]
    assert instruments["real-1"]["fault"] == ""
    refused = [body for body in bodies_of(platform, "event") if body["event"] == "simulated-refused"]
    assert [body["subject"] for body in refused] == ["stack-1"]
    for body in bodies_of(platform, "data"):
        if body["source"].endswith("/real-1"):
            assert body["values"] == {"so2": 12.5, "o2": 6.2}


async def test_where_the_site_file_says_mixed_both_go_on(tmp_path):
    async with cabinet(tmp_path, top="mixed = true") as (site, agent, platform):
        instruments = await known(agent)
        code, out, _ = await verb("status", site)
        await until(lambda: len(bodies_of(platform, "data")) > 6)
    assert code == 0
    assert "simulated" in out
    assert {each["fault"] for each in instruments.values()} == {""}
    assert all("invalid" not in body for body in bodies_of(platform, "data"))


def bodies_of(platform, kind):
    root = "park/v1/xuwei/gw-01/"
    named = ((each.topic.removeprefix(root).partition("/")[0], each.payload) for each in platform.received)
    return [json.loads(payload) for found, payload in named if found == kind]
