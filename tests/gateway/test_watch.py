"""`parkgate watch` as people run it: a process, a real control socket, a real broker, a real terminal."""

import argparse
import asyncio
import contextlib
import json
import os
import pty
import signal
import sys

import pytest
from iotcore import Broker
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from support.broker import Mosquitto, free_port

from parkgate.drivers.faults import Fault, Unreachable
from parkgate.gateway.commands import watch
from parkgate.gateway.commands.subscriber import Message, Subscriber
from parkgate.gateway.control.client import NotRunning
from parkgate.gateway.control.server import ControlServer

pytestmark = pytest.mark.xdist_group("agents")

PATIENCE = 30.0
VERB = (
    "import argparse, sys\nfrom parkgate.gateway.commands import watch\n"
    "parser = argparse.ArgumentParser()\nwatch.add_arguments(parser)\nsys.exit(watch.run(parser.parse_args()))\n"
)
SITE = """
[gateway]
site = "xuwei"
id = "gw-01"
title = "徐圩一期"
data = "{data}"

[[uplink]]
name = "park"
url = "mqtt://127.0.0.1:1"

[[line]]
name = "gas"
url = "modbus-tcp://127.0.0.1:1"

[[instrument]]
name = "gas-1"
line = "gas"
profile = "gas-detector-generic"
every = "1s"
"""
REPLY = {
    "instruments": [
        {"name": "gas-1", "title": "1# 泵房", "protocol": "modbus", "at": 1763890000123, "seq": 9, "low": 8,
         "points": {"gas": {"value": 3.5, "unit": "ppm", "title": "硫化氢", "flag": None}}},
    ],
    "uplinks": [{"name": "park", "delivered": 7, "waiting": 2}],
    "alarms": [{"acknowledged": True}],
}  # fmt: skip
SNAPSHOT = {"source": "xuwei/gw-01/gas-1", "epoch": "0001-aaaaaa", "seq": 4, "low": 4, "ts": 1763890000123, "rev": "a"}


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(data=tmp_path))
    return path


@contextlib.asynccontextmanager
async def agent(folder):
    """The control socket of an agent that counts how often it was asked."""
    asked = []

    async def status(request):
        asked.append(request)
        return {**REPLY, "now": len(asked)}

    server = asyncio.create_task(ControlServer(folder, {"status": status}).run())
    while True:
        if (folder / "control.sock").exists():
            break
        await asyncio.sleep(0.01)
    try:
        yield asked
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


@contextlib.asynccontextmanager
async def publisher(port, version=MQTTv5):
    client = Client(CallbackAPIVersion.VERSION2, "gateway", protocol=version)
    client.connect("127.0.0.1", port)
    client.loop_start()

    async def publish(topic, record, *, retain=True):
        body = json.dumps(record).encode()
        sent = client.publish(f"park/v1/xuwei/gw-01/{topic}", body, qos=1, retain=retain)
        await asyncio.to_thread(sent.wait_for_publish, PATIENCE)

    yield publish
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)


async def start(*words, stdout=asyncio.subprocess.PIPE):
    environment = {**os.environ, "PARKGATE_LANG": "en", "COLUMNS": "120", "LINES": "40"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", VERB, *map(str, words),
        stdout=stdout, stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip


async def finished(process):
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_on_a_pipe_it_prints_the_table_of_a_gateway_once(site, tmp_path):
    async with agent(tmp_path) as asked:
        code, out, err = await finished(await start(site))
    assert (code, err, asked) == (0, "", [{"verb": "status"}])
    lines = out.splitlines()
    assert lines[0].strip() == "徐圩一期"
    assert lines[2].split()[:5] == ["gas-1", "1#", "泵房", "modbus", "gas"]
    assert lines[2].split()[-4:] == ["9", "9", "7", "2"]
    assert lines[3].strip() == "alarms that stand: 1, not acknowledged: 0  uplink park: delivered 7, waiting 2"


async def test_json_is_one_line_and_says_what_the_table_says(site, tmp_path):
    async with agent(tmp_path):
        code, out, _ = await finished(await start(site, "--json"))
    (line,) = out.splitlines()
    told = json.loads(line)
    assert code == 0
    assert told["of"] == "徐圩一期"
    assert told["instruments"] == [
        {"instrument": "gas-1", "title": "1# 泵房", "protocol": "modbus", "at": 1763890000123, "seq": 9, "stored": 9,
         "delivered": 7, "waiting": 2, "points": {"gas": {"value": 3.5, "unit": "ppm", "title": "硫化氢"}}},
    ]  # fmt: skip


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_following_it_prints_line_after_line_until_it_is_told_to_stop(site, tmp_path, end):
    async with agent(tmp_path) as asked:
        process = await start(site, "--json", "--follow")
        async with asyncio.timeout(PATIENCE):
            lines = [await process.stdout.readline() for _ in range(2)]
        process.send_signal(end)
        code, _, err = await finished(process)
    assert (code, err) == (0, "")
    assert all(json.loads(line)["instruments"] for line in lines)
    assert len(asked) >= 2


async def test_for_ends_it_by_itself(site, tmp_path):
    async with agent(tmp_path):
        code, out, err = await finished(await start(site, "--for", "300ms"))
    assert (code, err) == (0, "")
    assert out.count("gas-1") == 1


async def test_on_a_terminal_the_table_is_live_until_ctrl_c(site, tmp_path):
    ours, theirs = pty.openpty()
    async with agent(tmp_path) as asked:
        process = await start(site, stdout=theirs)
        os.close(theirs)
        seen = b""
        async with asyncio.timeout(PATIENCE):
            while len(asked) < 3:
                seen += await asyncio.to_thread(os.read, ours, 65536)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(OSError):  # a terminal whose other end is closed
                while chunk := await asyncio.to_thread(os.read, ours, 65536):
                    seen += chunk
            code = await process.wait()
        err = await process.stderr.read()
    os.close(ours)
    assert (code, err) == (0, b"")
    assert seen.count(b"gas-1") >= 2
    assert b"\x1b[1A" in seen  # the cursor went up: the table was drawn over itself
    assert seen.rstrip().endswith(b"\x1b[?25h")  # and is visible again


def run(*words):
    parser = argparse.ArgumentParser()
    watch.add_arguments(parser)
    return watch.run(parser.parse_args([str(word) for word in words]))


def test_an_agent_that_does_not_run_is_said_with_what_to_do(site):
    with pytest.raises(NotRunning, match="parkgate run"):
        run(site)


def test_a_broker_that_is_not_there_is_said_with_its_address():
    port = free_port()
    with pytest.raises(Unreachable, match=f"mqtt://127.0.0.1:{port}.*Check the address"):
        run(f"mqtt://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "url", ["mqtt://", "mqtt://127.0.0.1:99999", "http://h", "mqtts://me:s3cret@:1", "mqtt://[::1"]
)
def test_a_url_that_is_none_is_a_usage_error(url, capsys):
    with pytest.raises(SystemExit) as usage:
        run(url)
    assert usage.value.code == 2
    said = capsys.readouterr().err
    assert "mqtt://host" in said
    assert "s3cret" not in said


def test_a_duration_without_its_unit_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as usage:
        run("site.toml", "--for", "5")
    assert usage.value.code == 2
    assert '"5"' in capsys.readouterr().err


async def test_a_broker_shows_what_it_kept_of_every_gateway():
    async with Mosquitto() as broker, publisher(broker.port) as publish:
        await publish("status", {"state": "online"})
        await publish("alarms", {"ts": 1, "standing": [{"acknowledged": False}]})
        await publish("meta/gas-1", {"title": "1# 泵房", "protocol": "modbus", "points": {"gas": {"unit": "ppm"}}})
        await publish("data/gas-1", {**SNAPSHOT, "values": {"gas": 3.5}})
        code, out, err = await finished(await start(broker.url))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].strip() == broker.url
    assert lines[1].split() == ["instrument", "protocol", "values", "age", "seq"]
    assert lines[2].split()[:7] == ["gas-1", "1#", "泵房", "modbus", "gas", "3.5", "ppm"]
    assert lines[3].strip() == "alarms that stand: 1, not acknowledged: 1  xuwei/gw-01 online"


async def test_a_broker_is_followed_as_messages_come():
    async with Mosquitto() as broker, publisher(broker.port) as publish:
        process = await start(broker.url, "--follow", "--json")
        seqs = []
        async with asyncio.timeout(PATIENCE):
            while len(set(seqs)) < 3:
                await publish("data/gas-1", {**SNAPSHOT, "seq": len(seqs) + 1, "values": {}}, retain=False)
                seqs += [each["seq"] for each in json.loads(await process.stdout.readline())["instruments"]] or [0]
        process.send_signal(signal.SIGINT)
        code, _, err = await finished(process)
    assert (code, err) == (0, "")
    assert seqs == sorted(seqs)


async def test_a_broker_that_is_never_quiet_is_shown_once_all_the_same():
    async with Mosquitto() as broker, publisher(broker.port) as publish:
        await publish("data/gas-1", {**SNAPSHOT, "values": {}})
        process = await start(broker.url)
        ending = asyncio.create_task(finished(process))
        while not ending.done():
            await publish("data/gas-2", {**SNAPSHOT, "values": {}}, retain=False)
        code, out, _ = await ending
    assert code == 0
    assert "gas-1" in out


async def test_a_broker_with_nothing_of_ours_is_a_problem_that_is_said():
    async with Mosquitto() as broker:
        code, out, err = await finished(await start(broker.url))
    assert code == 1
    assert broker.url in err
    assert "nothing heard yet" in out
    assert "instrument" not in out


async def test_a_broker_that_dies_is_said_and_ends_with_exit_1():
    async with Mosquitto() as broker:
        process = await start(broker.url, "--follow")
        async with asyncio.timeout(PATIENCE):
            while b"nothing heard yet" not in await process.stdout.readline():
                pass
            await broker.kill()
            assert await process.stderr.readline() == b"connection lost, trying again\n"
            while b"connection lost, trying again" not in await process.stdout.readline():
                pass
        process.send_signal(signal.SIGINT)
        code, _, err = await finished(process)
    assert (code, err) == (1, "")


async def test_a_broker_that_comes_back_is_said_and_ends_with_exit_0():
    async with Mosquitto() as broker:
        process = await start(broker.url, "--follow", "--json")
        async with asyncio.timeout(PATIENCE):
            await process.stdout.readline()
            await broker.kill()
            assert await process.stderr.readline() == b"connection lost, trying again\n"
            await broker.start()
            assert await process.stderr.readline() == b"connected again\n"
        process.send_signal(signal.SIGINT)
        code, _, err = await finished(process)
    assert (code, err) == (0, "")


async def test_the_subscriber_tells_kept_messages_from_live_ones():
    async with Mosquitto() as broker, publisher(broker.port) as publish:
        await publish("status", {"n": 1})
        async with Subscriber(broker.url) as subscriber:
            messages = subscriber.messages()
            topic = "park/v1/xuwei/gw-01/status"
            assert await anext(messages) == Message(topic, b'{"n": 1}', retained=True)
            await publish("status", {"n": 2})
            assert await anext(messages) == Message(topic, b'{"n": 2}', retained=False)
            await messages.aclose()


async def test_the_subscriber_falls_back_to_mqtt_3_1_1():
    with Broker(port=free_port(), listen="127.0.0.1") as broker:
        async with Subscriber(f"mqtt://127.0.0.1:{broker.port}"), publisher(broker.port, 4) as publish:
            await publish("status", {})


async def test_the_subscriber_is_back_after_a_lost_connection():
    async with Mosquitto() as broker, Subscriber(broker.url) as subscriber:
        messages = subscriber.messages()
        await broker.kill()
        await broker.start()
        async with publisher(broker.port) as publish, asyncio.timeout(PATIENCE):
            await publish("status", {"n": 1})
            assert (await anext(messages)).payload == b'{"n": 1}'
        await messages.aclose()


async def test_a_refusal_of_the_broker_is_said_without_the_password(tmp_path):
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    async with Mosquitto([f"password_file {passwords}", "allow_anonymous false"]) as broker:
        with pytest.raises(Fault, match="refuses with 0x") as refused:
            await Subscriber(f"mqtt://someone:secret-word@127.0.0.1:{broker.port}").__aenter__()
    assert "secret-word" not in str(refused.value)
