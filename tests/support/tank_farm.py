"""An asyncua server with two tanks: analog items, a Chinese name, an array, a node that has failed, a cycle."""

from contextlib import asynccontextmanager

from asyncua import ua
from support.opcua_park import URI, bare, datavalue, moment

SITE = """\
[gateway]
site = "xuwei"
id = "gw-01"
data = "{folder}/data"

[[line]]
name = "dcs"
url = "{url}"
security = "none"
timeout = "5s"

[[instrument]]
name = "tank-1"
line = "dcs"
profile = "{profile}"
every = "200ms"
"""
PROFILE = f"""\
protocol = "opcua"

[points]
level = {{ at = "nsu={URI};s=T1.Level", type = "double", unit = "m", range = [0, 15] }}
"""


def at(name):
    return f"nsu={URI};s={name}"


@asynccontextmanager
async def tank_farm():
    """Give the server with `T1` and `T2`; `T2` refers back to `T1`."""
    async with bare() as park:
        tanks = [await _tank(park, name) for name in ("T1", "T2")]
        await tanks[1].add_reference(tanks[0], ua.ObjectIds.Organizes)
        yield park


async def _tank(park, name):
    def node(what):
        return ua.NodeId(f"{name}.{what}", park.space), ua.QualifiedName(what, park.space)

    tank = await park.server.nodes.objects.add_object(ua.NodeId(name, park.space), ua.QualifiedName(name, park.space))
    level = await tank.add_variable(*node("Level"), 2.5)
    unit = ua.EUInformation(DisplayName=ua.LocalizedText("m"))
    await level.add_property(ua.NodeId(f"{name}.Level.U", park.space), ua.QualifiedName("EngineeringUnits", 0), unit)
    await level.add_property(ua.NodeId(f"{name}.Level.R", park.space), ua.QualifiedName("EURange", 0), ua.Range(0, 15))
    await tank.add_variable(*node("液位"), 7, ua.VariantType.UInt16)
    await tank.add_variable(*node("Alarms"), [True, False])
    await tank.add_variable(*node("Temp"), 21.5, ua.VariantType.Float)
    await tank.add_variable(*node("Health"), 0, ua.VariantType.Int32)
    await _hold(park, f"{name}.Temp", ua.DataValue(StatusCode=ua.StatusCode(0x808C_0000), ServerTimestamp=moment(5)))
    return tank


async def _hold(park, name, value):
    park.server.set_attribute_value_callback(ua.NodeId(name, park.space), lambda *_: value)


async def say(park, name, value, kind=None, **more):
    """Let a node say a value, of a status and times."""
    await _hold(park, name, datavalue(value, kind, **more))


def site_file(folder, url, profile="tank"):
    """Write a site with one instrument, and its profile unless it is one that was written already."""
    if not (folder / f"{profile}.toml").exists():
        (folder / f"{profile}.toml").write_text(PROFILE, encoding="utf-8")
    path = folder / "site.toml"
    path.write_text(SITE.format(folder=folder, url=url, profile=profile), encoding="utf-8")
    return path
