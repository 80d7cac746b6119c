"""Where a race runs: the device and its threads."""

import copy
import ctypes
import statistics
import sys
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssam.config import default_device
from ssam.system import cpu_name


def pick_device(wanted: str) -> torch.device:
    """``auto`` takes what SSAM_DEVICE says, else a CUDA GPU, else Apple's, else the CPU. Raises ValueError where the
    wanted one is not there."""
    there = available_devices()
    if wanted == "auto":
        wanted = default_device()
    if wanted == "auto":
        return torch.device(there[0])
    if wanted not in there and not (wanted == "cuda" and "cuda:0" in there):
        raise ValueError(f"device {wanted!r} is not on this machine; allowed: auto, {', '.join(there)}")
    return torch.device(wanted)


def available_devices() -> list[str]:
    """Device names, the fastest kind first."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return gpus + (["mps"] if torch.backends.mps.is_available() else []) + ["cpu"]


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "Apple GPU" if device.type == "mps" else cpu_name()


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h


def keep_freed_memory() -> None:
    """Tells the C library to keep the memory of freed tensors for the next ones instead of giving it back to the system.

    Otherwise the activations of every step are given back and fetched again, page by page: 7 to 20% of a CPU step where
    measured (cnn8 29 → 23 ms, ResNet-20 427 → 400, VGG-11-BN 925 → 795), and at random, so that ratios of step times
    wander. The process then stays as large as it has once been. For the whole process, glibc on Linux only; elsewhere it
    does nothing.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_MMAP_THRESHOLD, 2**25)  # the most that glibc's own adaptive rule would take


def calibrate_threads(model: nn.Module, x: Tensor, y: Tensor, most: int, seconds: float = 0.15) -> int:
    """One thread or ``most``: whichever makes a training step faster on this machine, now.

    On a busy machine threads that wait for each other can be several times slower than one alone. Each candidate gets
    about ``seconds``, or one step where a step takes longer. Chosen once: another number in mid-race would round
    differently, and the same seed would no longer give the same race. The model and the random state are left alone.
    """
    if most <= 1 or x.device.type != "cpu":
        return max(1, most)
    probe = copy.deepcopy(model)
    return min((1, most), key=lambda threads: _step_seconds(probe, x, y, threads, seconds))


def _step_seconds(probe: nn.Module, x: Tensor, y: Tensor, threads: int, seconds: float) -> float:
    """Median time of the training steps that fit into ``seconds``. The first one plans kernels: it counts only if it is
    the only one."""
    torch.set_num_threads(threads)
    times: list[float] = []
    while sum(times) < seconds or len(times) == 2:
        start = perf_counter()
        _training_pass(probe, x, y)
        times.append(perf_counter() - start)
    return statistics.median(times[1:] or times)


def _training_pass(model: nn.Module, x: Tensor, y: Tensor) -> None:
    model.zero_grad()
    cross_entropy(model(x), y).backward()
