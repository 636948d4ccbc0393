"""An alarm of a point as data: its limit, its deadband and delays, whether it latches, and how urgent it is. Pure.

The words are those of ISA-18.2 and IEC 62682: deadband, on and off delay, latching, priority.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from parkgate.config.model import Model
from parkgate.config.quantity import Milliseconds

Priority = Literal["low", "medium", "high", "urgent"]
Kind = Literal["above", "below", "equals", "rate", "fault"]
STANDARD = "GB/T 50493"
"""The standard whose set points may stand for limits of one's own: gas_alarms.toml."""

Limit = Annotated[float, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]
AlarmName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")]


def _contact(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


class Alarm(Model):
    """What makes a point alarm, exactly one of these, in the point's unit.

    `above`, `below`: from this value on, up or down. `equals`: a contact (`true`, `false`) or a whole number. `rate`:
    it rose by so much within `per` (ms), or fell where `rate` is negative. `fault`: it cannot be used, because the
    instrument is faulty or does not answer. `standard` stands for the alarms of a standard, by the point's gas; its
    `basis` says who confirmed them for this site.

    It returns once the value is `deadband` away from the limit again. `delay` and `off_delay` (ms): how long it must
    last before it counts, and be over before it counts as returned. `latch`: it stands until it is acknowledged.
    `basis`: where the limit comes from.
    """

    name: AlarmName = ""
    title: str = ""
    standard: Literal["GB/T 50493"] | None = None
    above: Limit | None = None
    below: Limit | None = None
    equals: Annotated[int, Field(strict=True), BeforeValidator(_contact)] | None = None
    rate: Limit | None = None
    per: Milliseconds | None = None
    fault: Switch = False
    deadband: Limit = 0.0
    delay: Milliseconds = 0
    off_delay: Milliseconds = 0
    latch: Switch = False
    priority: Priority = "medium"
    basis: str = ""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that it has a limit for; one, where nothing is wrong with it."""
        limits: dict[Kind, object] = {
            "above": self.above,
            "below": self.below,
            "equals": self.equals,
            "rate": self.rate,
        }
        given = tuple(kind for kind, limit in limits.items() if limit is not None)
        return (*given, "fault") if self.fault else given

    @property
    def limit(self) -> float | int | None:
        """The limit, in the point's unit, whole where it is; None of a fault."""
        limit = next((each for each in (self.above, self.below, self.equals, self.rate) if each is not None), None)
        return None if limit is None else _whole(limit)


def _whole(number: float) -> float | int:
    """Give a number without its `.0`."""
    return int(number) if number == int(number) else number


def listed(value: object) -> object:
    """Let a standard's name stand for all alarms of a point, or for one in a list of them."""
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple):
        return entries
    return tuple({"standard": each} if isinstance(each, str) else each for each in entries)
