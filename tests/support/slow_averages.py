"""The statistics computed a second time, slowly and plainly, from the payloads of the snapshots alone."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from statistics import fmean

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
EAST = 8 * HOUR
"""Asia/Shanghai has no summer time."""
ORDER = (
    "bad-configuration", "no-communication", "out-of-service", "maintenance", "calibration", "fault", "warm-up",
    "stale", "manual", "out-of-range",
)  # fmt: skip


def most(counts):
    """Give the flag with the largest count; of several, the one that is told first."""
    top = max(counts.values(), default=0)
    return next(flag for flag in ORDER if counts.get(flag, 0) == top) if top else "no-communication"


def minutes_of(snapshots, name, digits, first, end):
    """Give what each minute says of a point that is asked every 5 s."""
    lying = defaultdict(list)
    for each in snapshots:
        lying[each["ts"] // MINUTE * MINUTE].append(each)
    found = {}
    for start in sorted({*range(first, end, MINUTE), *lying}):
        named = [each for each in lying[start] if name in each["values"] or name in each.get("invalid", {})]
        usable = [each["values"][name] for each in named if name in each["values"]]
        flags = Counter(each["invalid"][name]["flag"] for each in named if name in each.get("invalid", {}))
        flags["no-communication"] += max(0, 12 - len(named))
        said = {"n": len(named), "valid": len(usable)}
        if usable:
            said |= {"avg": round(fmean(usable), digits + 1), "min": min(usable), "max": max(usable)}
        if len(usable) < 12:
            said["flag"] = most(flags)
        found[start] = said
    return found


def joined(parts, share, digits):
    """Give what an interval says that is made of these parts."""
    valid = [each for each in parts if "flag" not in each]
    said = {"n": sum(each["n"] for each in parts), "valid": sum(each["valid"] for each in parts)}
    if valid:
        said["avg"] = round(fmean(each["avg"] for each in valid), digits + 1)
        said["min"] = min(each["min"] for each in valid)
        said["max"] = max(each["max"] for each in valid)
    if len(valid) < math.ceil(share * len(parts)):
        said["flag"] = most(Counter(each["flag"] for each in parts if "flag" in each))
    return said


NOTHING = {"n": 0, "valid": 0, "flag": "no-communication"}


def longer(minutes, digits):
    """Give tens, hours and days of the minutes that there are, by period and beginning."""
    found = {}
    parts, length = minutes, MINUTE
    for period, whole, share in (("10min", 600_000, 0.75), ("1h", HOUR, 0.75), ("1d", DAY, 20 / 24)):
        if period == "1d":
            parts, length = {start: said for (of, start), said in found.items() if of == "1h"}, HOUR
        for start in {(each + EAST) // whole * whole - EAST for each in parts}:
            pieces = [parts.get(each, NOTHING) for each in range(start, start + whole, length)]
            found[period, start] = joined(pieces, share, digits)
    return found


def agree(told, expected, digits):
    """Tell whether a record and the slow computation say the same; means may differ by a rounding."""
    if told.keys() != expected.keys():
        return False
    for key, value in expected.items():
        same = abs(told[key] - value) <= 1.001 * 10 ** -(digits + 1) if key == "avg" else told[key] == value
        if not same:
            return False
    return True
