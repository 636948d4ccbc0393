"""A site file as frozen models: one gateway, its uplinks, its lines and the instruments on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from parkgate.config.conversions import Conversion
from parkgate.config.derived import Derived
from parkgate.config.model import Model
from parkgate.config.profile import Order, Point, Protocol, Real, State, Switch, Whole
from parkgate.config.quantity import Bytes, Milliseconds
from parkgate.config.window import Window

Level = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Labels = Mapping[str, str]


Acquisition = Literal["subscription", "read"]
"""How the values of an OPC UA instrument come: told by the server as they change, or read all in each period."""

Security = Literal[
    "none",
    "Basic256Sha256/Sign",
    "Basic256Sha256/SignAndEncrypt",
    "Aes128_Sha256_RsaOaep/Sign",
    "Aes128_Sha256_RsaOaep/SignAndEncrypt",
    "Aes256_Sha256_RsaPss/Sign",
    "Aes256_Sha256_RsaPss/SignAndEncrypt",
]
"""How an OPC UA line is secured: policy and mode as OPC 10000-7 names them, or not at all."""


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


class Statistics(Model):
    """When a mean is valid, and for how long late values correct one.

    `samples` a minute: HJ 212-2017, appendix D.2, wants 12, one every 5 s. `minutes` of an hour and `hours` of a day:
    HJ 76-2017 wants 45 and 20. What is sampled more rarely than every 5 s cannot give 12: it must give all that it can.
    `period`: of the statistics between minute and hour, ms (HJ 212-2017, command 1063). `corrections`: how old (ms) an
    interval may be that late values correct.
    """

    samples: Annotated[Whole, Field(ge=1, le=12_000)] = 12
    minutes: Annotated[Whole, Field(ge=1, le=60)] = 45
    hours: Annotated[Whole, Field(ge=1, le=24)] = 20
    period: Milliseconds = 600_000
    corrections: Milliseconds = 3 * 86_400_000


def periods_of(statistics: Statistics) -> tuple[str, ...]:
    """Give the names of the periods of a site's statistics, the shortest first."""
    return "1min", f"{statistics.period // 60_000}min", "1h", "1d"


class Rs485(Model):
    """How the kernel turns a serial port's RS-485 transmitter on and off (Linux, serial-rs485: TIOCSRS485).

    `delay_before`, `delay_after`: milliseconds between RTS and the first character, and the last one and RTS.
    """

    rts_on_send: Switch = True
    rts_after_send: Switch = False
    receive_during_send: Switch = False
    delay_before: Milliseconds = 0
    delay_after: Milliseconds = 0


class Line(Model):
    """One wire or endpoint that answers one question at a time.

    `baudrate` to `echo` are of a serial port; a character is 8 data bits, as Modbus RTU has them. `pause` is the least
    silence (ms) between an answer and the next question, beyond the 3.5 characters that RTU asks for. `security` to
    `key` are of OPC UA: `ca` vouches for the server, `cert` and `key` are a user's.
    """

    name: Level
    title: str = ""
    labels: Labels = Field(default_factory=dict)
    url: str
    baudrate: Annotated[Whole, Field(ge=300, le=4_000_000)] = 9_600
    parity: Literal["none", "even", "odd"] = "none"
    stopbits: Literal[1, 2] = 1
    rs485: Rs485 | None = None
    echo: Switch = False
    timeout: Milliseconds = 1_000
    pause: Milliseconds = 0
    security: Security | None = None
    username: str | None = None
    password: Secret | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class Instrument(Model):
    """An instrument as the agent uses it: the site's entry and its profile made one.

    `points` holds the enabled points only, in the order of the profile; a snapshot's values stand in that order.
    `derived` are computed from them, each behind those that it needs; `conversions` tells, by point, what was
    converted.
    `every` is in milliseconds. `acquisition`: how its values come; of a subscription `sampling` is how often (ms) the
    server looks at a node, None for a tenth of `every`. `safety`: its undelivered snapshots are the last to leave a
    full disk. `pause`: the least silence (ms) between its answer and the next question to it. `response`: how long (ms)
    it takes to begin an answer, as far as is known. `connections`: how many it takes at once. `heartbeat`: for how long
    (ms) the reading of the last of `states` may stay the same; None where that is no heartbeat but a state like the
    others. `history`: whether what an outage made us miss is read from the server's history, where it keeps one.
    `statistics`: whether its means are sent, or of which periods. `windows`: when its values are flagged because people
    work on it.
    """

    name: Level
    title: str = ""
    labels: Labels = Field(default_factory=dict)
    line: Level
    unit: Annotated[Whole, Field(ge=0, le=255)] = 1
    every: Milliseconds
    acquisition: Acquisition = "read"
    sampling: Milliseconds | None = None
    profile: str
    manual: str = ""
    protocol: Protocol
    order: Order = "ABCD"
    base: Literal[0, 1] = 0
    max_gap: int = 16
    pause: Milliseconds = 0
    response: Milliseconds | None = None
    connections: int = 1
    safety: bool = False
    points: tuple[Point, ...]
    conversions: Mapping[str, Conversion] = Field(default_factory=dict)
    derived: tuple[Derived, ...] = ()
    states: tuple[State, ...] = ()
    heartbeat: Milliseconds | None = None
    history: Literal["auto", "off"] = "auto"
    statistics: Switch | tuple[str, ...] = True
    windows: tuple[Window, ...] = ()

    @property
    def quantities(self) -> tuple[Point | Derived, ...]:
        """The points measured and those derived, in the order of a snapshot's values once it is derived."""
        return (*self.points, *self.derived)


class Site(Model):
    """Everything a gateway is told: the site file with its profiles resolved."""

    path: Path
    gateway: Gateway
    uplinks: tuple[Uplink, ...]
    outbox: Outbox = Outbox()
    statistics: Statistics = Statistics()
    lines: tuple[Line, ...]
    instruments: tuple[Instrument, ...]

    def on(self, line: Line) -> tuple[Instrument, ...]:
        """Give the instruments on a line, in the order of the file."""
        return tuple(each for each in self.instruments if each.line == line.name)
