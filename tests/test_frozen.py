"""A frozen source at full length: what answers and no longer measures does not pass as fresh at the platform."""

import json

from support.broker import Mosquitto
from support.river import leaf, until
from support.subscriber import Subscriber

from parkgate.config.flag import Flag
from parkgate.simulator.agent import Agent
from parkgate.simulator.park import Park
from parkgate.simulator.scenario import load_scenario

SITE = """
[gateway]
site = "test"
id = "gw"
data = "data"
[[uplink]]
name = "park"
url = "{broker}"
[[line]]
name = "l"
url = "{line}"
"""
INSTRUMENT = """
[[instrument]]
name = "{name}"
line = "l"
unit = {unit}
profile = "{name}"
every = "200ms"
"""
POINTS = """
protocol = "modbus"
{heartbeat}
[points]
so2 = {{ at = "input 0", type = "float32", range = [0, 300] {so2} }}
door = {{ at = "discrete 0", type = "bool" }}
"""
PROFILES = {
    "beating": {"heartbeat": 'heartbeat = { at = "holding 0.11", limit = "1s" }', "so2": ""},
    "moving": {"heartbeat": "", "so2": ', unchanged = "1s"'},
    "alive": {"heartbeat": 'heartbeat = { at = "holding 0", limit = "1s" }', "so2": ', unchanged = "1s"'},
    "untold": {"heartbeat": "", "so2": ""},
}
SCENARIO = 'site = "park.toml"\nstep = "100ms"\n' + "".join(
    f'[[trouble]]\nkind = "frozen"\ninstrument = "{name}"\nat = "1s"\nfor = "1h"\n'
    for name in ("beating", "moving", "untold")
)


def lay(folder, name, broker, line):
    instruments = "".join(INSTRUMENT.format(name=each, unit=unit) for unit, each in enumerate(PROFILES, 1))
    (folder / name).write_text(SITE.format(broker=broker, line=line) + instruments)
    for each, about in PROFILES.items():
        (folder / f"{each}.toml").write_text(POINTS.format(**about))
    return folder / name


def told(messages, instrument):
    """Give, by point, the flags of an instrument's snapshots in the order of their coming ("" where it is usable)."""
    bodies = [json.loads(each.payload) for each in messages if leaf(each) == f"data/{instrument}"]
    return {
        point: [each["invalid"].get(point, {}).get("flag", "") if "invalid" in each else "" for each in bodies]
        for point in ("so2", "door")
    }


async def test_a_frozen_instrument_is_stale_at_the_platform_as_far_as_its_profile_says_what_has_to_move(tmp_path):
    lay(tmp_path, "park.toml", "mqtt://127.0.0.1:1", "modbus-tcp://127.0.0.1:502")
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    async with Park(load_scenario(tmp_path / "scenario.toml"), any_port=True) as park, Mosquitto() as broker:
        site = lay(tmp_path, "site.toml", broker.url, park.urls["l"])
        async with Subscriber(broker.port, "park/v1/#") as platform, Agent(site, tmp_path / "data"):
            await until(lambda: told(platform.received, "beating")["door"][-3:] == [Flag.STALE] * 3)
            await until(lambda: told(platform.received, "moving")["so2"][-3:] == [Flag.STALE] * 3)
            seen = len(told(platform.received, "alive")["so2"])
            await until(lambda: len(told(platform.received, "alive")["so2"]) >= seen + 5)
    assert {*told(platform.received, "beating")["so2"]} == {"", Flag.STALE}
    assert {*told(platform.received, "moving")["door"]} == {""}
    for instrument in ("alive", "untold"):
        assert {flag for flags in told(platform.received, instrument).values() for flag in flags} == {""}
