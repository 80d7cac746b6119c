"""How long each phase of a step takes, without making the device wait."""

from time import perf_counter
from typing import Any

import torch


class PhaseTimer:
    """Marks the ends of phases; ``milliseconds`` says afterwards how long each took.

    On CUDA the marks are events in the stream, so kernels keep overlapping with Python and nothing waits until
    ``milliseconds`` is asked for. Apple's GPU is synchronised at each mark. On a CPU the wall clock is the truth.
    """

    def __init__(self, device: torch.device) -> None:
        self._kind = device.type
        self._marks: list[tuple[str, Any]] = [("", self._now())]

    def mark(self, phase: str) -> None:
        """Ends ``phase``, which began at the mark before."""
        self._marks.append((phase, self._now()))

    def milliseconds(self) -> dict[str, float]:
        """Phase → milliseconds; a phase that was marked twice counts both times. Waits for the device on CUDA."""
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
