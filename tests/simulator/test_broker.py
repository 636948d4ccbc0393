"""The embedded broker: a real MQTT 5 broker that is there, and gone again with whoever started it."""

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from parkgate.simulator import broker as module
from parkgate.simulator.broker import BrokerFailed, EmbeddedBroker

DOOMED = """
import sys, time
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
client = Client(CallbackAPIVersion.VERSION2, "doomed", protocol=MQTTv5)
client.will_set("park/v1/a/b/status", b"offline", qos=1, retain=True)
client.on_connect = lambda *told: print("connected", flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
time.sleep(60)
"""


def listening() -> set[str]:
    """What listens on this computer, as hexadecimal address and port."""
    return {line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if " 0A " in line}


def gone(pid: int) -> bool:
    """A process that ended, or one that ended and that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until(holds, seconds=10.0):
    async with asyncio.timeout(seconds):
        while True:
            if holds():
                return
            await asyncio.sleep(0.02)


class Peer:
    """An MQTT 5 client of the library's own making, in its own thread."""

    def __init__(self, port: int, name: str, will=None):
        self.got, self.acknowledged, self.ready = [], {}, []
        self.client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTv5)
        if will:
            self.client.will_set(*will, qos=1, retain=True)
        self.client.on_connect = lambda *told: self.ready.append(told[3].value)
        self.client.on_subscribe = lambda *told: self.ready.append(told[3][0].value)
        self.client.on_publish = lambda *told: self.acknowledged.__setitem__(told[2], told[3].value)
        self.client.on_message = lambda *told: self.got.append((told[2].topic, told[2].payload, told[2].retain))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


async def test_an_mqtt_5_client_publishes_and_a_late_subscriber_gets_the_retained_copy_exactly_once():
    async with EmbeddedBroker() as broker:
        first = Peer(broker.port, "first")
        await until(lambda: first.ready == [0])
        sent = first.client.publish("park/v1/a/b/data/c", b"kept", qos=1, retain=True)
        await until(lambda: first.acknowledged.get(sent.mid) == 0)
        late = Peer(broker.port, "late")
        await until(lambda: late.ready == [0])
        late.client.subscribe("park/v1/#", qos=1)
        await until(lambda: late.got)
        first.client.publish("park/v1/a/b/data/c", b"next", qos=1)
        await until(lambda: late.got[-1][1] == b"next")
        assert late.got == [("park/v1/a/b/data/c", b"kept", True), ("park/v1/a/b/data/c", b"next", False)]
        first.leave()
        late.leave()


async def test_a_client_that_is_killed_leaves_its_will():
    async with EmbeddedBroker() as broker:
        watcher = Peer(broker.port, "watcher")
        await until(lambda: watcher.ready == [0])
        watcher.client.subscribe("park/v1/#", qos=1)
        await until(lambda: watcher.ready == [0, 1])
        doomed = await asyncio.create_subprocess_exec(
            sys.executable, "-c", DOOMED, str(broker.port), stdout=asyncio.subprocess.PIPE
        )
        assert await doomed.stdout.readline() == b"connected\n"
        assert watcher.got == []
        doomed.kill()
        await doomed.wait()
        await until(lambda: watcher.got)
        assert watcher.got == [("park/v1/a/b/status", b"offline", False)]
        watcher.leave()


async def test_it_listens_on_this_computer_only_and_its_port_is_free_again_afterwards():
    async with EmbeddedBroker() as broker:
        assert broker.url == f"mqtt://127.0.0.1:{broker.port}"
        assert f"0100007F:{broker.port:04X}" in listening()
        assert f"00000000:{broker.port:04X}" not in listening()
        pid = broker.pid
    assert gone(pid)
    async with EmbeddedBroker(broker.port) as again:
        assert again.port == broker.port


async def test_a_port_in_use_is_said_with_the_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerFailed, match=str(port)):
            await EmbeddedBroker(port).__aenter__()


async def test_a_child_that_cannot_start_is_said_with_its_last_words(monkeypatch):
    monkeypatch.setattr(module, "CONFIGURATION", "this is not rumqttd's configuration")
    with pytest.raises(BrokerFailed, match=r"ended at its start: .+"):
        await EmbeddedBroker().__aenter__()


async def test_a_missing_package_is_said_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BrokerFailed, match=r'pip install "parkgate\[demo\]"'):
        await EmbeddedBroker().__aenter__()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_it_ends_when_its_parent_is_killed(end):
    script = (
        "import asyncio\nfrom parkgate.simulator.broker import EmbeddedBroker\n"
        "async def main():\n"
        "    async with EmbeddedBroker() as broker:\n"
        "        print(broker.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    pid = int(await parent.stdout.readline())
    assert not gone(pid)
    parent.send_signal(end)
    await parent.wait()
    await until(lambda: gone(pid))


async def test_ctrl_c_in_the_terminal_does_not_reach_it():
    async with EmbeddedBroker() as broker:
        assert os.getpgid(broker.pid) != os.getpgid(0)
        assert os.getsid(broker.pid) != os.getsid(0)


def test_two_of_them_run_beside_each_other_from_a_plain_script():
    script = (
        "import asyncio\nfrom parkgate.simulator.broker import EmbeddedBroker\n"
        "async def main():\n"
        "    async with EmbeddedBroker() as one, EmbeddedBroker() as two:\n"
        "        print(one.port != two.port)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)
