"""What an OPC UA server says of its values, from its nodes to what the platform reads."""

import json

import pytest
from asyncua import ua
from support.broker import Mosquitto
from support.opcua_park import T0, URI, bare, datavalue
from support.river import SITE, leaf, until
from support.subscriber import Subscriber

from parkgate.gateway.messages import models
from parkgate.simulator.agent import Agent

pytestmark = pytest.mark.xdist_group("agents")

METRE, MILLIMETRE, CHANGED = 5067858, 5066068, 0x4000
CEFACT = "http://www.opcfoundation.org/UA/units/un/cefact"
TANK = """
[[line]]
name = "tanks"
url = "{url}"
security = "none"
[[instrument]]
name = "tank"
line = "tanks"
profile = "own.toml"
every = "200ms"
acquisition = "{acquisition}"
"""
PROFILE = f"""
protocol = "opcua"
[points]
level = {{ at = "nsu={URI};s=level", type = "double" }}
pressure = {{ at = "nsu={URI};s=pressure", type = "double", unit = "kPa" }}
"""


def written(folder, broker, park, acquisition):
    (folder / "own.toml").write_text(PROFILE)
    site = folder / "site.toml"
    site.write_text(
        SITE.format(data=folder / "data", url=broker.url) + TANK.format(url=park.url, acquisition=acquisition)
    )
    return site


def unit(unit_id):
    return ua.EUInformation(CEFACT, unit_id, ua.LocalizedText("?"), ua.LocalizedText(""))


async def has(park, name, value, unit_id, *span):
    """Let an analog item be there; give its two properties."""
    await park.write(**{name: datavalue(value)})
    held = park.server.get_node(ua.NodeId(name, park.space))
    units = await held.add_property(ua.NodeId(f"{name}.unit", park.space), "0:EngineeringUnits", unit(unit_id))
    return units, await held.add_property(ua.NodeId(f"{name}.range", park.space), "0:EURange", ua.Range(*span))


def bodies(platform, kind):
    return [json.loads(each.payload) for each in platform.received if leaf(each).partition("/")[0] == kind]


@pytest.mark.parametrize("acquisition", ["read", "subscription"])
async def test_units_and_ranges_are_in_meta_before_the_first_value_and_again_when_they_change(tmp_path, acquisition):
    async with bare() as park, Mosquitto() as broker:
        units, span = await has(park, "level", 12.5, METRE, 0, 12)
        await has(park, "pressure", 3.0, METRE, 0, 250)
        site = written(tmp_path, broker, park, acquisition)
        async with Subscriber(broker.port, "park/v1/#") as platform, Agent(site, tmp_path / "data"):
            await until(lambda: bodies(platform, "data"))
            await units.write_value(unit(MILLIMETRE))
            await span.write_value(ua.Range(0, 12_000))
            await park.write(level=datavalue(2_500.0, status=CHANGED, source=T0 + 5))
            await until(lambda: bodies(platform, "data")[-1]["values"] == {"level": 2_500, "pressure": 3})
            await until(lambda: any(each["event"] == "unit-differs" for each in bodies(platform, "event")))
    described = {}
    for message in platform.received:  # in the order in which the platform had them
        kind = leaf(message).partition("/")[0]
        if kind == "meta":
            meta = models.Meta.model_validate_json(message.payload)
            described[meta.rev] = meta.points["level"]
        elif kind == "data":
            assert described[json.loads(message.payload)["rev"]].unit
    first, last = bodies(platform, "data")[0], bodies(platform, "data")[-1]
    assert first["invalid"] == {"level": {"flag": "out-of-range", "value": 12.5}}
    assert (described[first["rev"]].unit, described[first["rev"]].range) == ("m", (0, 12))
    assert (described[last["rev"]].unit, described[last["rev"]].range) == ("mm", (0, 12_000))
    assert last["values"] == {"level": 2_500, "pressure": 3}
    differs = [each for each in bodies(platform, "event") if each["event"] == "unit-differs"]
    assert [(each["subject"], each["detail"]) for each in differs] == [("tank", {"points": {"pressure": "m"}})]
