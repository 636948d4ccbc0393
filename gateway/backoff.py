"""How long to wait before the next try: exponential back-off with full jitter, pure.

Thousands of gateways lose the same broker at the same moment; full jitter spreads their return evenly (M. Brooker,
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import math
import random

_LARGEST_EXPONENT = 62  # beyond it every base has passed every cap, and a float would overflow at last


def next_delay(attempt: int, rng: random.Random, *, base: float = 1.0, cap: float = 60.0, floor: float = 0.0) -> float:
    """Give the seconds to wait before try number `attempt` (0 is the first one after a failure).

    Evenly spread between `floor` and `base * 2 ** attempt`, which never passes `cap`. Without a `floor` it may be as
    short as 0 s; a fault that hurries nobody (credentials refused, client id taken over) sets one.
    """
    ceiling = min(cap, math.ldexp(base, min(max(attempt, 0), _LARGEST_EXPONENT)))
    return rng.uniform(floor, max(floor, ceiling))
