"""The complete measurement, model by model."""

import copy
import platform
import time
from collections.abc import Generator, Iterator, Sequence
from importlib.metadata import version

import torch

from ssam.bench.contestants import PEERS, Contestant, contestants, in_a_lane, peers_installed, total_bytes
from ssam.bench.events import Event, Memory, Note, Result, Row
from ssam.bench.inputs import bundled_images, network, spec_for
from ssam.bench.overhead import overhead
from ssam.bench.refresh import refreshes
from ssam.bench.throughput import throughput
from ssam.bench.timing import LEAST_REPEATS, interleave, one_cpu_thread, quartiles, ratios, work_timer
from ssam.data import Batches
from ssam.engine.device import device_name, pick_device
from ssam.experiment import RaceSpec
from ssam.models import StagedModel

SMALL = 1_000_000  # parameters; only smaller networks are measured beyond their steps
PATIENCE = 3  # times the requested seconds


def bench(
    models: Sequence[str], *, repeats: int, batch_size: int | None, seconds_per_model: float
) -> Generator[Event, None, None]:
    """Yield rows and memory for each model that fits in memory and time; for small networks also mask refreshes, epochs and the
    overhead of watching. Then yield the Result.

    On a CPU, one thread is used and the process's own CPU time is measured, which other programs disturb least; a GPU is timed
    by events in its stream.

    Args:
        models: names from the catalogue.
        repeats: requested repetitions, at least 5.
        batch_size: None means 128, or 64 for models above 100 million multiply-accumulates per image.
        seconds_per_model: time for the steps. After the fifth repetition, none starts later than this; a model whose first five
            would take three times as long is skipped with a Note.

    Raise ValueError, one line, if the device or an image size is not available.
    """
    device, rows = pick_device("auto"), 0
    if not peers_installed():
        yield Note(f"{PEERS} is not installed: its SAM and LookSAM are left out")
    with one_cpu_thread(device):
        for name in models:
            try:
                for event in bench_model(name, batch_size, device, repeats, seconds_per_model):
                    rows += isinstance(event, Row)
                    yield event
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                yield Note(f"{name} is left out: it does not fit into memory")
        threads = torch.get_num_threads()
    yield Result(str(device), device_name(device), threads, _versions(), rows)


def bench_model(
    name: str, batch_size: int | None, device: torch.device, repeats: int, seconds: float
) -> Iterator[Event]:
    spec = spec_for(name, batch_size)
    batches = bundled_images(spec, device)
    model = network(spec, batches, device)
    channels, height, width = batches.shape
    yield Note(f"{name}: {spec.batch_size} images of {channels}×{height}×{width}")
    fits = yield from _steps(spec, model, batches, device, repeats, seconds)
    if fits and sum(p.numel() for p in model.parameters()) < SMALL:
        timer = work_timer(device)
        yield from refreshes(spec, model, batches, repeats, timer)
        yield from throughput(name, batch_size, device, repeats, timer)
        yield from overhead(name, batch_size, device, repeats, timer)


def _steps(
    spec: RaceSpec, model: StagedModel, batches: Batches, device: torch.device, repeats: int, seconds: float
) -> Generator[Event, None, bool]:
    """Yield the rows of one model. Return whether there was time for it."""
    reference = in_a_lane(spec, "sgd", copy.deepcopy(model), batches)
    others = list(contestants(spec, model, batches))
    begin = time.monotonic()
    for contestant in [reference, *others]:  # selects kernels, makes the masks
        contestant.step()
    round_seconds = time.monotonic() - begin
    if LEAST_REPEATS * round_seconds > PATIENCE * seconds:
        yield Note(
            f"{spec.model} is left out: {LEAST_REPEATS} repetitions take about {LEAST_REPEATS * round_seconds:.0f} s"
        )
        return False
    steps = [contestant.step for contestant in others]
    sgd, times = interleave(
        reference.step, steps, repeats, work_timer(device), lambda: time.monotonic() - begin > seconds
    )
    for contestant, taken in zip(others, times, strict=True):
        median, iqr = quartiles(ratios(taken, sgd, contestant.period))
        predicted = round(contestant.predicted, 4)
        yield Row(spec.model, contestant.lane, contestant.plan, median, iqr, predicted, contestant.exact)
    for contestant in others:
        if contestant.extra_bytes is not None and contestant.lane != reference.lane:
            yield _memory(spec.model, contestant, reference, total_bytes(model.parameters()), device)
    return True


def _memory(model: str, contestant: Contestant, sgd: Contestant, weights: int, device: torch.device) -> Memory:
    assert contestant.extra_bytes is not None
    between, during = contestant.extra_bytes()
    if device.type != "cuda":
        return Memory(model, contestant.lane, during, between, weights, "counted")
    extra = between + _peak_bytes(contestant, device) - _peak_bytes(sgd, device)
    return Memory(model, contestant.lane, extra, between, weights, "max_memory_allocated")


def _peak_bytes(contestant: Contestant, device: torch.device) -> int:
    """Return the peak memory that one step allocates, beyond what was allocated before."""
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
