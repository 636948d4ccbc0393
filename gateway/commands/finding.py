"""What a check found: something fine, something to look at, or something to put right first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from parkgate.gateway.messages.table import Reading


class Result(StrEnum):
    """How something stands; only a problem makes a check fail."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    `what` is a word for its kind (clock, data, disk, agent, outbox, line, instrument, points, uplink) and `where` its
    name; `found` says what was found and `advice` what to do next, both for people. `readings` are the values of an
    instrument that answers, to be compared with its display.
    """

    what: str
    where: str
    result: Result
    found: str
    advice: str = ""
    readings: tuple[Reading, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Give it for machines; `next` is what to do, `points` the readings where there are any."""
        told: dict[str, object] = {
            "what": self.what,
            "where": self.where,
            "result": str(self.result),
            "found": self.found,
            "next": self.advice,
        }
        if self.readings:
            told["points"] = {each.name: _as_json(each) for each in self.readings}
        return told


def _as_json(reading: Reading) -> dict[str, object]:
    told = {"value": reading.value, "unit": reading.unit, "flag": reading.flag}
    return {name: value for name, value in told.items() if value not in (None, "")}


def passed(findings: Iterable[Finding]) -> bool:
    """Tell whether there is no problem among them."""
    return all(each.result is not Result.PROBLEM for each in findings)
