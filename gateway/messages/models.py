"""The records as consumers see them, as models: the JSON Schemas come from here, the tests hold every payload to them.

The hot path does not build these: `encode` writes the same shapes straight to bytes, and a test keeps the two one.
Consumers must ignore fields that they do not know: v1 only ever adds.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from parkgate.config.alarm import Kind, Priority
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


class AlarmMeta(Record):
    """What makes a point alarm: exactly one of `above`, `below`, `equals`, `rate` and `fault`, in the point's unit."""

    name: str
    title: str = ""
    above: float | None = Field(default=None, description="From this value on.")
    below: float | None = Field(default=None, description="From this value down.")
    equals: int | None = None
    rate: float | None = Field(default=None, description="A rise within `per`, a fall where it is negative.")
    per: int | None = Field(default=None, description="Milliseconds.")
    fault: bool = Field(default=False, description="It cannot be used: the instrument is faulty or does not answer.")
    deadband: float = Field(default=0.0, description="How far it must be back from the limit to return.")
    delay: int = Field(default=0, description="Milliseconds that it must last before it counts.")
    off_delay: int = Field(default=0, description="Milliseconds that it must be over before it counts as returned.")
    latch: bool = Field(default=False, description="It stands until it is acknowledged.")
    priority: Priority
    basis: str = Field(default="", description="Where the limit comes from.")


class Averages(Record):
    """What an interval says of a point. What there is nothing to say of is left out."""

    avg: float | None = Field(default=None, description="Mean of what was usable, one digit more than the point's own.")
    min: float | None = None
    max: float | None = None
    n: int = Field(ge=0, description="Snapshots whose `ts` lies in the interval and that name the point.")
    valid: int = Field(ge=0, description="Those of them in whose `values` it stands.")
    sum: float | None = Field(default=None, description="What a rate added up to while it was usable; unit in meta.")
    flag: Flag | None = Field(
        default=None, description="Only where the interval is not valid: what it was for longest."
    )


class Stats(Record):
    """The means of one interval of one instrument; a larger `revision` takes the place of a smaller one.

    An instrument of many points gives its interval in several records, each with some of them.
    """

    source: Source
    epoch: Epoch
    seq: Seq
    low: Low
    ts: Annotated[int, Field(description="When the interval began, milliseconds UTC.")]
    rev: Rev
    period: Annotated[str, Field(pattern=r"^[0-9]+(min|h|d)$", description="1min, 10min, 1h, 1d.")]
    revision: int = Field(ge=0, description="0, then one more with each correction by values that came late.")
    points: dict[str, Averages]


class Converted(Record):
    """What became of the instrument's own value: value * factor + offset."""

    unit: str = Field(description="The unit that the instrument gives.")
    factor: float
    offset: float = 0.0
    at: int | None = Field(default=None, description="Temperature that a volume is meant at, °C.")
    molar: float | None = Field(default=None, description="Molar mass, g/mol.")


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
    gas: str | None = Field(default=None, description="What a gas detector measures, where no factor code tells.")
    alarms: list[AlarmMeta] = Field(default_factory=list)
    sum: str | None = Field(default=None, description="Unit of what the point, a rate, adds up to in statistics.")
    mean: Literal["direction"] | None = Field(default=None, description="Averaged as a direction, in degrees.")
    weight: str | None = Field(default=None, description="The point that its means are weighted by.")
    ucum: str = Field(default="", description="The unit in UCUM.")
    unece: str = Field(default="", description="The unit's UNECE recommendation 20 common code.")
    converted: Converted | None = Field(default=None, description="What the instrument gives in another unit.")
    formula: str | None = Field(
        default=None, description="Only of a derived point: the formula that it is computed by."
    )
    of: dict[str, str] = Field(
        default_factory=dict, description="The formula's points, by quantity: NAME or INSTRUMENT.NAME."
    )
    with_: dict[str, float] = Field(
        default_factory=dict, alias="with", description="The formula's numbers, by quantity."
    )


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


class TrailHead(Record):
    """The newest entry of the trail in this epoch: its number, and the SHA-256 (hex) over its bytes."""

    n: int = Field(ge=1)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


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
    trail: TrailHead | None = None
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


class AlarmState(Record):
    """What an alarm is like: it stands (`active`), or no more (`cleared`)."""

    point: str
    alarm: str
    kind: Kind
    state: Literal["active", "cleared"]
    acknowledged: bool = Field(description="Somebody has acknowledged it since it was raised.")
    latched: bool = Field(description="It stands until it is acknowledged, whatever the value does.")
    returned: bool = Field(default=False, description="What raised it is over; it stands to be acknowledged.")
    value: Value | None = Field(default=None, description="The last reading.")
    flag: Flag | None = Field(default=None, description="Why that may not be used as it is.")
    limit: float | None = Field(default=None, description="In the point's unit; a fault has none.")
    priority: Priority
    rev: Rev
    since: Ts
    reason: Literal["configuration"] | None = Field(default=None, description="Its configuration has it no more.")


class Alarm(AlarmState):
    """A transition of an alarm, sent before everything else."""

    source: Source
    epoch: Epoch
    seq: Seq
    low: Low
    ts: Ts
    by: str | None = Field(default=None, description="Who acknowledged it.")
    why: str | None = Field(default=None, description="What that person said about it.")
    clock: Literal["unsynced"] | None = Field(default=None, description="Only while the gateway's clock is not known.")


class StandingAlarm(AlarmState):
    """An alarm that stands."""

    instrument: str
    ts: Ts


class Alarms(Record):
    """The alarms of a gateway that stand, retained: the most urgent first. Published when it changes."""

    ts: Ts
    standing: list[StandingAlarm]
    more: int = Field(default=0, description="How many more stand than the largest message holds.")
