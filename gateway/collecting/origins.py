"""Which instruments of a gateway are simulated, and whether they may send beside the real ones, pure.

Real is every instrument that was asked and did not say that it is simulated: most know no such question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.drivers.faults import Fault
from parkgate.drivers.identity import Identity
from parkgate.drivers.snapshot import Snapshot


@dataclass(slots=True)
class Origins:
    """What the instruments said they are; `mixed` if the site file wants simulated and real ones beside each other."""

    mixed: bool = False
    _simulated: dict[str, bool] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)

    @property
    def simulated(self) -> Mapping[str, bool]:
        """Give whether an instrument is simulated, of those that were asked."""
        return self._simulated

    def note(self, instrument: str, identity: Identity | None) -> list[str]:
        """Note what an instrument says it is, None if nothing of use; give those that are refused from now on."""
        self._simulated[instrument] = identity is not None and identity.simulated
        if self.mixed or all(self._simulated.values()):
            return []
        refused = sorted(name for name, simulated in self._simulated.items() if simulated and name not in self._refused)
        self._refused.update(refused)
        return refused

    def fault(self, instrument: str) -> str:
        """Give what is wrong with an instrument that is refused, in the technician's language; nothing if it is not."""
        if instrument not in self._refused:
            return ""
        return str(
            Fault(
                say("it is simulated, beside real instruments: its values are flagged bad-configuration"),
                where=say('instrument "{name}"', name=instrument),
                hint=say("Take it off the site file, or write mixed = true under [gateway] if you want both."),
            )
        )

    def judge(self, snapshot: Snapshot) -> Snapshot:
        """Give the snapshot with every point flagged if its instrument is refused: it must not pass for real."""
        if snapshot.instrument not in self._refused:
            return snapshot
        told = set(range(len(snapshot.values))) - snapshot.absent
        flags = dict.fromkeys(sorted(told), Flag.BAD_CONFIGURATION)
        return replace(snapshot, flags=flags, uncertain=frozenset())
