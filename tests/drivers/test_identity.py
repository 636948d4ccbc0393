"""Who is taken for simulated."""

import pytest

from parkgate.drivers.identity import Identity


@pytest.mark.parametrize(
    ("vendor", "product", "simulated"),
    [
        ("Parkgate", "simulator", True),
        ("Parkgate", "simulator 2", True),
        ("Parkgate", "Parkgate simulator", True),
        ("Parkgate", "gateway", False),
        ("Parkgate", "", False),
        ("Others", "simulator", False),
        ("", "", False),
    ],
)
def test_only_our_simulator_is_simulated(vendor, product, simulated):
    assert Identity(vendor, product).simulated is simulated
