"""Topic names: `{prefix}/v1/{site}/{gateway}/…`, at most 7 levels and 200 bytes, only `[A-Za-z0-9_-]` in a level."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BYTES = 200


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one gateway on one uplink; `root` is `{prefix}/v1/{site}/{gateway}`."""

    root: str

    @classmethod
    def of(cls, prefix: str, site: str, gateway: str) -> Topics:
        """Give the topics of a gateway."""
        return cls(f"{prefix}/v1/{site}/{gateway}")

    @property
    def status(self) -> str:
        """The retained state of the gateway, also its last will."""
        return f"{self.root}/status"

    @property
    def alarms(self) -> str:
        """The retained set of the alarms that stand."""
        return f"{self.root}/alarms"

    def meta(self, instrument: str, rev: str | None = None) -> str:
        """Where the description of an instrument is retained: the newest, or that of a `rev`."""
        return f"{self.root}/meta/{instrument}" + (f"/{rev}" if rev else "")

    def live(self, kind: str, instrument: str) -> str:
        """Where a record goes as it is made; an event is of the gateway, not of an instrument."""
        return f"{self.root}/{kind}/{instrument}" if instrument else f"{self.root}/{kind}"

    def backfill(self, instrument: str) -> str:
        """Where snapshots go that were committed before the connection was accepted."""
        return f"{self.root}/backfill/{instrument}"
