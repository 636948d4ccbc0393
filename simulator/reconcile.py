"""What arrived, held against the truth: missing, again, late, wrong and wrongly flagged, by instrument. Pure.

A value is read at some instant before its `ts`, and what an instrument shows changes in steps: so a value is right if
it is what the instrument showed at some moment of the `slack` before and after `ts`, and a flag is right if it is one
of those that the states and troubles of such a moment explain.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import isclose

from parkgate.config.language import say
from parkgate.simulator.received import Snapshot
from parkgate.simulator.trouble import KINDS, RECOVERY
from parkgate.simulator.truth import Shown

Value = float | int | str
CLOSE = 1e-6
"""Relative: values are rounded to `digits` or to a float32 on their way."""
_NOT_READ = frozenset({"no-communication", "bad-configuration"})


@dataclass(frozen=True, slots=True)
class Rules:
    """How strictly is judged, all in milliseconds.

    `slack`: how far the truth is looked at around `ts`; `recovery`: for how long behind a trouble of the wire a point
    may still be without a value; `late`: when a live snapshot is; `digits` by point, how values were rounded;
    `derived`: the points that the gateway computes, of which the truth knows nothing. `remembers`: the instrument gives
    its values with their own times, so what it measured while nobody heard it comes later, and need not be flagged.
    `until` (ms UTC) snapshots are due: to the end of the truth, if it is not given. They are due from the first one on,
    since a gateway may start behind its park.
    """

    slack: int = 1_500
    recovery: int = 20_000
    late: int = 5_000
    digits: Mapping[str, int] = field(default_factory=dict)
    derived: frozenset[str] = frozenset()
    remembers: bool = False
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One value or flag of a snapshot that is not as it should be: `what`, for people; `flag`, if it is the flag."""

    ts: int
    point: str
    what: str
    flag: bool = False


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
    flagged: Counter[str] = Counter()
    by_trouble: dict[str, Counter[str]] = {}
    for snapshot in judged:
        begin = max(0, bisect_right(times, snapshot.ts - rules.slack) - 1)
        around = truth[begin : bisect_right(times, snapshot.ts + rules.slack)]
        behind = truth[max(0, bisect_right(times, snapshot.ts - rules.recovery) - 1) : begin]
        excused = _NOT_READ if any(kind in RECOVERY for each in behind for kind in each.troubles) else frozenset()
        for kind in set.intersection(*({*each.troubles} for each in around)):
            by_trouble.setdefault(kind, Counter()).update(snapshot.flags.values())
        for point, flag in snapshot.flags.items():
            if point in rules.derived:
                continue
            then = around
            if offset := snapshot.offsets.get(point):  # a repeat: what was shown at its own time, and stood since
                first = max(0, bisect_right(times, snapshot.ts + offset - rules.slack) - 1)
                then = truth[first : bisect_right(times, snapshot.ts + rules.slack)]
            found = None if flag in excused else _found(snapshot, point, then, rules)
            if found is not None:
                findings.append(found)
            elif flag:
                flagged[flag] += 1
    end = times[-1] if times and rules.until is None else rules.until or 0
    gaps = _gaps(every, [each.ts for each in judged] or [each - every for each in times[:1]], end)
    taken = [(ts, count) for ts, count in gaps if _troubled(truth, times, ts - every, ts + (count + 2) * every)]
    missing = [gap for gap in gaps if gap not in taken]
    nothing = [
        Finding(ts, "", say("nothing for {count} periods", count=count)) for ts, count in missing
    ]  # fmt: skip
    lost = sum(count for _, count in missing)
    unreadable = sum(count for _, count in taken)
    return Judgement(
        instrument=instrument,
        due=len(judged) + lost + unreadable,
        came=len(judged),
        missing=lost,
        unreadable=unreadable,
        again=again,
        late=sum(each.live and each.arrived - each.ts > rules.late for each in judged),
        wrong=sum(not each.flag for each in findings),
        misflagged=sum(each.flag for each in findings),
        flagged=dict(flagged),
        by_trouble={kind: dict(stood) for kind, stood in by_trouble.items()},
        findings=(*nothing, *findings),
    )


def _troubled(truth: Sequence[Shown], times: Sequence[int], begin: int, end: int) -> bool:
    """Tell whether a trouble of the wire lay in a time."""
    near = truth[max(0, bisect_right(times, begin) - 1) : bisect_right(times, end)]
    return any(KINDS[kind].whole for each in near for kind in each.troubles)


def _by_our_clock(snapshot: Snapshot, truth: Sequence[Shown], times: Sequence[int]) -> Snapshot:
    """Give a snapshot with the time by our clock, where that of its instrument was wrong when it was measured."""
    for skew in sorted({each.skew for each in truth if each.skew}):
        place = bisect_right(times, snapshot.ts - skew) - 1
        if place >= 0 and truth[place].skew == skew:
            return replace(snapshot, ts=snapshot.ts - skew)
    return snapshot


def _gaps(every: int, came: Sequence[int], end: int) -> list[tuple[int, int]]:
    """Give where snapshots are missing up to a time: behind which, and how many periods without one.

    Behind the last one a period and a half may have passed before the next was due.
    """
    found = [
        (one, round((other - one) / every) - 1) for one, other in pairwise(came) if other - one > 1.5 * every
    ]  # fmt: skip
    if came and end - came[-1] > 1.5 * every:
        found.append((came[-1], int((end - came[-1]) / every - 0.5)))
    return [(ts, count) for ts, count in found if count > 0]


def _found(snapshot: Snapshot, point: str, around: Sequence[Shown], rules: Rules) -> Finding | None:
    """Give what is wrong with a point of a snapshot; None if some moment explains it."""
    found = None
    for shown in around:
        found = _unlike(snapshot, point, shown, rules)
        if found is None:
            break
    return found


def _unlike(snapshot: Snapshot, point: str, shown: Shown, rules: Rules) -> Finding | None:
    """Give how a point differs from what an instrument showed at a moment."""
    flag, value = snapshot.flags[point], snapshot.values.get(point)
    kinds = [KINDS[kind] for kind in shown.troubles]
    if any(kind.unknown for kind in kinds):
        return None
    whole = [kind for kind in kinds if kind.whole and kind.flags]
    states = shown.flags.get(point, frozenset())
    explained = {each for kind in whole for each in kind.flags} | {kind.noticed for kind in kinds}
    if flag and flag in explained:
        return None
    if flag and flag not in states:
        return Finding(snapshot.ts, point, say("flag {flag}, and it was fine", flag=flag), flag=True)
    unheard = not rules.remembers and any(kind.must for kind in whole)
    if not flag and (states or unheard):
        why = " ".join((*sorted(states), *shown.troubles))
        return Finding(snapshot.ts, point, say("flag missing: {why}", why=why), flag=True)
    if value is None or point not in shown.values or _alike(value, shown.values[point], rules.digits.get(point)):
        return None
    return Finding(snapshot.ts, point, say("{value}, and not {shown}", value=value, shown=shown.values[point]))


def _alike(value: Value, shown: Value, digits: int | None) -> bool:
    if isinstance(value, str) or isinstance(shown, str):
        return str(value) == str(shown)
    step = 10.0**-digits if digits is not None else 0.0
    return isclose(value, shown, rel_tol=CLOSE, abs_tol=0.51 * step)
