"""Quantities that change over a race, as functions of its progress (0 at the start, 1 when the budget is used up)."""

import math

import numpy as np


def learning_rate(peak: float, progress: float, warmup: float) -> float:
    """Return the learning rate: linear warm-up over the first ``warmup`` share of the race, then a cosine decay to 0.

    >>> [round(learning_rate(0.1, p, 0.1), 3) for p in (0.05, 0.1, 0.55, 1.0)]
    [0.05, 0.1, 0.05, 0.0]
    """
    if progress < warmup:
        return peak * progress / warmup
    return peak / 2 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def step_rate(peak: float, step: int, total_steps: int, steps_per_epoch: int) -> float:
    """Return the learning rate after ``step`` of ``total_steps`` steps, with warm-up over one epoch, but at most a
    fifth of the race. It is taken at the middle of the step, so that no step has a rate of 0."""
    return learning_rate(peak, (step + 0.5) / total_steps, min(0.2, steps_per_epoch / total_steps))


def derived_seed(*parts: int) -> int:
    """Return an independent seed for each tuple of integers, so that nothing random depends on what ran before it."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
