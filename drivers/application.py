"""The gateway as an OPC UA application: what its own certificate says it is, and where keys and trust are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from parkgate.config.site import Gateway


@dataclass(frozen=True, slots=True)
class Application:
    """An OPC UA client: its URI (OPC 10000-4, 7.2) and name, and the folder of its certificate and of those it trusts.

    It keeps `own.der` and `own.key` in `folder`, and in `trusted` the certificate of the server of each line, LINE.der.
    """

    uri: str
    name: str
    folder: Path

    @classmethod
    def of(cls, gateway: Gateway) -> Self:
        """Give that of a gateway."""
        name = f"Parkgate {gateway.site}/{gateway.id}"
        return cls(f"urn:parkgate:{gateway.site}:{gateway.id}", name, gateway.data / "opcua")

    @property
    def certificate(self) -> Path:
        """Where its own certificate is."""
        return self.folder / "own.der"

    @property
    def key(self) -> Path:
        """Where the key of its own certificate is."""
        return self.folder / "own.key"

    @property
    def trusted(self) -> Path:
        """Where the certificates are that a person trusted."""
        return self.folder / "trusted"
