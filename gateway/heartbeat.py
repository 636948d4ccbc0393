"""A loop's sign of life: by when it turns again. The service manager is told that all is well while every loop does."""

from __future__ import annotations

import math
from collections.abc import Callable


class Heart:
    """One loop's promise. A loop that waits for what may never come, an answer or a lock, breaks it."""

    __slots__ = ("_due", "_monotonic")

    def __init__(self, monotonic: Callable[[], float] = lambda: 0.0) -> None:
        self._monotonic = monotonic
        self._due = math.inf

    def expect(self, seconds: float) -> None:
        """Promise to turn again within so many seconds; infinity promises nothing."""
        self._due = self._monotonic() + seconds

    @property
    def late(self) -> bool:
        """Tell whether the promise is broken."""
        return self._monotonic() > self._due
