"""A short while on a slow gateway: what is asserted is that everything arrives; `make chaos` measures."""

import pytest
from chaos.slow_flash import run


@pytest.mark.root
def test_on_a_quarter_of_a_core_with_slow_flash_everything_is_delivered():
    delivered, *others = run(seconds=5)
    assert delivered.ok, delivered
    assert len(others) == 3
