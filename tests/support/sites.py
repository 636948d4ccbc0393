"""A site and a profile without mistakes, to make mistakes in, and what reading one says."""

import tomllib
from pathlib import Path

from parkgate.config.load import read_site
from parkgate.config.problem import Problems

SITE = """\
[gateway]
site = "xuwei"
id = "gw-01"
data = "/var/lib/parkgate"
timezone = "Asia/Shanghai"

[[uplink]]
name = "park"
url = "mqtts://broker.example:8883"
username = "gw-01"
password = { credential = "park-password" }
ca = "ca.pem"

[outbox]
commit = "auto"
max_size = "2GiB"

[[line]]
name = "cems"
url = "modbus-tcp://192.168.1.10:502"
timeout = "1s"

[[line]]
name = "dcs"
url = "opc.tcp://10.0.0.9:4840/mirror"
security = "none"

[[instrument]]
name = "stack-1"
line = "cems"
unit = 3
profile = "cems-generic"
every = "5s"
points.so2.digits = 1
points.co.enabled = false

[[instrument]]
name = "tank-7"
line = "dcs"
node = "T7"
profile = "tank-opcua"
every = "1s"
"""

PROFILE = """\
title = "Test map"
protocol = "modbus"
order = "ABCD"
base = 0

[points]
so2 = { at = "input 0", type = "float32", unit = "mg/m3", factor = "a21026", range = [0, 300], digits = 2 }
o2 = { at = "input 4", type = "uint16", scale = 0.01, unit = "%", invalid = [0xFFFF] }

[[state]]
at = "holding 1"
bits = [0, 3]
equals = [2, 3]
flag = "maintenance"
points = ["so2"]
"""


CASES = Path(__file__).parent.parent / "cases" / "config"


def cases(name: str) -> list[tuple[str, str, str | None]]:
    """Give the mistakes of a case file: what is written, what stands there instead, and what is said about it."""
    table = tomllib.loads((CASES / f"{name}.toml").read_text(encoding="utf-8"))
    return [(each["old"], each["new"], each.get("said")) for each in table["mistake"]]


def problems_of(path: Path) -> list[str]:
    try:
        read_site(path, installed=path.parent / "installed")
    except Problems as found:
        return [str(each).replace(f"{path.parent}/", "") for each in found.problems]
    return []


def edited(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)
