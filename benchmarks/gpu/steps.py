"""Paired times of training steps: each method next to the eager SGD step, eager and compiled."""

import copy
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ssam.bench.contestants import Contestant, in_a_lane
from ssam.bench.inputs import network, random_images, spec_for
from ssam.bench.timing import interleave, one_cpu_thread, quartiles, ratios, work_timer
from ssam.data import Batches
from ssam.experiment import RaceSpec

FAST = "ssam:rho=1.4:norm=masked:region=early:direction=momentum"  # of the preset fast-ssam
LANES = ("sgd", "sam", "ssam-f", "sam:norm=masked:region=late", FAST)
COLOURS = 3
MOST_COMPILATIONS = 256  # of one piece of code: each stage and each lane has its own
SETTLING = 5  # steps before the first that is timed: kernels, graphs, masks


@dataclass(frozen=True)
class Compilation:
    """How the stages of a network are compiled; ``settings`` None: not at all. ``seconds`` is what it takes at most, estimated."""

    name: str
    settings: dict[str, str] | None
    seconds: float


EAGER = Compilation("eager", None, 5.0)
ON_CUDA = (EAGER, Compilation("compile", {}, 60.0), Compilation("CUDA graphs", {"mode": "reduce-overhead"}, 60.0))
ON_CPU = (EAGER, Compilation("compile", {"backend": "aot_eager"}, 30.0))  # needs no C++ compiler


def measure(
    models: tuple[str, ...], device: torch.device, repeats: int, seconds: float, until: float
) -> Iterator[dict[str, Any]]:
    """Yield a row for each way to compile a network, network and lane, the cheapest way first.

    ``seconds`` is for the steps of one network compiled one way. None is started that may not end at ``until``, by
    ``time.monotonic()``: its row has ``skipped``. A failure is a row with ``error``.
    """
    for compilation, name in itertools.product(ON_CUDA if device.type == "cuda" else ON_CPU, models):
        about = {"model": name, "how": compilation.name}
        if time.monotonic() + seconds + compilation.seconds > until:
            yield about | {"skipped": "out of time"}
            continue
        try:
            spec = spec_for(name, None)
            batches = random_images(spec, device, count=4 * spec.batch_size, channels=COLOURS)
            with one_cpu_thread(device), torch._dynamo.config.patch(recompile_limit=MOST_COMPILATIONS):
                yield from (about | row for row in rows(spec, batches, device, compilation, repeats, seconds))
        except Exception as error:  # the other networks and ways are still worth their time
            yield about | {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}


def rows(
    spec: RaceSpec, batches: Batches, device: torch.device, compilation: Compilation, repeats: int, seconds: float
) -> Iterator[dict[str, Any]]:
    begin = time.monotonic()
    reference = _lane(spec, "sgd", batches, device, EAGER)
    others = [_lane(spec, lane, batches, device, compilation) for lane in LANES]
    for each in [reference, *others] * SETTLING:
        each.step()
    settled = time.monotonic()
    sgd, times = interleave(
        reference.step,
        [each.step for each in others],
        repeats,
        work_timer(device),
        lambda: time.monotonic() - settled > seconds,
    )
    milliseconds, _ = quartiles([1000 * taken for taken in sgd])
    for each, taken in zip(others, times, strict=True):
        median, iqr = quartiles(ratios(taken, sgd))
        yield {
            "lane": each.lane,
            "batch_size": spec.batch_size,
            "ratio_to_eager_sgd": median,
            "iqr": iqr,
            "predicted": round(each.predicted, 4),
            "exact": each.exact,
            "repeats": len(sgd),
            "eager_sgd_ms": milliseconds,
            "settling_seconds": round(settled - begin, 1),
        }


def _lane(spec: RaceSpec, lane: str, batches: Batches, device: torch.device, compilation: Compilation) -> Contestant:
    model = copy.deepcopy(network(spec, batches, device))
    if compilation.settings is not None:
        for stage in model.stages.values():
            stage.compile(**compilation.settings)
    return in_a_lane(spec, lane, model, batches)
