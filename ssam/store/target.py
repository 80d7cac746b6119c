"""What it takes to reach an accuracy: of each lane, its first evaluation at or above it. Nothing is interpolated between evaluations,
so a lane that is evaluated once an epoch has reached it somewhere in the epoch before."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reached:
    epoch: float
    gradients: int
    seconds: float


def reached(evaluations: Iterable[Mapping[str, Any]], target: float) -> Reached | None:
    """The first of a lane's evaluations, in their order, with at least this test accuracy (0–1); None if there is none.

    >>> course = [{"epoch": 1.0, "gradients": 10, "seconds": 2.0, "test_accuracy": 0.7}]
    >>> reached(course, 0.7), reached(course, 0.71)
    (Reached(epoch=1.0, gradients=10, seconds=2.0), None)
    """
    first = next((row for row in evaluations if (row["test_accuracy"] or 0.0) >= target), None)
    return None if first is None else Reached(first["epoch"], int(first["gradients"]), first["seconds"])


def usual_target(courses: Iterable[Iterable[Mapping[str, Any]]]) -> float | None:
    """The highest whole percentage, 0–1, that at least two lanes reach, so that there is something to compare; of one lane that which it
    reaches. None before any evaluation."""
    tops = sorted(
        (max((row["test_accuracy"] or 0.0 for row in course), default=0.0) for course in courses), reverse=True
    )
    found = math.floor(100 * tops[min(1, len(tops) - 1)] + 1e-9) / 100 if tops else 0.0
    return found or None
