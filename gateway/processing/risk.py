"""Hours that can still be saved, pure: which points have lost as many minutes of this hour as it may lose, no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parkgate.gateway.processing.periods import MINUTE
from parkgate.gateway.processing.statistics import Figures


@dataclass(slots=True)
class Risk:
    """The invalid minutes of one instrument in the hour that goes, by point; each point is warned of once an hour.

    `invalid` has a bit for each minute: sets of thousands of points would take megabytes.
    """

    hour: int = 0
    invalid: dict[str, int] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)

    def take(self, hour: int, start: int, figures: Mapping[str, Figures], spare: int) -> list[str]:
        """Take what a minute of this hour says, or says now; give the points that have just lost `spare` minutes."""
        if hour != self.hour:
            self.hour, self.invalid, self.warned = hour, {}, set()
        found: list[str] = []
        minute = 1 << (start - hour) // MINUTE
        for name, each in figures.items():
            lost = self.invalid.get(name, 0)
            if each.flag and not lost & minute:
                self.invalid[name] = lost = lost | minute
                if lost.bit_count() == spare and name not in self.warned:
                    found.append(name)
            elif not each.flag and lost & minute:
                self.invalid[name] = lost & ~minute
        self.warned.update(found)
        return found
