"""A small site of two stacks over Modbus and a tank over OPC UA, and scenarios of it that a test writes."""

from __future__ import annotations

from pathlib import Path

from parkgate.simulator.scenario import Scenario, load_scenario

SITE = """
[gateway]
site = "s"
id = "g"
data = "/tmp/s"
[[uplink]]
name = "park"
url = "mqtt://localhost"
[[line]]
name = "cems"
url = "modbus-tcp://127.0.0.1:15020"
[[line]]
name = "tanks"
url = "opc.tcp://127.0.0.1:15021/x"
security = "none"
[[instrument]]
name = "stack-1"
line = "cems"
unit = 1
profile = "cems-generic"
every = "1s"
[[instrument]]
name = "stack-2"
line = "cems"
unit = 2
profile = "cems-generic"
every = "1s"
[[instrument]]
name = "tank-1"
line = "tanks"
node = "T1"
profile = "tank-opcua"
every = "1s"
"""


def scenario_in(folder: Path, text: str) -> Scenario:
    """Give the scenario of this site that a text makes."""
    (folder / "plant.toml").write_text(SITE, encoding="utf-8")
    (folder / "scenario.toml").write_text(f'site = "plant.toml"\n{text}', encoding="utf-8")
    return load_scenario(folder / "scenario.toml")
