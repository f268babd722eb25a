"""Comparison with numbers as they are printed in theory.md 2 and 4."""

from decimal import Decimal

import pytest


@pytest.fixture(scope="session")
def check_printed():
    """A check that a value rounds to a printed figure: it may differ by half of the figure's last digit."""

    def check(value, text):
        printed = Decimal(text)
        last_digit = Decimal(1).scaleb(printed.as_tuple().exponent)
        assert abs(Decimal(float(value)) - printed) <= last_digit / 2 * Decimal("1.000001"), f"{value} is not {text}"

    return check
