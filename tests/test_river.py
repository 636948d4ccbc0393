"""The whole river: instrument, driver, validity, outbox, broker, the platform's books; with its plugs pulled."""

import asyncio
import json
import signal

import jsonschema
import pytest
from support.broker import Mosquitto
from support.river import booked, leaf, seqs, simulated, until, write_site
from support.subscriber import Subscriber

from parkgate.gateway.messages import models
from parkgate.gateway.messages.schema import SCHEMAS, json_schema
from parkgate.simulator.agent import Agent

pytestmark = pytest.mark.xdist_group("agents")

NAMES = ("tank", "gas-1", "gas-2")


@pytest.fixture
async def park(tmp_path):
    async with simulated(tmp_path / "park", 2) as running:
        yield running


def message_kind(message):
    first = leaf(message).split("/")[0]
    return first if first in SCHEMAS else None


async def test_every_message_fits_its_schema_and_a_killed_agent_is_told_by_its_will(park, tmp_path):
    async with Mosquitto() as broker, Subscriber(broker.port, "park/v1/#") as platform:
        site = write_site(tmp_path, broker.url, dict(park.urls))
        async with Agent(site, tmp_path / "data") as agent:
            await until(lambda: all(len(seqs(platform.received, name)) >= 5 for name in NAMES))
            agent._process.send_signal(signal.SIGKILL)
            await agent.ended
        await until(lambda: leaf(platform.received[-1]) == "status")
    will = json.loads(platform.received[-1].payload)
    assert (will["state"], will["reason"], will["connection"]) == ("offline", "lost", 1)
    kinds = {message_kind(message) for message in platform.received}
    assert kinds - {"backfill"} == {"status", "meta", "data", "event"}
    for message in platform.received:
        kind = message_kind(message)
        jsonschema.validate(json.loads(message.payload), json_schema(kind))
        SCHEMAS[kind].model_validate_json(message.payload)


async def test_meta_comes_before_the_first_snapshot_that_refers_to_it(park, tmp_path):
    async with Mosquitto() as broker, Subscriber(broker.port, "park/v1/#") as platform:
        async with Agent(write_site(tmp_path, broker.url, dict(park.urls)), tmp_path / "data"):
            await until(lambda: all(seqs(platform.received, name) for name in NAMES))
        known = set()
        for message in platform.received:
            kind = leaf(message).partition("/")[0]
            if kind == "meta":
                known.add(json.loads(message.payload)["rev"])
            if kind == "data":
                assert json.loads(message.payload)["rev"] in known
        assert {f"meta/{name}" for name in NAMES} <= {leaf(message) for message in platform.received}


async def test_an_instruments_points_all_stand_in_values_or_invalid(park, tmp_path):
    async with Mosquitto() as broker, Subscriber(broker.port, "park/v1/#") as platform:
        async with Agent(write_site(tmp_path, broker.url, dict(park.urls)), tmp_path / "data"):
            await until(lambda: all(len(seqs(platform.received, name)) > 2 for name in NAMES))
        metas = {leaf(each).split("/")[1]: models.Meta.model_validate_json(each.payload)
                 for each in platform.received if leaf(each).startswith("meta/")}  # fmt: skip
        for message in platform.received:
            if leaf(message).startswith("data/"):
                snapshot = models.Snapshot.model_validate_json(message.payload)
                points = set(metas[leaf(message).split("/")[1]].points)
                assert set(snapshot.values) | set(snapshot.invalid) == points
                assert not set(snapshot.values) & set(snapshot.invalid)


@pytest.mark.parametrize("killed", [False, True], ids=["agent lives", "agent killed in the outage"])
async def test_an_outage_of_the_broker_leaves_no_hole(park, tmp_path, killed):
    received = []
    async with Mosquitto() as broker:
        site = write_site(tmp_path, broker.url, dict(park.urls))
        async with Subscriber(broker.port, "park/v1/#") as before:
            agent = await Agent(site, tmp_path / "data").__aenter__()
            await until(lambda: all(len(seqs(before.received, name)) >= 3 for name in NAMES))
            await broker.stop()
        received += before.received
        stored = await stored_by(agent)
        if killed:
            await wait_stored(agent, {name: count + 5 for name, count in stored.items()})
            agent._process.send_signal(signal.SIGKILL)
            await agent.__aexit__(None, None, None)
            agent = await Agent(site, tmp_path / "data").__aenter__()
        await wait_stored(agent, {name: count + 15 for name, count in stored.items()})
        await broker.start()
        async with Subscriber(broker.port, "park/v1/#") as after:
            await until(lambda: all(len(seqs(after.received, name, of=("data",))) >= 3 for name in NAMES))
            account = await agent.stop(15)
            await until(lambda: any(leaf(each) == "status" and b"stopped" in each.payload for each in after.received))
        received += after.received
        await agent.__aexit__(None, None, None)
    assert account["uplinks"]["park"]["waiting"] == 0
    for name in NAMES:
        assert set(seqs(received, name)) == set(range(1, account["instruments"][name]["stored"] + 1)), name
        late = seqs(after.received, name, of=("backfill",))
        assert late == sorted(late)
        assert late, "the outage came as backfill"
    books = booked(received)
    assert {(each.source, each.verdict.value, each.different) for each in books.account()} == {
        *((f"test/gw/{name}", "COMPLETE", 0) for name in NAMES), ("test/gw", "COMPLETE", 0),
    }  # fmt: skip


async def stored_by(agent):
    status = await agent.status()
    return {each["name"]: each["seq"] for each in status["instruments"]}


async def wait_stored(agent, wanted):
    async with asyncio.timeout(30):
        while True:
            status = await agent.status()
            if status and all(each["seq"] >= wanted[each["name"]] for each in status["instruments"]):
                return
            await asyncio.sleep(0.05)


async def test_one_dead_instrument_of_ten_stands_as_no_communication_and_the_nine_keep_their_turns(tmp_path):
    async with simulated(tmp_path / "park", 9) as park, Mosquitto() as broker:
        # Nothing answers there: a listener whose backlog is full drops every further SYN, as a dead address does.
        dead = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = dead.sockets[0].getsockname()[1]
        dead.close()
        lines = {**park.urls, "l9": f"modbus-tcp://127.0.0.1:{port}"}
        site = write_site(tmp_path, broker.url, lines, timeout="300ms")
        async with Subscriber(broker.port, "park/v1/#") as platform, Agent(site, tmp_path / "data") as agent:
            await until(lambda: len(seqs(platform.received, "gas-1")) >= 15)
            status = await agent.status()
            await agent.stop(15)
    silent = [json.loads(each.payload).get("silent") for each in platform.received if leaf(each) == "status"]
    assert ["gas-9"] in silent
    dead_snapshots = [json.loads(each.payload) for each in platform.received if leaf(each) == "data/gas-9"]
    assert dead_snapshots
    for snapshot in dead_snapshots:
        assert snapshot["values"] == {}
        assert {each["flag"] for each in snapshot["invalid"].values()} == {"no-communication"}
    by_name = {each["name"]: each for each in status["instruments"]}
    assert by_name["gas-9"]["state"] == "silent"
    assert "gas-9" not in {name for name, each in by_name.items() if each["state"] == "answering"}
    assert len([each for each in by_name.values() if each["state"] == "answering"]) == 9
    turns = {name: each["seq"] for name, each in by_name.items() if name.startswith("gas")}  # of one period
    dead_ones = turns.pop("gas-9")
    assert max(turns.values()) - min(turns.values()) <= 3, "nobody lost turns to the dead one"
    assert dead_ones >= max(turns.values()) // 2, "nor did it lose its own"
