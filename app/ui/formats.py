"""Number formats of the pages."""

import math


def number(value: float | None) -> str:
    """Return a number with three significant digits.

    >>> number(0.012345), number(1234.5), number(None)
    ('0.0123', '1.23e+03', '–')
    """
    return "–" if value is None or not drawable(value) else f"{value:.3g}".replace("-", "−", 1)


def drawable(value: float | None) -> bool:
    """Return whether a value is a number that can be drawn."""
    return value is not None and math.isfinite(value)


def signed(points: float) -> str:
    """Return a number with its sign, the minus as wide as the plus.

    >>> signed(-0.31)
    '−0.3'
    """
    return f"{points:+.1f}".replace("-", "−")
