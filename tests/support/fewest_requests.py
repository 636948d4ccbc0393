"""The fewest requests that can read an instrument, and the fewest registers they can read: found by trying everything.

Shares nothing with the planner that it is held against: neither how an address is read nor how wide a type is, nor the
argument that makes the planner fast.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import defaultdict
from importlib.resources import files
from pathlib import Path

from support.modbus_maps import data_of, instrument

from parkgate.config.document import Report
from parkgate.config.profile_file import read_profile
from parkgate.drivers.modbus.route import Route, Turn

MANUAL = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
BITS = {"coil", "discrete"}


def shipped():
    """Give the instrument of each Modbus profile that comes with Parkgate, by the profile's name."""
    for path in sorted((Path(str(files("parkgate.config"))) / "instruments").glob("*.toml")):
        profile = read_profile(path, Report())
        if profile.protocol == "modbus":
            points = [each for each in profile.points if each.enabled]
            kept = {"order": profile.order, "base": profile.base, "max_gap": profile.max_gap}
            yield path.stem, instrument(*points, states=profile.states, profile=path.stem, **kept)


def asked(site):
    """Count the requests of one turn of a willing instrument, and the registers and bits they read."""
    turn, blocks = Turn(Route(site), 0), []
    while block := turn.next():
        blocks.append(block)
        turn.take(block, data_of(block, lambda _table, _place: 0))
    return len(blocks), sum(block.count for block in blocks)


def fewest(site):
    """Give the least that any requests whatever can be, as `asked` gives it."""
    tables = defaultdict(set)
    for each in (*site.points, *site.states):
        table, start = _place(each.at.strip(), site.base)
        tables[table].add((start, start + (1 if table in BITS else _width(each))))
    found = [_fewest(frozenset(values), table in BITS, site.max_gap) for table, values in tables.items()]
    return sum(requests for requests, _ in found), sum(read for _, read in found)


def _place(at, base):
    at = at.partition(".")[0]
    if at.isdecimal():
        return MANUAL[at[0]], int(at[1:]) - 1
    table, number = at.split()
    return table, int(number, 0) - base


def _width(each):
    """Tell how many registers a value takes; a state's is one where it says nothing."""
    if each.type is None or each.type == "bool":
        return 1
    if each.type.startswith("string"):
        return int(each.type.partition(":")[2])
    return 4 if each.type == "double" else int(re.search(r"\d+$", each.type)[0]) // 16


def _fewest(values, bits, max_gap):
    """Give the fewest requests, then registers, in which every value of a table is whole."""
    most, gap = (2_000, 16 * max_gap) if bits else (125, max_gap)
    starts, ends = sorted({start for start, _ in values}), sorted({end for _, end in values})

    def may_be(first, behind):
        """Whether a request may be: not too long, and no run of registers in it that none of its values needs."""
        inside = [value for value in values if first <= value[0] and value[1] <= behind]
        used = sorted({place for value in inside for place in range(*value)})
        return behind - first <= most and all(after - before - 1 <= gap for before, after in itertools.pairwise(used))

    requests = [(a, b) for a in starts for b in ends if 0 < b - a <= most and may_be(a, b)]

    @functools.cache
    def least(left):
        """Of the values that are left: whichever request reads the first of them, and the least for the others."""
        if not left:
            return 0, 0
        start, end = min(left)
        costs = []
        for first, behind in requests:
            if first <= start and end <= behind:
                others = frozenset(value for value in left if not (first <= value[0] and value[1] <= behind))
                more, read = least(others)
                costs.append((more + 1, read + behind - first))
        return min(costs)

    return least(values)
