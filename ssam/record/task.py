"""What a record is about: a race without lanes, a target, and seeds that nothing may be tuned on."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SIGMAS = 3.0


@dataclass(frozen=True)
class Task:
    """``settings`` are those of a RaceSpec; ``target`` is a test accuracy, 0–1."""

    title: str
    settings: dict[str, Any]
    target: float
    seeds: tuple[int, ...]

    def margin(self, accuracies: Sequence[float]) -> float:
        """Return how far the mean is above the target, less 3σ/√n; the record stands if it is positive."""
        spread = SIGMAS * statistics.stdev(accuracies) / math.sqrt(len(accuracies))
        return statistics.fmean(accuracies) - self.target - spread


TASKS = {
    "noisy-labels": Task(
        "80% on Fashion-MNIST with 40% wrong labels",
        {"dataset": "fashion-mnist-10k", "model": "cnn8", "train_size": 4000, "batch_size": 128, "label_noise": 0.4},
        target=0.8,
        seeds=tuple(range(5000, 5010)),
    ),
}
