"""Timing: the clock that is used, the order of the repetitions, and the statistics of the times.

In each repetition every contender runs once, right after the reference that its time is divided by, so a temporary slowdown of
the machine affects both. The order rotates, so that no contender always runs after the same neighbour.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from ssam.bench.events import Quartiles
from ssam.engine.device import keep_freed_memory

LEAST_REPEATS = 5

Work = Callable[[], object]
Timer = Callable[[Work], float]  # does the work and returns the seconds it took


def interleave(
    reference: Work, others: Sequence[Work], repeats: int, timer: Timer, out_of_time: Callable[[], bool] = lambda: False
) -> tuple[list[float], list[list[float]]]:
    """Return the seconds of the reference and of each of the others, one number per repetition, for at least 5 repetitions."""
    base: list[float] = []
    times: list[list[float]] = [[] for _ in others]
    while len(base) < LEAST_REPEATS or (len(base) < repeats and not out_of_time()):
        start = len(base) % len(others)
        base.append(timer(reference))
        for index in (*range(start, len(others)), *range(start)):
            times[index].append(timer(others[index]))
    return base, times


def ratios(times: Sequence[float], base: Sequence[float], period: int = 1) -> list[float]:
    """Return time ÷ base time for every window of ``period`` consecutive repetitions. Each window holds one full cycle of a
    contestant whose steps differ.

    >>> ratios([2.0, 1.0, 2.0], [1.0, 1.0, 1.0], period=2)
    [1.5, 1.5]
    """
    windows = range(len(base) - period + 1)
    return [sum(times[i : i + period]) / sum(base[i : i + period]) for i in windows]


def quartiles(values: Sequence[float]) -> tuple[float, Quartiles]:
    """Return the median, and the lower and upper quartiles.

    >>> quartiles([1.0, 2.0, 3.0])
    (2.0, (1.5, 2.5))
    """
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).round(4).tolist()
    return median, (low, high)


def work_timer(device: torch.device) -> Timer:
    """Return a timer for the device: process CPU seconds on a CPU, stream seconds on CUDA, wall-clock seconds on Apple's GPU."""

    def cuda(work: Work) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000

    def mps(work: Work) -> float:
        torch.mps.synchronize()
        start = time.perf_counter()
        work()
        torch.mps.synchronize()
        return time.perf_counter() - start

    def cpu(work: Work) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return {"cuda": cuda, "mps": mps}.get(device.type, cpu)


@contextmanager
def one_cpu_thread(device: torch.device) -> Iterator[None]:
    """Use one thread on a CPU, and the memory settings of a race, whose process keeps freed memory."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
        keep_freed_memory()
    try:
        yield
    finally:
        torch.set_num_threads(before)
