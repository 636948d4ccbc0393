"""`parkgate run SITE` as a service manager meets it: a process, real instruments, a real broker, a real disk."""

import asyncio
import json
import sqlite3
import sys

import jsonschema
import pytest
from support.broker import Mosquitto
from support.cabinet import Running, answering, site_file, unit, verb
from support.records import validator
from support.subscriber import Subscriber

from parkgate.gateway.storing.migrations import SCHEMA, VERSION
from parkgate.simulator.agent import Agent
from parkgate.simulator.modbus import ModbusPlant

pytestmark = pytest.mark.xdist_group("agents")

ANY = "modbus-tcp://127.0.0.1:0"
ROOT = "park/v1/xuwei/gw-01"


def of(received, topic):
    return [json.loads(each.payload) for each in received if each.topic == f"{ROOT}/{topic}"]


async def test_it_collects_delivers_and_on_sigterm_leaves_with_its_account(tmp_path):
    async with ModbusPlant(ANY, {1: unit(), 2: unit(state=1)}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, units=(1, 2))
        async with Subscriber(broker.port) as subscriber, Running(site) as agent:
            await agent.until(answering)
            while min(len(of(subscriber.received, f"data/stack-{number}")) for number in (1, 2)) < 3:
                await subscriber.until(len(subscriber.received) + 1)
            code, account = await agent.stop()
            await subscriber.until(len(subscriber.received))
            received = list(subscriber.received)
        async with Subscriber(broker.port) as later:
            retained = await later.until(8)
    assert code == 0
    uplink = account["uplinks"]["park"]
    assert account["collected"] == account["stored"] + account["rejected"]
    assert account["stored"] == uplink["delivered"] + uplink["waiting"] + uplink["expired"] + uplink["quarantined"]
    assert (uplink["waiting"], uplink["quarantined"], account["rejected"]) == (0, 0, 0)
    for number in (1, 2):
        name = f"stack-{number}"
        backfill = [record for array in of(received, f"backfill/{name}") for record in array]
        records = sorted([*backfill, *of(received, f"data/{name}")], key=lambda each: each["seq"])
        stored = account["instruments"][name]["stored"]
        assert [each["seq"] for each in records] == list(range(1, stored + 1))
        assert {each["epoch"] for each in records} == {records[0]["epoch"]}
    answered = next(each for each in records if each["values"])  # a slow machine may ask once in vain
    assert answered["values"] == {"o2": 6.2}
    assert answered["invalid"] == {"so2": {"flag": "calibration", "value": 12.5}}
    (status,) = of(retained, "status")
    assert (status["state"], status["reason"]) == ("offline", "stopped")
    assert "Traceback" not in agent.err


MESSAGES = ("status", "meta", "data", "backfill", "event", "alarm", "alarms")
ALARMS = 'points.so2.alarms = [ { name = "fault", fault = true, delay = "1ms", title = "stumm" } ]\n'


async def test_every_message_it_sends_fits_the_published_schemas(tmp_path):
    schemas = {message: validator(message) for message in MESSAGES}
    async with ModbusPlant(ANY, {1: unit(so2=999.0)}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, units=(1, 2), more=ALARMS)
        async with Running(site) as agent:  # nobody listens yet: what it stores before is sent all the same
            await agent.until(lambda told: told["instruments"][1]["state"] == "silent")
            async with Subscriber(broker.port) as subscriber:
                await broker.kill()
                await broker.start()
            async with Subscriber(broker.port) as subscriber:
                await verb("alarms", site, "--ack", "stack-2", "--by", "Li Wei", "--why", "seen")
                while {each.topic.split("/")[4] for each in subscriber.received} < schemas.keys():
                    await subscriber.until(len(subscriber.received) + 1)
                received = list(subscriber.received)
            await agent.stop()
    for each in received:
        try:
            schemas[each.topic.split("/")[4]].validate(json.loads(each.payload))
        except jsonschema.ValidationError as error:
            raise AssertionError((each.topic, each.payload)) from error
    metas = {each.topic for each in received if "/meta/" in each.topic}
    for record in of(received, "data/stack-1"):
        assert f"{ROOT}/meta/stack-1/{record['rev']}" in metas


async def test_a_second_start_goes_on_where_the_first_ended(tmp_path):
    async with ModbusPlant(ANY, {1: unit()}) as plant:
        site = site_file(tmp_path, line=plant.url)
        accounts = []
        for _ in range(2):
            async with Running(site) as agent:
                await agent.until(lambda told: told["instruments"][0]["reads"] >= 3)
                code, account = await agent.stop()
            assert code == 0
            accounts.append(account["instruments"]["stack-1"]["stored"])
            assert account["uplinks"]["park"]["waiting"] == account["stored"]
    assert accounts[1] >= accounts[0] + 3


async def refused(site):
    """Run it where it cannot: its exit code and what it said."""
    async with Running(site) as agent:
        code = await agent.ended()
    assert "Traceback" not in agent.err
    assert agent.out == ""
    return code, agent.err


def newer(path, *, wal):
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(f"{SCHEMA} CREATE TABLE future (x); PRAGMA user_version = 99;")
    connection.close()


@pytest.mark.parametrize("wal", [True, False])
async def test_an_outbox_of_a_newer_version_is_told_and_left(tmp_path, wal):
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "outbox.sqlite"
    newer(file, wal=wal)
    before = file.read_bytes()
    code, said = await refused(site_file(tmp_path))
    assert code == 1
    assert f"the outbox was written by a newer version (99; known {VERSION})" in said
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["data", "data/below"])
async def test_a_data_folder_that_cannot_be_is_told(tmp_path, name):
    (tmp_path / "data").write_text("a file")
    site = site_file(tmp_path)
    site.write_text(site.read_text().replace(f"{tmp_path}/data", f"{tmp_path}/{name}"))
    code, said = await refused(site)
    assert code == 1
    assert f"{tmp_path / name}: the data folder cannot be used" in said
    assert "Give [gateway] data a folder that this user may write to." in said


async def test_a_second_agent_on_the_same_outbox_is_refused_and_the_first_goes_on(tmp_path):
    async with ModbusPlant(ANY, {1: unit()}) as plant:
        site = site_file(tmp_path, line=plant.url)
        async with Running(site) as first:
            before = await first.until(lambda told: told["instruments"][0]["reads"] >= 1)
            code, said = await refused(site)
            after = await first.until(lambda told: told["instruments"][0]["reads"] > before["instruments"][0]["reads"])
            assert (await first.stop())[0] == 0
    assert code == 1
    assert "already running" in said
    assert "move the file" not in said, "the file is in use"
    assert after["outbox"]["epoch"] == before["outbox"]["epoch"]


SILENT_NAMES = """
import socket, sqlite3, sys, threading
from parkgate.gateway.commands import main, run
from parkgate.gateway.storing.database import Database

asked = threading.Event()

def silent(*_args, **_more):
    asked.set()
    threading.Event().wait()

socket.getaddrinfo = silent
run.loop_factory = lambda: None  # asyncio's own loop, which looks names up as above
"""
"""An agent whose name server answers nothing, ever."""
FAILING_DISK = """
commit = Database.commit

def failing(*args):
    if asked.is_set():
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise error
    return commit(*args)

Database.commit = failing
"""
START = "\nsys.exit(main.main(['run', sys.argv[1]]))\n"


def nameless(tmp_path, *programs):
    site = site_file(tmp_path, line="modbus-tcp://plc.example:502", uplink="mqtt://broker.example:1883")
    return Agent(site, tmp_path / "data", command=(sys.executable, "-c", "".join((SILENT_NAMES, *programs, START))))


async def test_a_name_that_is_being_looked_up_for_ever_does_not_keep_it_from_leaving_with_its_account(tmp_path):
    async with nameless(tmp_path) as agent:
        async with asyncio.timeout(30):
            while not (told := await agent.status()) or not told["instruments"][0]["reads"]:
                await asyncio.sleep(0.02)
        account = await agent.stop(10)
        assert agent.ended.done(), agent.errors
    assert agent.ended.result() == 0
    assert account["stored"] == account["uplinks"]["park"]["waiting"]


async def test_a_disk_that_fails_ends_it_with_what_to_do_whatever_else_hangs(tmp_path):
    async with nameless(tmp_path, FAILING_DISK) as agent, asyncio.timeout(30):
        code = await asyncio.shield(agent.ended)
    assert code == 1
    assert "the disk failed while storing: SQLITE_IOERR_FSYNC disk I/O error" in agent.errors
    assert "started again by systemd" in agent.errors
    assert "Traceback" not in agent.errors
