"""What the statistics of a virtual world count, held against the snapshots that were committed in it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

from support.virtual_judge import Judge

MINUTE = 60_000


def miscounted(judge: Judge, instrument: str) -> list[str]:
    """Give the minutes whose last word does not count the snapshots of an instrument that lie in it.

    A minute that may still be open, or whose correction is, is left alone: the newest two of each life.
    """
    lying: Counter[int] = Counter()
    said: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (kind, name, _), body in ((series, json.loads(body)) for (series, _), body in judge.committed.items()):
        if name == instrument and kind == "data":
            lying[body["ts"] // MINUTE * MINUTE] += 1
        elif name == instrument and kind == "stats/1min":
            said[body["ts"]].append((body["revision"], body["points"]["n"]["n"]))
    newest = max(said, default=0)
    return [
        f"{instrument} at {start}: {said[start]} for {lying[start]}"
        for start in sorted({*lying, *said})
        if abs(start - newest) > 2 * MINUTE and max(said[start], default=(0, 0))[1] != lying[start]
    ]
