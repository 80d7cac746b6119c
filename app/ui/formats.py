"""Numbers as they are shown."""

import math


def number(value: float | None) -> str:
    """Three digits that count.

    >>> number(0.012345), number(1234.5), number(None)
    ('0.0123', '1.23e+03', '–')
    """
    return "–" if value is None or not drawable(value) else f"{value:.3g}".replace("-", "−", 1)


def drawable(value: float | None) -> bool:
    """Whether a value is a number that can be drawn."""
    return value is not None and math.isfinite(value)


def signed(points: float) -> str:
    """With a minus sign that is as wide as the plus.

    >>> signed(-0.31)
    '−0.3'
    """
    return f"{points:+.1f}".replace("-", "−")
