"""OPC UA instruments that are followed, through the agent: what stands in the outbox and in its status."""

import asyncio
import json
import random
import socket
from contextlib import AsyncExitStack

import pytest
from support.opcua_park import T0, bare, datavalue

from parkgate.config.load import load_site
from parkgate.drivers.catalog import opener
from parkgate.gateway.agent import Agent, World
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.control.client import ask
from parkgate.gateway.control.server import SOCKET

SITE = """
[gateway]
site = "test"
id = "gw"
data = "{data}"
[[uplink]]
name = "park"
url = "mqtt://127.0.0.1:1"
[[line]]
name = "dcs"
url = "{url}"
security = "none"
timeout = "5s"
[[instrument]]
name = "tank"
line = "dcs"
profile = "own.toml"
every = "100ms"
{more}
"""


def profile(count):
    rows = (f'p{number} = {{ at = "nsu=urn:test:park;s=p{number}", type = "double" }}' for number in range(count))
    return 'protocol = "opcua"\n[points]\n' + "\n".join(rows)


class Running:
    """An agent in this process, with a site of one instrument."""

    def __init__(self, folder, url, count, more=""):
        (folder / "own.toml").write_text(profile(count), encoding="utf-8")
        path = folder / "site.toml"
        path.write_text(SITE.format(data=folder / "data", url=url, more=more), encoding="utf-8")
        site = load_site(path)
        self._socket = folder / "data" / SOCKET
        self.agent = Agent(site, World(SystemClock(), random.Random(1), opener(site.gateway)))

    async def __aenter__(self):
        self._run = asyncio.create_task(self.agent.run())
        return self

    async def __aexit__(self, *_):
        self.agent.stop()
        await asyncio.wait_for(self._run, 20)

    async def status(self):
        return (await asyncio.to_thread(ask, self._socket, {"verb": "status"}))["instruments"][0]

    async def stored(self, enough):
        async with asyncio.timeout(30):
            while True:
                await asyncio.sleep(0.02)
                if not self._socket.exists():
                    continue
                rows = await self.agent.outbox.read(0, 10_000, 10_000)
                found = [json.loads(row.body) for row in rows if row.series.kind == "data"]
                if enough(found):
                    return found


async def test_ten_bad_nodes_among_a_hundred_are_named_in_status_with_their_reason_and_the_ninety_are_sent(tmp_path):
    good = [f"p{number}" for number in range(100) if number % 10]
    async with bare() as park:
        await park.write(p0=datavalue("a text"), **{name: datavalue(1.0) for name in good})
        async with Running(tmp_path, park.url, 100) as running:
            (full,) = await running.stored(bool)
            assert sorted(full["values"]) == sorted(good)
            assert {each["flag"] for each in full["invalid"].values()} == {"bad-configuration"}
            assert len(full["invalid"]) == 10
            await park.write(**{name: datavalue(2.0, source=T0 + 5) for name in good})
            stored = await running.stored(lambda all_: all_[-1]["values"].get("p99") == 2.0)
            told = {name for each in stored[1:] for name in each["values"]}
            assert told == set(good), "no report says anything about a bad one, or leaves out a good one"
            assert all("invalid" not in each for each in stored[1:])
            status = await running.status()
    assert status["state"] == "answering"
    assert sorted(status["unsupported"]) == sorted(f"p{number}" for number in range(0, 100, 10))
    assert status["reasons"].pop("p0") == "the server has a value of type string, the profile says double"
    assert len(status["reasons"]) == 9
    assert all(each.startswith("the server has no node ") for each in status["reasons"].values())
    values = {name: each["value"] for name, each in status["points"].items()}
    assert all(values[name] == 2.0 for name in good), "status shows what was said last of every point"


async def test_an_outage_stands_as_no_communication_in_each_period_and_behind_it_comes_everything(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with AsyncExitStack() as stack:
        async with bare(port) as park:
            await park.write(p0=datavalue(1.0), p1=datavalue(2.0))
            running = await stack.enter_async_context(Running(tmp_path, park.url, 2))
            await running.stored(bool)
            await park.write(p1=datavalue(3.0, source=T0 + 1))
            await running.stored(lambda all_: all_[-1]["values"] == {"p1": 3.0})
        silent = {"p0": {"flag": "no-communication"}, "p1": {"flag": "no-communication"}}
        await running.stored(lambda all_: [each.get("invalid") for each in all_[-3:]] == [silent] * 3)
        async with bare(port) as park:
            await park.write(p0=datavalue(4.0, source=T0 + 9), p1=datavalue(3.0, source=T0 + 1))
            stored = await running.stored(lambda all_: all_[-1]["values"] == {"p0": 4.0, "p1": 3.0})
            assert {name: stored[-1]["ts"] + time - T0 for name, time in stored[-1]["offsets"].items()} == {
                "p0": 9,
                "p1": 1,
            }
            assert stored[-1]["ts"] >= stored[-2]["ts"], "what stands, stands now: it is not older than the outage"
            assert park.sessions == 1
            await stack.aclose()
            assert park.sessions == 0


@pytest.mark.parametrize("more", ['acquisition = "read"', ""], ids=["read", "followed"])
async def test_what_does_not_change_is_stored_in_each_period_where_it_is_read_and_once_where_it_is_followed(
    tmp_path, more
):
    async with bare() as park:
        await park.write(p0=datavalue(1.0))
        async with Running(tmp_path, park.url, 1, more) as running:
            await running.stored(bool)
            async with asyncio.timeout(30):
                while (await running.status())["reads"] < 8:
                    await asyncio.sleep(0.02)
            stored = await running.stored(bool)
    assert len(stored) == 1 if not more else len(stored) >= 6
