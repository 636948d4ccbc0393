"""The one shape every driver has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from parkgate.config.site import Instrument
from parkgate.drivers.identity import Identity
from parkgate.drivers.snapshot import Snapshot

Now = Callable[[], int]
"""The wall clock: milliseconds UTC."""

Between = Callable[[Instrument], Awaitable[None]]
"""Called between two questions of an instrument's turn: who is more urgent may be read there."""


async def nothing(_: Instrument) -> None:
    """Let nobody between."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an instrument stands with its driver.

    `unsupported`: the names of the points that it refuses; they are asked again rarely. `rests`: the seconds until it
    is asked again where it has been silent for long, else 0. `reasons`: why points have no usable value, by name, where
    the instrument says more than the flag. `remarks`: what it does otherwise than was asked, for people. `units`: the
    points whose unit is another one on the instrument than in its profile, and the instrument's.
    """

    unsupported: tuple[str, ...] = ()
    rests: float = 0.0
    reasons: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    units: tuple[tuple[str, str], ...] = ()


class Driver(Protocol):
    """One line. Entering connects, leaving closes; in between it answers one question at a time.

    Raises:
        Unreachable: the line cannot be opened, or went down; the driver must be left.
        Silent: the instrument did not answer in time.
        Garbled: the instrument's answer did not fit the question.

    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def read(self, instrument: Instrument, between: Between = nothing) -> Sequence[Snapshot]:
        """Ask one instrument and give what it said: one snapshot for a poll, any number where it reports changes.

        The first read after entering gives a full one. Where that takes several questions, `between` is called between
        them.
        """
        ...

    def standing(self, instrument: Instrument) -> Standing:
        """Tell what an instrument refuses, and whether it is asked more rarely than configured."""
        ...

    def described(self, instrument: Instrument) -> Instrument:
        """Give an instrument as it is known by now: itself, unless it told units or ranges that its profile lacks."""
        ...

    async def identify(self, instrument: Instrument) -> Identity | None:
        """Ask once what an instrument says it is; None where it says nothing of use, whoever asks again.

        Only `Unreachable` is raised: then nothing was answered, and the question may be put once more.
        """
        ...


@dataclass(frozen=True, slots=True)
class Recalled:
    """What became of an interval in which an instrument could not be asked, and it may have a history.

    `start` and `end` are milliseconds UTC: what was delivered last before it and first behind it. `count` snapshots
    fill it. `reason` is empty where it was filled, else a word for why it was not: `not-kept`, `empty`, `refused`,
    `too-long`, `too-many`, `clock-set-back`.
    """

    start: int
    end: int
    count: int = 0
    reason: str = ""


class Recall(Protocol):
    """What a driver knows of the histories of its instruments; its `read` gives their snapshots, marked `late`."""

    def resume(self, marks: Mapping[str, bytes]) -> None:
        """Go on from what was delivered before the agent started, by instrument; unless more is known already."""
        ...

    def mark(self, instrument: Instrument) -> bytes:
        """Give what `resume` needs, as it stands behind the last read; nothing where no history is kept."""
        ...

    def told(self, instrument: Instrument) -> Sequence[Recalled]:
        """Give what became of missed intervals since this was asked last."""
        ...


@runtime_checkable
class Recalling(Protocol):
    """A driver whose instruments may keep a history of their own."""

    @property
    def history(self) -> Recall:
        """Give what is known of the histories."""
        ...
