"""A site file as frozen models: one gateway, its uplinks, its lines and the instruments on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError

from parkgate.config.model import Model
from parkgate.config.profile import Order, Point, Protocol, Real, State, Whole
from parkgate.config.quantity import duration_ms, size_bytes

Level = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Labels = Mapping[str, str]
FROM_FILE = {"text": True}
"""The validation context of a file: there a duration or a size is text with its unit, never a bare number."""


def _duration(value: object, info: ValidationInfo) -> object:
    if info.context == FROM_FILE and not isinstance(value, str):
        raise PydanticCustomError("duration", "not a duration with its unit")
    try:
        return duration_ms(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "not a duration with its unit") from error


def _size(value: object, info: ValidationInfo) -> object:
    if info.context == FROM_FILE and not isinstance(value, str):
        raise PydanticCustomError("size", "not a size with its unit")
    try:
        return size_bytes(value)
    except ValueError as error:
        raise PydanticCustomError("size", "not a size with its unit") from error


Milliseconds = Annotated[int, BeforeValidator(_duration)]
Bytes = Annotated[int, BeforeValidator(_size)]


class Secret(Model):
    """Where a password is kept: exactly one of a systemd credential, a file or an environment variable."""

    credential: str | None = None
    file: Path | None = None
    env: str | None = None


class Gateway(Model):
    """Who this gateway is, and where it keeps what it must not lose.

    `mixed`: simulated instruments may send beside real ones.
    """

    site: Level
    id: Level
    title: str = ""
    labels: Labels = Field(default_factory=dict)
    data: Path
    timezone: str = "Asia/Shanghai"
    mixed: bool = False


class Uplink(Model):
    """A destination of the outbox: an MQTT broker and what it needs to know."""

    name: Level
    title: str = ""
    url: str
    username: str | None = None
    password: Secret | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    prefix: Level = "park"
    nobody: Literal["deliver", "hold"] = "deliver"
    window: Annotated[Whole, Field(ge=1, le=100)] = 10
    backfill_share: Annotated[Real, Field(ge=0.05, le=1)] = 0.33


class Keep(Model):
    """How long delivered records stay for replay and history, milliseconds."""

    data: Milliseconds = 30 * 86_400_000
    stats: Milliseconds = 400 * 86_400_000
    events: Milliseconds = 400 * 86_400_000


class Outbox(Model):
    """How often the outbox commits and how much disk it may use."""

    commit: Literal["auto"] | Milliseconds = "auto"
    keep: Keep = Keep()
    max_size: Bytes = 2 * 1024**3


class Line(Model):
    """One wire or endpoint that answers one question at a time."""

    name: Level
    title: str = ""
    labels: Labels = Field(default_factory=dict)
    url: str
    timeout: Milliseconds = 1_000
    security: Literal["none"] | None = None


class Instrument(Model):
    """An instrument as the agent uses it: the site's entry and its profile made one.

    `points` holds the enabled points only, in the order of the profile; a snapshot's values stand in that order.
    `every` is in milliseconds. `safety`: its undelivered snapshots are the last to leave a full disk.
    """

    name: Level
    title: str = ""
    labels: Labels = Field(default_factory=dict)
    line: Level
    unit: Annotated[Whole, Field(ge=0, le=255)] = 1
    every: Milliseconds
    profile: str
    manual: str = ""
    protocol: Protocol
    order: Order = "ABCD"
    base: Literal[0, 1] = 0
    max_gap: int = 16
    safety: bool = False
    points: tuple[Point, ...]
    states: tuple[State, ...] = ()


class Site(Model):
    """Everything a gateway is told: the site file with its profiles resolved."""

    path: Path
    gateway: Gateway
    uplinks: tuple[Uplink, ...]
    outbox: Outbox = Outbox()
    lines: tuple[Line, ...]
    instruments: tuple[Instrument, ...]

    def on(self, line: Line) -> tuple[Instrument, ...]:
        """Give the instruments on a line, in the order of the file."""
        return tuple(each for each in self.instruments if each.line == line.name)
