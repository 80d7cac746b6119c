"""The height of a chart, chosen so that a diverged lane does not flatten the others."""

import math
from collections.abc import Iterable, Sequence

FLAT = 2.0  # a lane is cut off if it is this many times higher than the others
ROOM = 1.05

Curve = tuple[Sequence[float | None], bool]  # its values, and whether its lane diverged


def top(curves: Iterable[Curve]) -> float | None:
    """Return where to cut off a chart whose curves start near their maximum, as losses and norms do; None if everything fits.

    The curves of lanes that did not diverge set the height. If every lane diverged, their first values do.

    >>> top([([2.3, 1.1], False), ([2.3, 900.0], True)])
    2.415
    >>> top([([2.3, 1.1], False), ([2.3, 3.0], True)]) is None
    True
    """
    known = [
        ([value for value in values if value is not None and math.isfinite(value)], lost) for values, lost in curves
    ]
    known = [(values, lost) for values, lost in known if values]
    if not any(lost for _, lost in known):
        return None
    sound = [value for values, lost in known if not lost for value in values]
    usual = max(sound) if sound else FLAT * max(values[0] for values, _ in known)
    highest = max(value for values, _ in known for value in values)
    return ROOM * usual if usual > 0 and highest > FLAT * usual else None
