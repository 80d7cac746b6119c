"""The time of each phase of a step, without making the device wait."""

from time import perf_counter
from typing import Any

import torch


class PhaseTimer:
    """Marks the ends of phases; ``milliseconds`` then returns how long each took.

    On CUDA the marks are events in the stream, so kernels keep overlapping with Python, and nothing waits until
    ``milliseconds`` is called. Apple's GPU is synchronised at each mark. On a CPU the wall clock gives the true time.
    """

    def __init__(self, device: torch.device) -> None:
        self._kind = device.type
        self._marks: list[tuple[str, Any]] = [("", self._now())]

    def mark(self, phase: str) -> None:
        """End ``phase``, which began at the previous mark."""
        self._marks.append((phase, self._now()))

    def milliseconds(self) -> dict[str, float]:
        """Return phase → milliseconds; a phase that was marked twice gets the sum. Waits for the device on CUDA."""
        if self._kind == "cuda":
            self._marks[-1][1].synchronize()
        total: dict[str, float] = {}
        for (_, start), (phase, end) in zip(self._marks, self._marks[1:], strict=False):
            elapsed = start.elapsed_time(end) if self._kind == "cuda" else (end - start) * 1000
            total[phase] = total.get(phase, 0.0) + elapsed
        return total

    def _now(self) -> Any:
        if self._kind == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            return event
        if self._kind == "mps":
            torch.mps.synchronize()
        return perf_counter()
