"""What a check found: something fine, something to look at, or something to put right first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """How something stands; only a problem makes a check fail."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    `what` is a word for its kind (clock, data, disk, agent, line, instrument, points, uplink) and `where` its name;
    `found` says what was found and `advice` what to do next, both for people.
    """

    what: str
    where: str
    result: Result
    found: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """Give it for machines; `next` is what to do."""
        return {
            "what": self.what,
            "where": self.where,
            "result": str(self.result),
            "found": self.found,
            "next": self.advice,
        }


def passed(findings: Iterable[Finding]) -> bool:
    """Tell whether there is no problem among them."""
    return all(each.result is not Result.PROBLEM for each in findings)
