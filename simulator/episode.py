"""Things that happen at a time of a scenario, for a while, once or again and again. Pure."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.model import Model
from parkgate.config.profile import PointName
from parkgate.config.quantity import Milliseconds
from parkgate.simulator.shapes import DAY_MS, Span

_ZERO = re.compile(r"\s*0+\s*(ms|s|min|h|d)\s*")


def _since(value: object, whole: ValidatorFunctionWrapHandler) -> object:
    """Take "0s", which is no duration, but a time since the start."""
    return 0 if isinstance(value, str) and _ZERO.fullmatch(value) else whole(value)


Since = Annotated[Milliseconds, Field(ge=0), WrapValidator(_since)]


class Episode(Model):
    """From `at` (since the scenario began) on, or daily at a local `time`, for a while.

    `every` begins it again and again, as long as it begins before `until`.
    """

    at: Since | None = None
    time: dt.time | None = None
    for_: Span = Field(alias="for")
    every: Span | None = None
    until: Span | None = None

    @model_validator(mode="after")
    def _one_beginning(self) -> Episode:
        if (self.at is None) == (self.time is None):
            raise PydanticCustomError("episode_begin", say('needs "at" or "time", and not both'))
        again = self.every if self.time is None else DAY_MS
        if self.until is not None and self.every is None:
            raise PydanticCustomError("episode_until", say('"until" ends what "every" repeats: write "every" too'))
        if self.time is not None and self.every is not None:
            raise PydanticCustomError("episode_daily", say('"time" comes every day: leave "every" out'))
        if again is not None and self.for_ > again:
            raise PydanticCustomError("episode_long", say('"for" is longer than the time until it begins again'))
        return self

    def on(self, elapsed_ms: int, day_ms: int) -> bool:
        """Tell whether it is on, so long after the start of a scenario that began at `day_ms` of its local day."""
        if self.time is None:
            since = elapsed_ms - (self.at or 0)
            within = since if self.every is None else since % self.every
            return since >= 0 and within < self.for_ and (self.until is None or elapsed_ms - within < self.until)
        begin = ((self.time.hour * 60 + self.time.minute) * 60 + self.time.second) * 1000
        return (day_ms + elapsed_ms - begin) % DAY_MS < self.for_


class Condition(Episode):
    """A state of an instrument: it says of itself what makes `flag` of its profile, and shows `values` meanwhile.

    `points` are those that the profile's state must cover; all of them, if none is named.
    """

    instrument: str
    flag: Flag
    points: tuple[PointName, ...] = ()
    values: dict[PointName, float] = Field(default_factory=dict)
