"""The one shape every driver has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

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
    is asked again where it has been silent for long, else 0. `units`: the points whose unit is another one on the
    instrument than in its profile, and the instrument's. `reasons`: why points have no usable value, by name, where the
    instrument says more than the flag.
    """

    unsupported: tuple[str, ...] = ()
    rests: float = 0.0
    units: tuple[tuple[str, str], ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)


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
        """Ask one instrument and give what it said: one snapshot for a poll.

        Where that takes several questions, `between` is called between them.
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
