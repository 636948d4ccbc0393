"""Sites with derived points, read from real files, and snapshots of their instruments."""

from pathlib import Path

from parkgate.config.load import read_site
from parkgate.drivers.snapshot import Snapshot

STACK = """\
protocol = "modbus"

[points]
so2 = { at = "input 0", type = "float32", unit = "mg/m3", range = [0, 300], digits = 2 }
h2o = { at = "input 2", type = "float32", unit = "%", range = [0, 40], digits = 2 }
o2 = { at = "input 4", type = "float32", unit = "%", range = [0, 25], digits = 2 }
door = { at = "discrete 0", type = "bool" }

[derived]
so2_zs = { formula = "reference_oxygen", of = { c = "so2_dry", o2 = "o2" }, with = { reference = 6 }, digits = 2 }
so2_dry = { formula = "wet_to_dry", of = { c = "so2", moisture = "h2o" }, range = [0, 250], digits = 2 }
"""
METER = """\
protocol = "modbus"

[points]
flow = { at = "input 0", type = "float32", unit = "m3/h", digits = 1 }
total = { at = "input 2", type = "float64", unit = "m3", digits = 3 }

[derived]
counted = { formula = "totaliser_difference", of = { total = "total" }, with = { rollover = 1000 }, digits = 3 }
"""
TANK = """\
protocol = "opcua"

[points]
a = { at = "ns=1;s=A", type = "double", unit = "m" }
b = { at = "ns=1;s=B", type = "double", unit = "mm" }
c = { at = "ns=1;s=C", type = "double", unit = "m" }

[derived]
gap = { formula = "difference", of = { a = "a", b = "b" }, digits = 3 }
"""
HEAD = """\
[gateway]
site = "xuwei"
id = "gw-01"
data = "data"

[[line]]
name = "cems"
url = "modbus-tcp://127.0.0.1:1"

[[line]]
name = "dcs"
url = "opc.tcp://127.0.0.1:1"
security = "none"
"""
PROTOCOLS = {"stack": ("cems", 1), "meter": ("cems", 2), "tank": ("dcs", 3)}


def entry(profile, more="", *, every="1s", name=""):
    """Give the text of an instrument."""
    line, unit = PROTOCOLS[profile]
    about = f'name = "{name or profile}"\nline = "{line}"\nunit = {unit}\nprofile = "{profile}"\nevery = "{every}"'
    return f"\n[[instrument]]\n{about}\n{more}\n"


def write(folder: Path, *entries: str, **profiles: str) -> Path:
    """Write a site of these instruments; give its file."""
    for name, text in {"stack": STACK, "meter": METER, "tank": TANK, **profiles}.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    path = folder / "site.toml"
    path.write_text(HEAD + "".join(entries), encoding="utf-8")
    return path


def instruments(folder: Path, *entries: str, **profiles: str):
    """Give the instruments of a site, by name."""
    return {each.name: each for each in read_site(write(folder, *entries, **profiles)).site.instruments}


def snapshot(instrument, *values, at=1_000, **more):
    """Give a judged snapshot of an instrument."""
    return Snapshot(instrument.name, at, tuple(values), **more)


def told(instrument, derived):
    """Give what a derived snapshot says: by point a value, a flag, both, or None where it says nothing."""
    found = {}
    for place, point in enumerate(instrument.quantities):
        value, flag = derived.values[place], derived.flags.get(place)
        if place in derived.absent:
            assert (value, flag) == (None, None)
            found[point.name] = None
        else:
            assert value is not None or flag is not None
            found[point.name] = value if flag is None else flag if value is None else (flag, value)
    return found
