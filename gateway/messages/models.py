"""The records as consumers see them, as models: the JSON Schemas come from here, the tests hold every payload to them.

The hot path does not build these: `encode` writes the same shapes straight to bytes, and a test keeps the two one.
Consumers must ignore fields that they do not know: v1 only ever adds.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from parkgate.config.flag import Flag

Value = float | int | str
Seq = Annotated[int, Field(ge=1, lt=2**53, description="Gapless per instrument and kind within an epoch, from 1.")]
Low = Annotated[int, Field(ge=1, lt=2**53, description="Everything of this series below it was delivered or declared.")]
Ts = Annotated[int, Field(description="When it was measured or happened, milliseconds UTC.")]
Source = Annotated[str, Field(description="{site}/{gateway}/{instrument}, or {site}/{gateway} for the gateway itself.")]
Epoch = Annotated[str, Field(pattern=r"^[0-9]{4,}-[0-9a-z]{6}$", description="One life of the outbox; epochs sort.")]
Rev = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$", description="Names the meta record that describes the values.")]


class Record(BaseModel):
    """A message's shape: additions are allowed, a missing or mistyped field is not."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Invalid(Record):
    """A value that may not be used as it is: why, and what was read if anything was."""

    flag: Flag
    value: Value | None = Field(default=None, exclude_if=lambda value: value is None)


class Snapshot(Record):
    """What one read of one instrument gave: usable values in `values`, everything else in `invalid`."""

    source: Source
    epoch: Epoch
    seq: Seq
    low: Low
    ts: Ts
    rev: Rev
    values: dict[str, Value]
    invalid: dict[str, Invalid] = Field(default_factory=dict)
    uncertain: list[str] = Field(default_factory=list, description="Points whose value is usable but uncertain.")
    offsets: dict[str, int] = Field(default_factory=dict, description="Milliseconds a point's own time differs by.")
    clock: Literal["unsynced"] | None = Field(default=None, description="Only while the gateway's clock is not known.")
    history: bool = Field(
        default=False, description="Read later from the instrument's own history: only the points that it has for `ts`."
    )


class Backfill(RootModel[list[Snapshot]]):
    """Snapshots that were committed before the connection, or came from a history, in order of `seq`, one a line."""


class PointMeta(Record):
    """What a consumer must know of a point."""

    title: str = ""
    unit: str = ""
    type: str
    factor: str | None = Field(default=None, description="HJ 212 factor code.")
    range: tuple[float, float] | None = Field(
        default=None, description="Measuring range in the point's unit.", strict=False
    )
    digits: int | None = None
    as_: Literal["string"] | None = Field(default=None, alias="as", description="A number written as a string.")


class Meta(Record):
    """An instrument's description, retained; sent before the first snapshot of its `rev`."""

    source: Source
    rev: Rev
    title: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    profile: str
    manual: str = ""
    protocol: str
    every: int = Field(description="Period, milliseconds.")
    report: Literal["change"] | None = Field(
        default=None, description="Snapshots name only what changed; a full one comes at least once a minute or period."
    )
    safety: bool = Field(default=False, description="It warns people; its readings are the last to leave a full disk.")
    simulated: bool = Field(default=False, description="It says that it is simulated: its values measure nothing.")
    points: dict[str, PointMeta]


class Backlog(Record):
    """What this uplink has not had yet."""

    records: int = Field(ge=0)
    oldest: int | None = Field(default=None, description="`ts` of the oldest, milliseconds UTC.")


class Status(Record):
    """The state of a gateway, retained, also its last will. Ignore an `offline` of an older `connection`."""

    state: Literal["online", "offline"]
    source: Source
    epoch: Epoch
    connection: int = Field(ge=1, description="Counts up with every connection of this uplink.")
    since: int = Field(description="When this state began: for `online`, when the connection was accepted; ms UTC.")
    version: str
    reason: str | None = None
    durable: bool = Field(default=True, description="False while no disk takes anything: the outbox is in memory.")
    simulated: bool = Field(default=False, description="True while any instrument says that it is simulated.")
    backlog: Backlog | None = None
    silent: list[str] = Field(default_factory=list, description="Instruments that do not answer.")


class Event(Record):
    """Something happened to the gateway, a line or an instrument."""

    source: Source
    epoch: Epoch
    seq: Seq
    low: Low
    ts: Ts
    event: str
    subject: str
    detail: dict[str, object] = Field(default_factory=dict)
