"""Alarms from the register to the platform and back: a real instrument, agent and broker, none of which stays up."""

import asyncio
import json
import struct

import pytest
from support.broker import Mosquitto
from support.cabinet import Running, answering, site_file, unit, verb
from support.subscriber import Subscriber

from parkgate.simulator.modbus import ModbusPlant

pytestmark = pytest.mark.xdist_group("agents")

ANY = "modbus-tcp://127.0.0.1:0"
ROOT = "park/v1/xuwei/gw-01"
ALARMS = 'points.so2.alarms = [ { name = "high", above = 100, deadband = 5, latch = true, priority = "urgent" } ]\n'


def written(image, so2):
    image.write("input", 0, struct.unpack(">HH", struct.pack(">f", so2)))


def sets(subscriber):
    """Give each set of standing alarms that came, as (instrument, point, alarm, acknowledged, returned)."""
    for message in subscriber.received:
        if message.topic == f"{ROOT}/alarms":
            yield [
                (each["instrument"], each["point"], each["alarm"], each["acknowledged"], each.get("returned", False))
                for each in json.loads(message.payload)["standing"]
            ]


async def until(subscriber, wanted):
    """Wait until the newest set is as wanted."""
    async with asyncio.timeout(30):
        while (list(sets(subscriber)) or [None])[-1] != wanted:
            await subscriber.until(len(subscriber.received) + 1)


async def retained(broker, wanted):
    """Wait until somebody who comes now is given this set."""
    async with asyncio.timeout(30):
        while True:
            async with Subscriber(broker.port, f"{ROOT}/alarms") as later:
                await later.until(1)
                if later.received[0].retain and next(sets(later)) == wanted:
                    return
            await asyncio.sleep(0.05)


def transitions(subscriber):
    found = [json.loads(each.payload) for each in subscriber.received if each.topic == f"{ROOT}/alarm/stack-1"]
    return sorted({each["seq"]: each for each in found}.values(), key=lambda each: each["seq"])


HIGH = ("stack-1", "so2", "high")


async def test_the_retained_set_is_what_stands_whatever_the_value_the_broker_and_the_agent_do(tmp_path):
    image = unit(so2=12.5)
    async with ModbusPlant(ANY, {1: image}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, more=ALARMS)
        async with Running(site) as agent:
            await agent.until(answering)
            async with Subscriber(broker.port) as subscriber:
                await until(subscriber, [])
                written(image, 150.0)
                await until(subscriber, [(*HIGH, False, False)])
                (raised,) = transitions(subscriber)
            assert (raised["state"], raised["value"], raised["limit"]) == ("active", 150.0, 100)
            await broker.kill()  # and with it everything it retained
            written(image, 96.0)
            await broker.start()
            await retained(broker, [(*HIGH, False, False)])
            written(image, 94.0)
            await retained(broker, [(*HIGH, False, True)])
            await agent.stop()
        await retained(broker, [(*HIGH, False, True)])
        async with Running(site) as agent:
            await agent.until(answering)
            await retained(broker, [(*HIGH, False, True)])
            agent.process.kill()
            await agent.ended()
        async with Running(site) as agent, Subscriber(broker.port) as subscriber:
            await agent.until(answering)
            said = ("--by", "Li Wei", "--why", "valve closed")
            code, out, _ = await verb("alarms", site, "--ack", "stack-1", "so2", "high", *said)
            assert (code, out) == (0, "stack-1 so2 high: acknowledged and cleared\n")
            await until(subscriber, [])
            (cleared,) = transitions(subscriber)
            await agent.stop()
        await retained(broker, [])
    assert (cleared["state"], cleared["by"], cleared["why"]) == ("cleared", "Li Wei", "valve closed")
    assert cleared["since"] == raised["since"]
    assert [raised["seq"], cleared["seq"]] == [1, 3], "the same series through every restart"


async def test_an_alarm_that_left_the_site_file_leaves_the_set_and_says_why(tmp_path):
    image = unit(so2=150.0)
    async with ModbusPlant(ANY, {1: image}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, more=ALARMS)
        async with Running(site) as agent:
            await agent.until(answering)
            await retained(broker, [(*HIGH, False, False)])
            agent.process.kill()
            await agent.ended()
        site_file(tmp_path, line=plant.url, uplink=broker.url)
        async with Subscriber(broker.port) as subscriber, Running(site) as agent:
            await until(subscriber, [])
            (cleared,) = [each for each in transitions(subscriber) if each["state"] == "cleared"]
            await agent.stop()
    assert (cleared["reason"], cleared["acknowledged"]) == ("configuration", False)


async def test_an_alarm_is_sent_before_the_snapshot_that_raised_it(tmp_path):
    image = unit(so2=12.5)
    async with ModbusPlant(ANY, {1: image}) as plant, Mosquitto() as broker:
        site = site_file(tmp_path, line=plant.url, uplink=broker.url, more=ALARMS)
        async with Running(site) as agent, Subscriber(broker.port) as subscriber:
            await agent.until(answering)
            written(image, 150.0)
            await until(subscriber, [(*HIGH, False, False)])
            (raised,) = transitions(subscriber)

            def came():
                told = [
                    (each.topic, json.loads(each.payload)) for each in subscriber.received if "event" not in each.topic
                ]
                return [
                    topic for topic, record in told if isinstance(record, dict) and record.get("ts") == raised["ts"]
                ]

            while len(came()) < 2:
                await subscriber.until(len(subscriber.received) + 1)
            await agent.stop()
    assert came() == [f"{ROOT}/alarm/stack-1", f"{ROOT}/data/stack-1"]
