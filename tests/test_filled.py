"""An outage filled from a server's history, all the way to the platform; also the agent's own absence."""

import asyncio
import json
import time

import pytest
from support.broker import Mosquitto
from support.opcua_history import recording
from support.proxy import Proxy
from support.river import booked, leaf, seqs, until
from support.subscriber import Subscriber

from parkgate.gateway.messages.schema import SCHEMAS
from parkgate.simulator.agent import Agent

pytestmark = pytest.mark.xdist_group("agents")

CUT = 300
"""Seconds of the outage, by the clock of the source."""
PROFILE = """
title = "A level and a temperature"
protocol = "opcua"
[points]
level = { at = "ns=2;s=level", type = "double" }
warmth = { at = "ns=2;s=warmth", type = "double" }
"""
SITE = """
[gateway]
site = "test"
id = "gw"
data = "{folder}/data"
[[uplink]]
name = "park"
url = "{broker}"
[[line]]
name = "dcs"
url = "{server}"
security = "none"
[[instrument]]
name = "tank"
line = "dcs"
profile = "two.toml"
every = "200ms"
acquisition = "{acquisition}"
[[instrument]]
name = "bare"
line = "dcs"
profile = "two.toml"
every = "200ms"
acquisition = "{acquisition}"
history = "off"
"""


def write_site(folder, broker, server, acquisition="read"):
    (folder / "two.toml").write_text(PROFILE)
    path = folder / "site.toml"
    path.write_text(SITE.format(folder=folder, broker=broker.url, server=server, acquisition=acquisition))
    return path


def snapshots(messages, name, kind):
    """Give the snapshots of an instrument that came on a topic's kind, in the order of their coming."""
    found = []
    for message in messages:
        if leaf(message) == f"{kind}/{name}":
            body = json.loads(message.payload)
            found += body if isinstance(body, list) else [body]
    return found


def filled(messages, name):
    return [each for each in snapshots(messages, name, "backfill") if each.get("history")]


def events(messages, *names):
    told = [json.loads(each.payload) for each in messages if leaf(each) == "event"]
    return [each for each in told if each["event"] in names]


async def record(server, since, seconds):
    """Let the server record a level a second from then on, a temperature each tenth, and hold the last of both."""
    for number in range(1, seconds):
        server.record("level", since + 1_000 * number, float(number))
        if number % 10 == 0:
            server.record("warmth", since + 1_000 * number, number / 2)
    await server.say(since + 1_000 * seconds, level=-1.0, warmth=-1.0)


def expected(since, seconds):
    return [
        (since + 1_000 * number, {"level": float(number)} | ({"warmth": number / 2} if number % 10 == 0 else {}))
        for number in range(1, seconds)
    ]


@pytest.mark.parametrize(("acquisition", "most"), [("read", 5), ("subscription", 1)])
async def test_a_cut_network_is_filled_with_the_times_of_the_source_and_where_that_is_off_flagged(
    tmp_path, acquisition, most
):
    since = time.time_ns() // 1_000_000 - 1_000 * CUT
    async with recording() as server, Mosquitto() as broker, Subscriber(broker.port, "park/v1/#") as platform:
        await server.say(since, level=0.0, warmth=0.0)
        async with Proxy(server.park.server.bserver.port) as network:
            site = write_site(tmp_path, broker, f"opc.tcp://127.0.0.1:{network.port}/bare", acquisition)
            async with Agent(site, tmp_path / "data") as agent:
                await until(lambda: all(len(seqs(platform.received, name)) >= most for name in ("tank", "bare")))
                await network.refuse()
                await record(server, since, CUT)
                await until(lambda: len(events(platform.received, "silent")) == 2)
                await network.accept()
                await until(lambda: events(platform.received, "history-filled", "history-missing"), 60)
                await until(lambda: len(filled(platform.received, "tank")) == CUT - 1, 60)
                account = await agent.stop(15)
            await server.park.until_no_client()
        received = platform.received
    came = filled(received, "tank")
    assert [(each["ts"], each["values"]) for each in came] == expected(since, CUT)
    assert not any("invalid" in each for each in came)
    (told,) = events(received, "history-filled", "history-missing")
    about = {"from": since, "to": since + 1_000 * CUT, "count": CUT - 1}
    assert (told["event"], told["subject"], told["detail"]) == ("history-filled", "tank", about)
    for name in ("tank", "bare"):
        live = snapshots(received, name, "data") + [
            each for each in snapshots(received, name, "backfill") if not each.get("history")
        ]
        measured = {each["ts"] + each.get("offsets", {}).get("level", 0) for each in live if each["values"]}
        assert measured == {since, since + 1_000 * CUT}
        assert any(each["invalid"]["level"] == {"flag": "no-communication"} for each in live if not each["values"])
        assert not any(each.get("history") for each in live)
    assert filled(received, "bare") == []
    for message in received:
        if leaf(message).startswith("backfill/"):
            SCHEMAS["backfill"].model_validate_json(message.payload)
            assert not message.retain
    assert account["uplinks"]["park"]["waiting"] == 0
    assert {each.verdict.value for each in booked(received).account()} == {"COMPLETE"}


async def test_an_agent_that_did_not_run_fills_its_own_absence_and_nothing_twice(tmp_path):
    since = time.time_ns() // 1_000_000 - 1_000 * CUT
    async with recording() as server, Mosquitto() as broker, Subscriber(broker.port, "park/v1/#") as platform:
        await server.say(since, level=0.0, warmth=0.0)
        site = write_site(tmp_path, broker, server.url)
        for round_ in range(3):
            async with Agent(site, tmp_path / "data") as agent:
                if round_:
                    await until(lambda told=round_: len(events(platform.received, "history-filled")) == told, 60)
                    await until(lambda told=round_: len(filled(platform.received, "tank")) == 99 * told, 60)
                count = len(seqs(platform.received, "tank"))
                await until(lambda known=count: len(seqs(platform.received, "tank")) > known + 4)
                await agent.stop(15)
            await server.park.until_no_client()
            if round_ < 2:
                await record(server, since + 100_000 * round_, 100)
        received = platform.received
    wanted = expected(since, 100) + expected(since + 100_000, 100)
    assert [(each["ts"], each["values"]) for each in filled(received, "tank")] == wanted
    assert filled(received, "bare") == []
    assert events(received, "history-missing") == []
    assert {each.verdict.value for each in booked(received).account()} == {"COMPLETE"}
    assert len({each["epoch"] for each in filled(received, "tank")}) == 1


async def test_an_agent_that_is_killed_while_it_fills_goes_on_where_it_was(tmp_path):
    since = time.time_ns() // 1_000_000 - 1_000 * CUT
    async with recording() as server, Mosquitto() as broker, Subscriber(broker.port, "park/v1/#") as platform:
        await server.say(since, level=0.0, warmth=0.0)
        site = write_site(tmp_path, broker, server.url)
        async with Agent(site, tmp_path / "data") as agent:
            await until(lambda: len(seqs(platform.received, "tank")) > 4)
            await agent.stop(15)
        await record(server, since, CUT)
        pages = []

        async def slowly(parameters, results):
            pages.append(parameters)
            if len(pages) > 2:
                await asyncio.sleep(30)  # it is killed before
            return results

        server.answers = slowly
        async with Agent(site, tmp_path / "data") as agent:
            await until(lambda: 0 < len(filled(platform.received, "tank")) < CUT - 1, 60)
            agent._process.kill()
            await agent.ended
        some = len(filled(platform.received, "tank"))
        server.answers = None
        async with Agent(site, tmp_path / "data") as agent:
            await until(lambda: events(platform.received, "history-filled"), 60)
            await until(lambda: len({each["ts"] for each in filled(platform.received, "tank")}) == CUT - 1, 60)
            await agent.stop(15)
        await server.park.until_no_client()
        received = platform.received
    assert 0 < some < CUT - 1
    unique = {(each["epoch"], each["seq"]): each for each in filled(received, "tank")}
    assert [(each["ts"], each["values"]) for each in unique.values()] == expected(since, CUT)
    assert [each["detail"]["count"] for each in events(received, "history-filled")] == [CUT - 1]
