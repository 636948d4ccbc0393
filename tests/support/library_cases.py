"""The cases of the instrument library: what an instrument holds, and what that means by its manual.

A folder a profile under `tests/cases/instruments/`, in it `cases.toml`: `[normal]` has for each point where it stands
(`at`, as on the wire), what the instrument holds there (`holds`, words in hexadecimal or a node's value) and what that
means; `[states]` what its states hold when all is well. A `[[case]]` holds something else, one thing or one of a list
after the other; `means` and `flags` tell what changes, `lost` which points have no value. "*" is every point.
"""

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from parkgate.config.document import Report
from parkgate.config.load import load_site
from parkgate.config.profile_file import read_profile

CASES = Path(__file__).parents[1] / "cases" / "instruments"
PROFILES = {path.stem: path for path in sorted((Path(str(files("parkgate.config"))) / "instruments").glob("*.toml"))}

GAP = 0xA5A5
"""What stands in a register that no case names: nothing may be made of it."""

SITE = """\
[gateway]
site = "library"
id = "gw-01"
data = "data"

[[line]]
name = "line"
url = "{url}"
{security}

[[instrument]]
name = "it"
line = "line"
profile = "{profile}"
every = "1s"
{more}
"""


@dataclass(frozen=True)
class Case:
    """One state of an instrument: `holds` by place, and the value and the flag that each point must have."""

    name: str
    holds: dict
    values: dict
    flags: dict


@cache
def profile_of(name):
    profile = read_profile(PROFILES[name], Report())
    assert profile is not None
    return profile


def instrument_of(name, folder):
    """Give the instrument of a site that uses a profile and enables all its points."""
    profile = profile_of(name)
    modbus = profile.protocol == "modbus"
    more = ["unit = 1" if modbus else 'node = "T1"']
    more += [f"points.{point.name}.enabled = true" for point in profile.points if not point.enabled]
    site = SITE.format(
        url="modbus-tcp://127.0.0.1:502" if modbus else "opc.tcp://127.0.0.1:4840",
        security="" if modbus else 'security = "none"',
        profile=name,
        more="\n".join(more),
    )
    (folder / "site.toml").write_text(site, encoding="utf-8")
    return load_site(folder / "site.toml").instruments[0]


def cases_of(name):
    """Give the cases of a profile, the normal one first."""
    table = tomllib.loads((CASES / name / "cases.toml").read_text(encoding="utf-8"))
    assert table["source"]
    normal = table["normal"]
    first = Case(
        "normal",
        {entry["at"]: entry["holds"] for entry in normal.values()} | table.get("states", {}),
        {point: entry["means"] for point, entry in normal.items()},
        {},
    )
    return [first] + [each for case in table["case"] for each in _each(first, case)]


def _each(normal, case):
    """Give a case for each of the alternatives that it lists."""
    unknown = set(case) - {"name", "source", "holds", "means", "flags", "lost"}
    assert not unknown, unknown
    count = max(len(held) if isinstance(held, list) else 1 for held in case["holds"].values())
    for number in range(count):
        held = {at: each[number] if isinstance(each, list) else each for at, each in case["holds"].items()}
        assert set(held) <= set(normal.holds), case["name"]
        values = normal.values | case.get("means", {}) | dict.fromkeys(case.get("lost", ()))
        given = dict(case.get("flags", {}))
        every = given.pop("*", None)
        flags = (dict.fromkeys(values, every) if every else {}) | given
        assert set(values) | set(flags) == set(normal.values), case["name"]
        yield replace(normal, name=f"{case['name']} {held}", holds=normal.holds | held, values=values, flags=flags)


def image_of(case):
    """Give the registers and bits of a case by table and number, the gaps between them filled with what is nothing."""
    image = {}
    for at, held in case.holds.items():
        table, start = at.split()
        for offset, word in enumerate(held.split()):
            image[table, int(start) + offset] = int(word, 16)
    for table in {table for table, _ in image}:
        numbers = [number for each, number in image if each == table]
        gap = 1 if table in {"coil", "discrete"} else GAP
        for number in range(min(numbers), max(numbers)):
            image.setdefault((table, number), gap)
    return image


def raw_of(held, order):
    """Give the whole number that words hold, unsigned."""
    words = [bytes.fromhex(word) for word in held.split()]
    if order in {"CDAB", "DCBA"}:
        words.reverse()
    if order in {"BADC", "DCBA"}:
        words = [word[::-1] for word in words]
    return int.from_bytes(b"".join(words), "big")
