"""Means of means, pure: an hour is the mean of its valid minutes, a day the mean of its valid hours.

HJ 212-2017, appendix D.2 (5). They are made of the figures as they are sent: whoever has those comes to the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from parkgate.gateway.processing.statistics import NOTHING, Figures, Measure, bearing, longest, significant

Named = Mapping[str, Figures]
"""The figures of an interval, by point."""


def combined(measures: Sequence[Measure], parts: Sequence[Named | None], enough: int) -> dict[str, Figures]:
    """Give the figures of an interval of these parts, None where one has no record; `enough` must be valid."""
    named = [{} if part is None else part for part in parts]
    return {each.name: _combined(each, [part.get(each.name, NOTHING) for part in named], enough) for each in measures}


def _combined(measure: Measure, parts: Sequence[Figures], enough: int) -> Figures:
    valid = [part for part in parts if not part.flag]
    amounts = [part.amount for part in parts if part.amount is not None]
    return Figures(
        n=sum(part.n for part in parts),
        valid=sum(part.valid for part in parts),
        avg=_mean(measure, valid),
        least=min((part.least for part in valid if part.least is not None), default=None),
        most=max((part.most for part in valid if part.most is not None), default=None),
        amount=significant(math.fsum(amounts)) if amounts else None,
        weight=math.fsum(part.weight for part in valid),
        flag="" if len(valid) >= enough else longest(Counter(part.flag for part in parts if part.flag)),
    )


def _mean(measure: Measure, parts: Sequence[Figures]) -> float | None:
    told = [(part.avg, part.weight) for part in parts if part.avg is not None]
    if not told:
        return None
    if measure.direction:
        angles = [math.radians(avg) for avg, _ in told]
        mean = bearing(math.fsum(map(math.cos, angles)), math.fsum(map(math.sin, angles)), len(told))
        return None if mean is None else measure.rounded(mean) % 360.0
    weights = math.fsum(weight for _, weight in told)
    if measure.weight is not None and weights > 0:
        return measure.rounded(math.fsum(avg * weight for avg, weight in told) / weights)
    return measure.rounded(math.fsum(avg / len(told) for avg, _ in told))
