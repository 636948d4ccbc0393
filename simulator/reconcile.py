"""What arrived, held against the truth: missing, again, late, wrong and wrongly flagged, by instrument. Pure.

A value is read at some instant before its `ts`, and what an instrument shows changes in steps: so a value is right if
it is what the instrument showed at some moment of the `slack` before and after `ts`, and a flag is right if it is one
of those that the states and troubles of such a moment explain.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import isclose

from parkgate.simulator.received import Snapshot
from parkgate.simulator.trouble import KINDS, RECOVERY
from parkgate.simulator.truth import Shown

Value = float | int | str
CLOSE = 1e-6
"""Relative: values are rounded to `digits` or to a float32 on their way."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How strictly is judged, all in milliseconds.

    `slack`: how far the truth is looked at around `ts`; `recovery`: for how long behind a trouble of the wire a point
    may still be without a value; `late`: when a live snapshot is; `digits` by point, how values were rounded.
    """

    slack: int = 1_500
    recovery: int = 20_000
    late: int = 5_000
    digits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One value or snapshot that is not as it should be, for people."""

    ts: int
    point: str
    what: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One instrument: how many snapshots were due and came, and what is wrong with them.

    `missing` periods without a snapshot, less those that a trouble made `unreadable`; `again` identical resends; `late`
    live ones; `wrong` values; `misflagged` points that should have been usable or should not; `flagged` points by flag,
    rightly; `by_trouble` what stood on the points ("" if they were usable) of snapshots that were under a trouble from
    first to last.
    """

    instrument: str
    due: int
    came: int
    missing: int
    unreadable: int
    again: int
    late: int
    wrong: int
    misflagged: int
    flagged: Mapping[str, int]
    by_trouble: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]

    @property
    def right(self) -> bool:
        """Whether nothing is missing, wrong or wrongly flagged."""
        return not (self.missing or self.wrong or self.misflagged)


def judge(
    instrument: str,
    every: int,
    truth: Sequence[Shown],
    snapshots: Sequence[Snapshot],
    again: int = 0,
    rules: Rules = Rules(),
) -> Judgement:
    """Hold the snapshots of an instrument, by time, against what it showed."""
    times = [each.time for each in truth]
    own = sorted((_by_our_clock(each, truth, times) for each in snapshots), key=lambda each: each.ts)
    judged = [each for each in own if times and times[0] <= each.ts <= times[-1] + rules.slack]
    findings: list[Finding] = []
    flagged: dict[str, int] = {}
    by_trouble: dict[str, dict[str, int]] = {}
    for snapshot in judged:
        begin = max(0, bisect_right(times, snapshot.ts - rules.slack) - 1)
        around = truth[begin : bisect_right(times, snapshot.ts + rules.slack)]
        behind = truth[max(0, bisect_right(times, snapshot.ts - rules.recovery) - 1) : begin]
        recovering = any(kind in RECOVERY for each in behind for kind in each.troubles)
        under = set.intersection(*({*each.troubles} for each in around)) if around else set()
        for kind in under:
            for flag in snapshot.flags.values():
                stood = by_trouble.setdefault(kind, {})
                stood[flag] = stood.get(flag, 0) + 1
        for point, flag in snapshot.flags.items():
            if what := _fault(point, flag, snapshot.values.get(point), around, recovering=recovering, rules=rules):
                findings.append(Finding(snapshot.ts, point, what))
            elif flag:
                flagged[flag] = flagged.get(flag, 0) + 1
    gaps, unreadable = [], 0
    for ts, count in _missing(every, judged):
        near = truth[max(0, bisect_right(times, ts - every) - 1) : bisect_right(times, ts + (count + 2) * every)]
        if any(KINDS[kind].whole for each in near for kind in each.troubles):
            unreadable += count
        else:
            gaps.append((ts, count))
    return Judgement(
        instrument=instrument,
        due=max(0, judged[-1].ts - judged[0].ts) // every + 1
        if judged
        else len(times) and (times[-1] - times[0]) // every,
        came=len(judged),
        missing=sum(count for _, count in gaps) if judged else max(1, len(times) and (times[-1] - times[0]) // every),
        unreadable=unreadable,
        again=again,
        late=sum(each.live and each.arrived - each.ts > rules.late for each in judged),
        wrong=sum(not each.what.startswith("flag") for each in findings),
        misflagged=sum(each.what.startswith("flag") for each in findings),
        flagged=flagged,
        by_trouble=by_trouble,
        findings=(*(Finding(ts, "", f"nothing for {count} periods") for ts, count in gaps), *findings),
    )


def _by_our_clock(snapshot: Snapshot, truth: Sequence[Shown], times: Sequence[int]) -> Snapshot:
    """Give a snapshot with the time by our clock, where that of its instrument was wrong when it was measured."""
    for skew in sorted({each.skew for each in truth if each.skew}):
        place = bisect_right(times, snapshot.ts - skew) - 1
        if place >= 0 and truth[place].skew == skew:
            return replace(snapshot, ts=snapshot.ts - skew)
    return snapshot


def _missing(every: int, snapshots: Sequence[Snapshot]) -> list[tuple[int, int]]:
    """Give where snapshots are missing: behind which time, and how many periods without one."""
    found = []
    for one, other in pairwise(snapshots):
        count = round((other.ts - one.ts) / every) - 1
        if count > 0 and other.ts - one.ts > 1.5 * every:
            found.append((one.ts, count))
    return found


def _fault(
    point: str, flag: str, value: Value | None, around: Sequence[Shown], *, recovering: bool, rules: Rules
) -> str:
    """Say what is wrong with a point of a snapshot; nothing if some moment explains it."""
    reasons = []
    for shown in around:
        if recovering and flag in {"no-communication", "bad-configuration"}:
            return ""
        reason = _unlike(point, flag, value, shown, rules)
        if not reason:
            return ""
        reasons.append(reason)
    return reasons[-1] if reasons else "flag: the instrument showed nothing then"


def _unlike(point: str, flag: str, value: Value | None, shown: Shown, rules: Rules) -> str:
    """Say how a point differs from what an instrument showed at a moment."""
    kinds = [KINDS[kind] for kind in shown.troubles]
    if any(kind.unknown for kind in kinds):
        return ""
    whole = [kind for kind in kinds if kind.whole and kind.flags]
    states = shown.flags.get(point, frozenset())
    if flag and any(flag in kind.flags for kind in whole):
        return ""
    if flag and flag not in states:
        return f"flag {flag}, and it was fine"
    if not flag and (states or any(kind.must for kind in whole)):
        return f"flag missing: {' '.join((*sorted(states), *shown.troubles))}"
    if value is None or point not in shown.values:
        return ""
    return (
        "" if _alike(value, shown.values[point], rules.digits.get(point)) else f"{value}, and not {shown.values[point]}"
    )


def _alike(value: Value, shown: Value, digits: int | None) -> bool:
    if isinstance(value, str) or isinstance(shown, str):
        return str(value) == str(shown)
    step = 10.0**-digits if digits is not None else 0.0
    return isclose(value, shown, rel_tol=CLOSE, abs_tol=0.51 * step)
