"""The precision of an accuracy from the size of its test set alone: the interval of a proportion.

It says what other test images of the same kind could have shown for these weights. What another seed would have shown is a
different question, which the spread over seeds answers.
"""

from math import sqrt

Z = 1.959963984540054  # 95% of a normal distribution lie within this many standard deviations
LEVEL = "95%"
SYMMETRIC = 0.002  # if the sides differ by less, ± half the width describes the interval


def wilson(share: float, size: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of a share of ``size`` independent cases, both within 0–1.

    Unlike share ± z·√(share (1 − share) / size) it stays within 0–1, has a width if all cases or none are right, and covers
    about 95% in small samples too. Wilson, J. Am. Stat. Assoc. 22 (1927).

    Raise ValueError for a share outside 0–1 or a size under 1.

    >>> [round(end, 4) for end in wilson(0.8, 160)]
    [0.7313, 0.8546]
    >>> [round(end, 4) for end in wilson(1.0, 160)]
    [0.9766, 1.0]
    """
    if not 0 <= share <= 1 or size < 1:
        raise ValueError(f"share {share} of {size} cases must be from 0 to 1, of at least one case")
    shrink = 1 + Z**2 / size
    middle = (share + Z**2 / (2 * size)) / shrink
    half = Z * sqrt(share * (1 - share) / size + Z**2 / (4 * size**2)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


def margin(share: float | None, size: int | None, digits: int = 1) -> str:
    """Return the interval in percent: ``± 0.8``, or ``73.1–85.5`` if its sides differ; empty if unknown.

    >>> margin(0.805, 10_000), margin(0.8, 160), margin(None, 160)
    ('± 0.8', '73.1–85.5', '')
    """
    if share is None or not size:
        return ""
    low, high = wilson(share, size)
    if abs((high - share) - (share - low)) < SYMMETRIC:
        return f"± {50 * (high - low):.{digits}f}"
    return f"{100 * low:.{digits}f}–{100 * high:.{digits}f}"


def said(share: float | None, size: int | None, digits: int = 1) -> str:
    """Return an accuracy in percent with its interval.

    >>> said(0.805, 10_000), said(0.8, 160), said(0.8, None), said(None, 160)
    ('80.5% ± 0.8', '80.0% (73.1–85.5)', '80.0%', '–')
    """
    if share is None:
        return "–"
    about = margin(share, size, digits)
    about = f" {about}" if about.startswith("±") else f" ({about})" * bool(about)
    return f"{100 * share:.{digits}f}%{about}"


def one_image(size: int) -> str:
    """Return what a single test image is worth, in points; empty if that is negligible.

    >>> one_image(160), one_image(10_000)
    ('one image is 0.6 points', '')
    """
    return f"one image is {100 / size:.1f} points" if 100 / size >= 0.1 else ""
