"""How a simulated value moves over scenario time, advanced by an explicit dt and seeded: same seed, same values.

A shape is a frozen description whose `next` gives the next value from the last one; `Signals` keeps the last values
of a set of shapes that may lean on one another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from graphlib import CycleError, TopologicalSorter
from random import Random
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from parkgate.config.language import say
from parkgate.config.model import Model
from parkgate.config.profile import PointName
from parkgate.config.quantity import Milliseconds

Value = float | int | str

DAY_MS = 86_400_000
_NARROW = 3.0
"""The spread of noise in standard deviations: one step in 370 would leave it and is held at its edge."""

NonNegative = Annotated[float, Field(ge=0)]
Span = Annotated[Milliseconds, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of scenario time.

    `elapsed_ms` since the scenario's start, `day_ms` since local midnight, `dt_ms` since the last step (0 at the
    start), and the `values` already known in this step by name.
    """

    elapsed_ms: int
    day_ms: int
    dt_ms: int
    values: Mapping[str, Value]


def _shaken(value: float, jitter: float, rng: Random) -> float:
    return value + jitter * rng.uniform(-1.0, 1.0) if jitter else value


class Steady(Model):
    """Always `value`, a number (give or take `jitter`) or a text."""

    value: float | str
    jitter: NonNegative = 0.0

    def next(self, _last: Value | None, _moment: Moment, rng: Random) -> Value:
        """Give the value again."""
        return self.value if isinstance(self.value, str) else _shaken(self.value, self.jitter, rng)


class Noise(Model):
    """Wanders around `mean`, never further than `spread` from it, and forgets where it was within `memory`.

    A mean-reverting random walk (Ornstein-Uhlenbeck, stepped exactly), so its spread does not depend on the step.
    """

    mean: float
    spread: NonNegative
    memory: Span = 60_000

    def next(self, last: Value | None, moment: Moment, rng: Random) -> Value:
        """Give the next value, within `mean` +- `spread`."""
        kept = 0.0 if last is None else math.exp(-moment.dt_ms / self.memory)
        away = 0.0 if last is None else float(last) - self.mean
        moved = away * kept + self.spread / _NARROW * math.sqrt(1.0 - kept * kept) * rng.gauss(0.0, 1.0)
        return self.mean + min(self.spread, max(-self.spread, moved))


class Diurnal(Model):
    """A daily wave: `mean` + `swing` at the local time of day `peak`, `mean` - `swing` twelve hours later."""

    mean: float
    swing: float
    peak: time = time(14)
    jitter: NonNegative = 0.0

    def next(self, _last: Value | None, moment: Moment, rng: Random) -> Value:
        """Give the value of this time of day."""
        peak_ms = ((self.peak.hour * 60 + self.peak.minute) * 60 + self.peak.second) * 1000
        angle = 2.0 * math.pi * (moment.day_ms - peak_ms) / DAY_MS
        return _shaken(self.mean + self.swing * math.cos(angle), self.jitter, rng)


class Ramp(Model):
    """Goes straight from one value to another `over` a time; then holds it, starts again, or goes back and forth."""

    from_: float = Field(alias="from")
    to: float
    over: Span
    then: Literal["hold", "again", "back"] = "hold"
    jitter: NonNegative = 0.0

    def next(self, _last: Value | None, moment: Moment, rng: Random) -> Value:
        """Give the value after this much time."""
        turns = moment.elapsed_ms / self.over
        if self.then == "hold":
            share = min(1.0, turns)
        elif self.then == "again":
            share = turns % 1.0
        else:
            share = 1.0 - abs(1.0 - turns % 2.0)
        return _shaken(self.from_ + (self.to - self.from_) * share, self.jitter, rng)


class Step(Model):
    """`before`, and from `at` (since the start of the scenario) on `after`."""

    before: float
    after: float
    at: Span
    jitter: NonNegative = 0.0

    def next(self, _last: Value | None, moment: Moment, rng: Random) -> Value:
        """Give the value before or after the step."""
        return _shaken(self.after if moment.elapsed_ms >= self.at else self.before, self.jitter, rng)


class Correlated(Model):
    """`factor` times the value of another point of the instrument, or of a signal of the scenario, plus `offset`."""

    of: PointName
    factor: float = 1.0
    offset: float = 0.0
    jitter: NonNegative = 0.0

    def next(self, _last: Value | None, moment: Moment, rng: Random) -> Value:
        """Give the value that follows from the other's value of this same step."""
        return _shaken(self.factor * float(moment.values[self.of]) + self.offset, self.jitter, rng)


class Counter(Model):
    """A totaliser: integrates `rate`, or the value of the point `of`, per unit of time `per` (an hour: m3/h to m3).

    It begins at `start`, never runs backwards, and begins again at 0 when it reaches `wrap`.
    """

    rate: NonNegative | None = None
    of: PointName | None = None
    per: Span = 3_600_000
    start: NonNegative = 0.0
    wrap: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Counter:
        if (self.rate is None) == (self.of is None):
            raise PydanticCustomError("counter_source", say('needs "rate" or "of", and not both'))
        return self

    def next(self, last: Value | None, moment: Moment, _rng: Random) -> Value:
        """Give the total after this step."""
        rate = self.rate if self.of is None else float(moment.values[self.of])
        total = self.start if last is None else float(last) + max(0.0, rate or 0.0) * moment.dt_ms / self.per
        return total if self.wrap is None else total % self.wrap


class Toggle(Model):
    """0 for the time `off`, then 1 for the time `on`, and so on."""

    off: Span
    on: Span

    def next(self, _last: Value | None, moment: Moment, _rng: Random) -> Value:
        """Give 0 or 1."""
        return int(moment.elapsed_ms % (self.off + self.on) >= self.off)


class Threshold(Model):
    """1 while the value of another point or signal is above a limit, else 0: an alarm contact, a float switch."""

    of: PointName
    above: float

    def next(self, _last: Value | None, moment: Moment, _rng: Random) -> Value:
        """Give 0 or 1."""
        return int(float(moment.values[self.of]) > self.above)


class Stuck(Model):
    """Follows the value of another point of the instrument, or of a signal, and from `at` on keeps the last it had."""

    of: PointName
    at: Span

    def next(self, last: Value | None, moment: Moment, _rng: Random) -> Value:
        """Give the other's value, or the last again."""
        return last if moment.elapsed_ms >= self.at and last is not None else moment.values[self.of]


class Drift(Model):
    """The value of another point or signal, and an error that grows by `rate` in each time `per` until it is `most`."""

    of: PointName
    rate: float
    per: Span = DAY_MS
    most: NonNegative | None = None
    jitter: NonNegative = 0.0

    def next(self, _last: Value | None, moment: Moment, rng: Random) -> Value:
        """Give the other's value with the error of this moment."""
        error = self.rate * moment.elapsed_ms / self.per
        if self.most is not None:
            error = min(self.most, max(-self.most, error))
        return _shaken(float(moment.values[self.of]) + error, self.jitter, rng)


class Plume(Model):
    """A cloud that passes: `background`, from `at` on rising to `peak` within `rise`, then thinning out by `fall`.

    It rises along half a cosine; what is left falls to 37 % in each time `fall`, as a released puff that the wind
    carries off is seen at one place.
    """

    peak: NonNegative
    at: Span
    rise: Span = 20_000
    fall: Span = 60_000
    background: NonNegative = 0.0
    jitter: NonNegative = 0.0

    def next(self, _last: Value | None, moment: Moment, rng: Random) -> Value:
        """Give the concentration at this moment, never below 0."""
        since = moment.elapsed_ms - self.at
        if since < 0:
            share = 0.0
        elif since < self.rise:
            share = 0.5 - 0.5 * math.cos(math.pi * since / self.rise)
        else:
            share = math.exp((self.rise - since) / self.fall)
        return max(0.0, _shaken(self.background + self.peak * share, self.jitter, rng))


Shape = Steady | Noise | Diurnal | Ramp | Step | Correlated | Counter | Toggle | Threshold | Stuck | Drift | Plume

SHAPES: Mapping[str, type[Shape]] = {
    "steady": Steady,
    "noise": Noise,
    "diurnal": Diurnal,
    "ramp": Ramp,
    "step": Step,
    "correlated": Correlated,
    "counter": Counter,
    "toggle": Toggle,
    "threshold": Threshold,
    "stuck": Stuck,
    "drift": Drift,
    "plume": Plume,
}
"""The shapes by the word a scenario calls them."""


def leans_on(shape: Shape) -> str | None:
    """Give the name whose value a shape needs first, None if it stands alone."""
    return shape.of if isinstance(shape, Correlated | Counter | Threshold | Stuck | Drift) else None


def is_text(shape: Shape) -> bool:
    """Tell whether a shape gives a text and not a number."""
    return isinstance(shape, Steady) and isinstance(shape.value, str)


def in_order(shapes: Mapping[str, Shape]) -> tuple[str, ...]:
    """Give the names so that each stands after the one it leans on; names from elsewhere are left out.

    Raises:
        ValueError: shapes lean on one another in a circle; its text names them.

    """
    needs = {name: tuple(filter(None, (leans_on(shape),))) for name, shape in shapes.items()}
    try:
        order = tuple(TopologicalSorter(needs).static_order())
    except CycleError as circle:
        raise ValueError(" -> ".join(circle.args[1])) from circle
    return tuple(name for name in order if name in shapes)


class Signals:
    """The values of a set of shapes, all of one moment; each shape has a random stream of its own.

    `seed` names the set: a shape's values depend on the seed, its name and the steps taken, not on its neighbours, so
    that adding a point to a scenario leaves the others as they were. `day_ms` is the start's local time of day;
    `outside` holds signals the shapes may lean on too, and is advanced by whoever made it, before these.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], *, seed: str, day_ms: int = 0, outside: Signals | None = None
    ) -> None:
        self._shapes = tuple((name, shapes[name], Random(f"{seed}/{name}")) for name in in_order(shapes))
        self._outside = outside
        self._day_ms = day_ms
        self._elapsed_ms = 0
        self._values: dict[str, Value] = {}
        self._step(0)

    def advance(self, dt_ms: int) -> None:
        """Let `dt_ms` milliseconds of scenario time pass, in one step."""
        self._elapsed_ms += dt_ms
        self._step(dt_ms)

    @property
    def values(self) -> Mapping[str, Value]:
        """The present values by name, those from `outside` among them."""
        return self._values

    def _step(self, dt_ms: int) -> None:
        last = self._values
        self._values = {} if self._outside is None else dict(self._outside.values)
        moment = Moment(self._elapsed_ms, (self._day_ms + self._elapsed_ms) % DAY_MS, dt_ms, self._values)
        for name, shape, rng in self._shapes:
            self._values[name] = shape.next(last.get(name), moment, rng)
