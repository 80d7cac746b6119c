"""The throughput of whole epochs in images per second: lanes of this lab compared with a loop in the published style.

The images are 32×32 random colour pixels, with crop, flip and cutout. An epoch consists of its training steps and one mask refresh;
both are timed in short alternating stretches and then combined.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ssam.bench.contestants import sgd_settings
from ssam.bench.events import Throughput
from ssam.bench.inputs import CLASSES, network, random_images, spec_for
from ssam.bench.published import PublishedImages, PublishedSSAM, endless, published_refresh
from ssam.bench.timing import Timer, Work, interleave, quartiles, ratios
from ssam.engine.lane import Lane
from ssam.engine.mask_source import MaskSource
from ssam.experiment import LaneSpec, RaceSpec
from ssam.masks import random_mask
from ssam.models import build_model, parameters_in, stage_shares

EPOCH = 10_240  # images per epoch
STRETCH = 2  # steps per stretch
MOST_REPEATS = 7
FISHER_IMAGES = 128
LANES = (
    "ssam-f",
    "ssam-f:direction=momentum",
    "ssam:norm=masked:region=early:direction=momentum",
    "sam:direction=last:norm=masked:region=early",
)


@dataclass(frozen=True, slots=True)
class Loop:
    """One training loop. ``step`` is one training step with its batch; ``refresh`` is the mask refresh of an epoch, or None."""

    name: str
    step: Work
    refresh: Work | None


def throughput(
    name: str, batch_size: int | None, device: torch.device, repeats: int, timer: Timer
) -> Iterator[Throughput]:
    spec = spec_for(name, batch_size, "cifar10").model_copy(
        update={"augment": "crop-flip-cutout", "fisher_samples": FISHER_IMAGES, "train_size": EPOCH}
    )
    loops = [published_loop(spec, device), *(lane_loop(spec, text, device) for text in LANES)]
    works: list[Work] = [partial(_stretch, loop) for loop in loops]
    works += [loop.refresh for loop in loops if loop.refresh]
    for work in works:  # selects kernels, makes the first masks
        work()
    base, times = interleave(works[0], works[1:], min(repeats, MOST_REPEATS), timer)
    stretches, refreshes = [base, *times[: len(loops) - 1]], iter(times[len(loops) - 1 :])
    steps, published = EPOCH // spec.batch_size, [1.0]
    for loop, taken in zip(loops, stretches, strict=True):
        refresh = next(refreshes) if loop.refresh else [0.0] * len(base)
        seconds = [steps / STRETCH * t + r for t, r in zip(taken, refresh, strict=True)]
        published = seconds if loop is loops[0] else published
        rate, iqr = quartiles([steps * spec.batch_size / s for s in seconds])
        ratio = round(float(np.median(ratios(published, seconds))), 4)
        yield Throughput(name, loop.name, EPOCH, rate, iqr, ratio)


def _stretch(loop: Loop) -> None:
    for _ in range(STRETCH):
        loop.step()


def lane_loop(spec: RaceSpec, text: str, device: torch.device) -> Loop:
    """Return a lane run as in a race, on its own batches."""
    batches = random_images(spec, device, EPOCH, channels=3)
    model, lane_spec = network(spec, batches, device), LaneSpec.parse(text)
    shares = stage_shares(model, batches.shape)
    lane = Lane(spec, lane_spec, text, model, batches, shares)
    source = MaskSource(spec, lane_spec, model, parameters_in(model, lane_spec.region), batches, shares)

    def step() -> None:
        lane.step(*batches.get(lane.step_count))

    def refresh() -> None:
        assert lane.sam is not None
        lane.sam.masks = source.by_score(lane.step_count)

    return Loop(text, step, refresh if lane_spec.mask_score else None)


def published_loop(spec: RaceSpec, device: torch.device) -> Loop:
    generator = np.random.default_rng(0)
    pixels = generator.integers(256, size=(EPOCH, spec.input_size, spec.input_size, 3), dtype=np.uint8)
    images = PublishedImages(pixels, (np.arange(EPOCH) % CLASSES).tolist())
    model = build_model(spec.model, channels=3, classes=CLASSES, size=spec.input_size, seed=spec.seed).to(device)
    base = torch.optim.SGD(model.parameters(), **sgd_settings(spec))
    masks = random_mask(model.parameters(), spec.sparsity, torch.Generator().manual_seed(spec.seed))
    ssam, batches = PublishedSSAM(model, base, spec.rho, masks), endless(images, spec.batch_size, device)

    def step() -> None:
        ssam.step(*next(batches))

    return Loop("published style", step, partial(published_refresh, ssam, images, FISHER_IMAGES, spec.sparsity))
