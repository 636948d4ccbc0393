"""What rates add up to."""

import pytest

from parkgate.config.amounts import amount_per_second


@pytest.mark.parametrize(
    ("rate", "amount", "in_an_hour"),
    [
        ("kg/h", "kg", 1), ("t/h", "kg", 1000), ("kg/h", "t", 1e-3), ("L/s", "m3", 3.6), ("m3/s", "m3", 3600),
        ("Nm3/h", "Nm3", 1), ("t/d", "t", 1 / 24), ("L/min", "L", 60), ("kW", "kWh", 1), ("MW", "kWh", 1000),
        ("kWh/h", "MWh", 1e-3), ("mg/m3/h", "mg/m3", 1),
    ],
)  # fmt: skip
def test_an_hour_of_a_rate_is_the_amount(rate, amount, in_an_hour):
    assert amount_per_second(rate, amount) * 3600 == pytest.approx(in_an_hour)


@pytest.mark.parametrize(
    ("rate", "amount"),
    [("mg/m3", "mg"), ("kg/h", "m3"), ("kg/h", ""), ("", "kg"), ("kg", "kg"), ("pH", "pH"), ("kg/year", "kg")],
)
def test_what_is_no_rate_or_another_quantity_adds_up_to_nothing(rate, amount):
    assert amount_per_second(rate, amount) is None
