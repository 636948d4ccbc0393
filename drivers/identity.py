"""What an instrument says it is, when it is asked: its maker, its product, and so whether it is simulated."""

from __future__ import annotations

from dataclasses import dataclass

MAKER = "Parkgate"
PRODUCT = "simulator"
SERVER = f"{MAKER} {PRODUCT}"
"""What our simulator calls itself: the product of its Modbus units, and of its OPC UA servers."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An instrument's own words; a word that it does not say is empty."""

    vendor: str
    product: str
    revision: str = ""

    @property
    def simulated(self) -> bool:
        """Tell whether it says that it is one of our simulator's."""
        return self.vendor == MAKER and self.product.startswith((PRODUCT, SERVER))
