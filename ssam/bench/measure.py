"""Timing the contestants side by side.

In each repetition every contestant takes one step, right after one SGD step that all of them are divided by; so what
slows the machine down for a while slows both. The order rotates, so that none always runs after the same neighbour. Images
are random pixels: the time of a step does not depend on them.
"""

import platform
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch

from ssam.bench.contestants import PEERS, Contestant, contestants, in_a_lane, peers_installed, total_bytes
from ssam.data import Batches, Dataset
from ssam.data.memory import MemoryImages
from ssam.engine.device import device_name, pick_device
from ssam.models import build_model
from ssam.spec import DATASETS, MODELS, RaceSpec, parse_spec

LEAST_REPEATS = 5
BIG = 100.0  # million multiply-accumulates an image; from there on a batch is 64 images, not 128
IMAGES = DATASETS["fashion-mnist-10k"]

Timer = Callable[[Callable[[], object]], float]  # runs a step, returns the seconds it took


@dataclass(frozen=True, slots=True)
class Row:
    """``ratio_to_sgd``: median over the repetitions of step ÷ SGD step; ``iqr``: the quartiles below and above it."""

    model: str
    lane: str
    plan: str
    ratio_to_sgd: float
    iqr: tuple[float, float]
    predicted: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Memory:
    """What a lane's step needs at its peak over an SGD step; the model's own weights are ``weights_bytes``.

    ``how``: ``max_memory_allocated`` on CUDA; elsewhere ``counted``: the masks, saved weights and directions that live
    through the pass at w+ε. That pass is the peak where the activations outweigh the weights.
    """

    model: str
    lane: str
    extra_bytes: int
    weights_bytes: int
    how: str


@dataclass(frozen=True, slots=True)
class Note:
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    device: str
    device_name: str
    threads: int
    versions: dict[str, str]
    rows: int


Event = Row | Memory | Note | Result


def bench(
    models: Sequence[str], *, repeats: int, batch_size: int | None, seconds_per_model: float
) -> Generator[Event, None, None]:
    """Rows for each model that fits into memory and time, then the Result.

    A CPU runs one thread and counts the process's own CPU time, which other programs disturb least; a GPU is timed by
    events in its stream.

    Args:
        models: names from the catalogue.
        repeats: repetitions wanted, at least 5.
        batch_size: None takes 128, or 64 for models above 100 million multiply-accumulates an image.
        seconds_per_model: no repetition begins after that; a model that would not make 5 is left out with a Note.

    Raises ValueError, one line, where the device or an image size cannot be had.
    """
    device, rows = pick_device("auto"), 0
    if not peers_installed():
        yield Note(f"{PEERS} is not installed: its SAM and LookSAM are left out")
    with _one_cpu_thread(device):
        for name in models:
            try:
                for event in _bench_model(_spec(name, batch_size), device, repeats, seconds_per_model):
                    rows += isinstance(event, Row)
                    yield event
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                yield Note(f"{name} is left out: it does not fit into memory")
        threads = torch.get_num_threads()
    yield Result(str(device), device_name(device), threads, _versions(), rows)


def _bench_model(spec: RaceSpec, device: torch.device, repeats: int, seconds: float) -> Iterator[Event]:
    batches = _random_images(spec, device)
    channels, _, size = batches.shape
    model = build_model(spec.model, channels=channels, classes=IMAGES.classes, size=size, seed=spec.seed).to(device)
    if device.type != "mps":
        model = model.to(memory_format=torch.channels_last)
    weights = total_bytes(model.parameters())
    yield Note(f"{spec.model}: {spec.batch_size} images of {channels}×{size}×{size}")
    reference = in_a_lane(spec, "sgd", model, batches)
    others = list(contestants(spec, model, batches))
    begin = time.monotonic()
    for contestant in [reference, *others]:  # plans kernels, makes the masks
        contestant.step()
    round_seconds = time.monotonic() - begin
    if LEAST_REPEATS * round_seconds > seconds:
        yield Note(
            f"{spec.model} is left out: {LEAST_REPEATS} repetitions take about {LEAST_REPEATS * round_seconds:.0f} s"
        )
        return
    timer = step_timer(device)
    sgd, times = interleave(reference, others, repeats, timer, lambda: time.monotonic() - begin > seconds)
    for contestant, taken in zip(others, times, strict=True):
        yield _row(spec.model, contestant, ratios(taken, sgd, contestant.period))
    for contestant in others:
        if contestant.extra_bytes is not None and contestant.lane != "sgd":
            yield _memory(spec.model, contestant, reference, weights, device)


def _row(model: str, contestant: Contestant, ratios: Sequence[float]) -> Row:
    low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75)).round(4).tolist()
    predicted = round(contestant.predicted, 4)
    return Row(model, contestant.lane, contestant.plan, median, (low, high), predicted, contestant.exact)


def interleave(
    reference: Contestant,
    others: Sequence[Contestant],
    repeats: int,
    timer: Timer,
    out_of_time: Callable[[], bool],
) -> tuple[list[float], list[list[float]]]:
    """Seconds of the reference and of each other contestant, one number per repetition."""
    base: list[float] = []
    times: list[list[float]] = [[] for _ in others]
    while len(base) < LEAST_REPEATS or (len(base) < repeats and not out_of_time()):
        start = len(base) % len(others)
        base.append(timer(reference.step))
        for index in (*range(start, len(others)), *range(start)):
            times[index].append(timer(others[index].step))
    return base, times


def ratios(times: Sequence[float], base: Sequence[float], period: int = 1) -> list[float]:
    """Time ÷ base time, over every ``period`` repetitions in a row: each such window holds one whole cycle of a
    contestant whose steps differ.

    >>> ratios([2.0, 1.0, 2.0], [1.0, 1.0, 1.0], period=2)
    [1.5, 1.5]
    """
    windows = range(len(base) - period + 1)
    return [sum(times[i : i + period]) / sum(base[i : i + period]) for i in windows]


def step_timer(device: torch.device) -> Timer:
    """Process-CPU seconds on a CPU, stream seconds on CUDA, wall seconds on Apple's GPU."""

    def cuda(step: Callable[[], object]) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000

    def mps(step: Callable[[], object]) -> float:
        torch.mps.synchronize()
        start = time.perf_counter()
        step()
        torch.mps.synchronize()
        return time.perf_counter() - start

    def cpu(step: Callable[[], object]) -> float:
        start = time.process_time()
        step()
        return time.process_time() - start

    return {"cuda": cuda, "mps": mps}.get(device.type, cpu)


def _spec(model: str, batch_size: int | None) -> RaceSpec:
    """A race as the app runs it; so long that no step of the bench makes a new mask, with few images for the first."""
    facts = MODELS[model]
    return parse_spec(
        {
            "model": model,
            "batch_size": batch_size or (64 if facts.mmacs > BIG else 128),
            "image_size": max(IMAGES.size, facts.min_size),
            "epochs": 100,
            "mask_interval": 1000,
            "fisher_samples": 16,
        }
    )


def _random_images(spec: RaceSpec, device: torch.device) -> Batches:
    generator = torch.Generator().manual_seed(0)
    shape = (IMAGES.train, IMAGES.channels, IMAGES.size, IMAGES.size)
    pixels = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    images = MemoryImages(pixels, torch.arange(IMAGES.train) % IMAGES.classes)
    mean, std = (0.5,) * IMAGES.channels, (0.29,) * IMAGES.channels
    names = tuple(str(number) for number in range(IMAGES.classes))
    data = Dataset(names, IMAGES.channels, spec.input_size, images, images, mean, std, IMAGES.train)
    return data.batches(spec, device, channels_last=device.type != "mps")


@contextmanager
def _one_cpu_thread(device: torch.device) -> Iterator[None]:
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _memory(model: str, contestant: Contestant, sgd: Contestant, weights: int, device: torch.device) -> Memory:
    assert contestant.extra_bytes is not None
    between, during = contestant.extra_bytes()
    if device.type != "cuda":
        return Memory(model, contestant.lane, between + during, weights, "counted")
    extra = between + _peak_bytes(contestant, device) - _peak_bytes(sgd, device)
    return Memory(model, contestant.lane, extra, weights, "max_memory_allocated")


def _peak_bytes(contestant: Contestant, device: torch.device) -> int:
    """What one step allocates at its peak, on top of what was there before."""
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    contestant.step()
    return torch.cuda.max_memory_allocated(device) - before


def _out_of_memory(error: Exception) -> bool:
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def _versions() -> dict[str, str]:
    peer = {PEERS: version(PEERS)} if peers_installed() else {}
    return {"python": platform.python_version(), "torch": torch.__version__, **peer}
