"""What many inputs are tried with, and what a refusal must be."""

import unicodedata

from hypothesis import HealthCheck, settings

LONGEST = 700  # characters of a one-line error
unchecked = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # the second by the clock
quick = settings(deadline=None, max_examples=400, suppress_health_check=unchecked)


def refused(error: Exception) -> None:
    """A refusal is a ValueError of one printable line of bearable length."""
    assert type(error) is ValueError
    line = str(error)
    assert 0 < len(line) <= LONGEST
    assert all(unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in line), ascii(line)
