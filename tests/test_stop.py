"""A clean stop is short whatever the broker does, and costs nothing that was collected."""

import asyncio
import signal

import pytest
from support.broker import Mosquitto
from support.river import seqs, simulated, until, write_site
from support.scripted_broker import ScriptedBroker, accept
from support.subscriber import Subscriber

from parkgate.simulator.agent import Agent

pytestmark = pytest.mark.xdist_group("agents")

NAMES = ("tank", "gas-1")
PROMISED = 10.0
"""Seconds: what `parkgate run` promises its service manager."""
WAITED = "wait for the next start"


@pytest.fixture
async def park(tmp_path):
    async with simulated(tmp_path / "park", 1) as running:
        yield running


def silent(*_):
    """Answer nothing."""


async def collecting(agent):
    """Wait until each instrument has some snapshots, more than fit into the send window."""
    async with asyncio.timeout(30):
        while True:
            status = await agent.status()
            if status and all(each["seq"] >= 15 for each in status["instruments"]):
                return
            await asyncio.sleep(0.05)


async def arrives_whole(tmp_path, park, account):
    """Start again beside a broker that works: everything that the account says was stored arrives."""
    stored = {name: account["instruments"][name]["stored"] for name in NAMES}

    def arrived(name):
        return set(range(1, stored[name] + 1)) <= set(seqs(platform.received, name))

    async with (
        Mosquitto() as broker,
        Subscriber(broker.port, "park/v1/#") as platform,
        Agent(write_site(tmp_path, broker.url, dict(park.urls)), tmp_path / "data") as agent,
    ):
        await until(lambda: all(arrived(name) for name in NAMES))
        last = await agent.stop(15)
    assert last["uplinks"]["park"]["waiting"] == 0


@pytest.mark.parametrize("answer", [silent, accept], ids=["not even a CONNACK", "no PUBACK"])
async def test_a_stop_with_a_broker_that_answers_nothing_keeps_to_its_ten_seconds_and_loses_nothing(
    park, tmp_path, answer
):
    async with ScriptedBroker(on_connect=answer, on_publish=silent, on_subscribe=silent) as broker:
        async with Agent(write_site(tmp_path, broker.url, dict(park.urls)), tmp_path / "data") as agent:
            await collecting(agent)
            account = await agent.stop(PROMISED)
            assert agent.ended.done(), agent.errors
        assert agent.ended.result() == 0
        assert (WAITED in agent.errors) == (answer is accept)
    assert account["uplinks"]["park"]["waiting"] >= 30
    await arrives_whole(tmp_path, park, account)


async def test_told_again_the_agent_leaves_without_waiting_for_the_broker_and_gives_its_account(park, tmp_path):
    async with ScriptedBroker(on_publish=silent) as broker:
        async with Agent(write_site(tmp_path, broker.url, dict(park.urls)), tmp_path / "data") as agent:
            await collecting(agent)
            await until(lambda: bool(broker.sessions and broker.sessions[0].publishes))
            agent._process.send_signal(signal.SIGTERM)
            await agent.status()  # behind the signal: once it answers, the first one was heard
            account = await agent.stop(PROMISED)
            assert agent.ended.done(), agent.errors
        assert agent.ended.result() == 0
        assert WAITED not in agent.errors, "nobody waited for the broker"
        # The broker sees no DISCONNECT, so it speaks the will.
        await broker.until(lambda: bool(broker.sessions[0].ended))
        assert broker.sessions[0].disconnected is None
    await arrives_whole(tmp_path, park, account)
