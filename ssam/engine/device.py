"""The device and the threads that a race runs on."""

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
    """Return the wanted device. ``auto`` takes the value of SSAM_DEVICE if set, else a CUDA GPU, else Apple's GPU, else
    the CPU. Raise ValueError if the wanted device does not exist."""
    there = available_devices()
    if wanted == "auto":
        wanted = default_device()
    if wanted == "auto":
        return torch.device(there[0])
    if wanted not in there and not (wanted == "cuda" and "cuda:0" in there):
        raise ValueError(f"device {wanted!r} is not on this machine; allowed: auto, {', '.join(there)}")
    return torch.device(wanted)


def available_devices() -> list[str]:
    """Return the names of the devices, fastest kind first."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return gpus + (["mps"] if torch.backends.mps.is_available() else []) + ["cpu"]


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "Apple GPU" if device.type == "mps" else cpu_name()


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h


def keep_freed_memory() -> None:
    """Make the C library keep the memory of freed tensors for reuse instead of returning it to the system.

    Otherwise the activations of every step are returned and fetched again, page by page. This took 7 to 20% of a CPU
    step in measurements (cnn8 29 → 23 ms, ResNet-20 427 → 400, VGG-11-BN 925 → 795), and varied at random, so that
    ratios of step times drifted. The process then stays at its peak size. Applies to the whole process, on Linux with
    glibc only; elsewhere it does nothing.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_MMAP_THRESHOLD, 2**25)  # the maximum of glibc's own adaptive rule


def calibrate_threads(model: nn.Module, x: Tensor, y: Tensor, most: int, seconds: float = 0.15) -> int:
    """Return one thread or ``most``, whichever currently makes a training step faster on this machine.

    On a busy machine, threads that wait for each other can be several times slower than a single one. Each candidate
    runs for about ``seconds``, or for one step if a step takes longer. The choice is made once: a different number in
    mid-race would round differently, and the same seed would no longer give the same race. The model and the random
    state are not changed.
    """
    if most <= 1 or x.device.type != "cpu":
        return max(1, most)
    probe = copy.deepcopy(model)
    return min((1, most), key=lambda threads: _step_seconds(probe, x, y, threads, seconds))


def _step_seconds(probe: nn.Module, x: Tensor, y: Tensor, threads: int, seconds: float) -> float:
    """Return the median time of the training steps that fit into ``seconds``. The first step plans kernels, so it
    counts only if it is the only one."""
    torch.set_num_threads(threads)
    times: list[float] = []
    while sum(times) < seconds or len(times) == 2:
        start = perf_counter()
        training_pass(probe, x, y)
        times.append(perf_counter() - start)
    return statistics.median(times[1:] or times)


def training_pass(model: nn.Module, x: Tensor, y: Tensor) -> None:
    model.zero_grad()
    cross_entropy(model(x), y).backward()
