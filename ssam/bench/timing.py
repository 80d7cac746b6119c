"""Whose clock counts, in which order things take their turn, and what is made of their times.

In each repetition every contender runs once, right after the reference that all of them are divided by; so what slows the
machine down for a while slows both. The order rotates, so that none always runs after the same neighbour.
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
Timer = Callable[[Work], float]  # does the work, returns the seconds it took


def interleave(
    reference: Work, others: Sequence[Work], repeats: int, timer: Timer, out_of_time: Callable[[], bool] = lambda: False
) -> tuple[list[float], list[list[float]]]:
    """Seconds of the reference and of each other work, one number per repetition; at least 5 of them."""
    base: list[float] = []
    times: list[list[float]] = [[] for _ in others]
    while len(base) < LEAST_REPEATS or (len(base) < repeats and not out_of_time()):
        start = len(base) % len(others)
        base.append(timer(reference))
        for index in (*range(start, len(others)), *range(start)):
            times[index].append(timer(others[index]))
    return base, times


def ratios(times: Sequence[float], base: Sequence[float], period: int = 1) -> list[float]:
    """Time ÷ base time, over every ``period`` repetitions in a row: each such window holds one whole cycle of a
    contestant whose steps differ.

    >>> ratios([2.0, 1.0, 2.0], [1.0, 1.0, 1.0], period=2)
    [1.5, 1.5]
    """
    windows = range(len(base) - period + 1)
    return [sum(times[i : i + period]) / sum(base[i : i + period]) for i in windows]


def quartiles(values: Sequence[float]) -> tuple[float, Quartiles]:
    """The median, and the quartiles below and above it.

    >>> quartiles([1.0, 2.0, 3.0])
    (2.0, (1.5, 2.5))
    """
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).round(4).tolist()
    return median, (low, high)


def work_timer(device: torch.device) -> Timer:
    """Process-CPU seconds on a CPU, stream seconds on CUDA, wall seconds on Apple's GPU."""

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
    """On a CPU one thread and the memory settings of a race, whose process keeps what it has freed."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
        keep_freed_memory()
    try:
        yield
    finally:
        torch.set_num_threads(before)
