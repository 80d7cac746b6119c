"""The contestants: ways to take a training step that are timed against each other."""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ssam.bench.published import PublishedSSAM, backward
from ssam.data import Batches
from ssam.engine.lane import Lane
from ssam.experiment import LaneSpec, RaceSpec
from ssam.masks import random_mask
from ssam.methods.directions import DIRECTIONS
from ssam.models import StagedModel, stage_shares

PEERS = "pytorch_optimizer"
LOOK_EVERY = 5  # LookSAM-5, the variant reported most often (Liu et al. 2022)


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to take a step.

    ``lane`` is the equivalent lane of a race, if there is one. ``predicted`` is the number of multiply-accumulates of a step
    divided by that of an SGD step. ``exact`` is whether it computes the same as the paper's two full passes (bit for bit in
    lanes, up to rounding in the others). ``period`` is the number of steps after which its cost repeats. ``extra_bytes`` is the
    memory it needs beyond that of SGD, between steps (masks, gradients that are the next direction) and during the pass at w+ε
    (masks, saved weights); None if it is not counted.
    """

    lane: str
    plan: str
    predicted: float
    exact: bool
    step: Callable[[], object]
    period: int = 1
    extra_bytes: Callable[[], tuple[int, int]] | None = None


def contestants(spec: RaceSpec, model: StagedModel, batches: Batches) -> Iterator[Contestant]:
    """Yield all contestants, on the same batch, each with its own copy of the model."""
    x, y = batches.get(0)
    for text in lane_texts(spec.batch_size):
        yield in_a_lane(spec, text, copy.deepcopy(model), batches)
    yield published_style(spec, copy.deepcopy(model), x, y)
    if peers_installed():
        yield peer_sam(spec, copy.deepcopy(model), x, y)
        yield peer_look_sam(spec, copy.deepcopy(model), x, y)


def lane_texts(batch_size: int) -> tuple[str, ...]:
    return (
        "sgd",
        "sam",
        "ssam-f",
        "ssam-f:norm=masked:region=late",
        "sam:norm=masked:region=norm",
        "ssam-f:ascent_interval=2",
        f"ssam-f:ascent_batch={batch_size // 4}",
        f"ssam-f:ascent_batch={batch_size // 8}:ascent_interval=2",
        "ssam-f:direction=momentum",
        "ssam:direction=momentum",
        "sam:direction=last:norm=masked:region=early",
        "ssam:norm=masked:region=early:direction=momentum",
    )


def in_a_lane(spec: RaceSpec, text: str, model: StagedModel, batches: Batches) -> Contestant:
    """Return a lane as a contestant, run as in a race."""
    lane_spec = LaneSpec.parse(text)
    lane = Lane(spec, lane_spec, text, model, batches, stage_shares(model, batches.shape))

    def extra_bytes() -> tuple[int, int]:
        if lane.sam is None:
            return 0, 0
        kept = (
            model.parameters() if DIRECTIONS[lane_spec.direction].keeps_gradients else ()
        )  # gradients of the last step
        masks, saved = list((lane.sam.masks or {}).values()), lane.sam.perturbed_parameters()
        between = total_bytes(masks) + total_bytes(kept) + total_bytes(lane.sam.rules.kept.values())
        first = model.parameters() if lane.method.compares else ()
        return between, total_bytes(masks) + total_bytes(saved) + total_bytes(first)

    plan, step = lane.plan, partial(lane.step, *batches.get(0))
    period = lane_spec.interval
    return Contestant(text, plan.words, plan.predicted_ratio, plan.exact, step, period, extra_bytes)


def published_style(spec: RaceSpec, model: StagedModel, x: Tensor, y: Tensor) -> Contestant:
    masks = random_mask(model.parameters(), spec.sparsity, torch.Generator().manual_seed(spec.seed))
    base = torch.optim.SGD(model.parameters(), **sgd_settings(spec))
    ssam = PublishedSSAM(model, base, spec.rho, masks)
    words = "two full passes; float masks, loop over tensors, add then subtract"
    step = partial(ssam.step, x, y)
    extra = 2 * total_bytes(model.parameters())  # float masks, and ε of every weight
    return Contestant("published style", words, 2.0, True, step, extra_bytes=lambda: (extra, extra))


def peers_installed() -> bool:
    return find_spec(PEERS) is not None


def peer_sam(spec: RaceSpec, model: StagedModel, x: Tensor, y: Tensor) -> Contestant:
    optimizer = import_module(PEERS).SAM(model.parameters(), torch.optim.SGD, rho=spec.rho, **sgd_settings(spec))

    def step() -> None:
        backward(model, x, y)
        optimizer.first_step(zero_grad=True)
        backward(model, x, y)
        optimizer.second_step(zero_grad=True)

    return Contestant(f"{PEERS} SAM", "two full passes", 2.0, True, step)


def peer_look_sam(spec: RaceSpec, model: StagedModel, x: Tensor, y: Tensor) -> Contestant:
    """Return the peer's LookSAM at its best: a second pass only in steps that perturb. Its own ``step(closure)`` runs the second
    pass in every step, needlessly."""
    optimizer = import_module(PEERS).LookSAM(
        model.parameters(), torch.optim.SGD, rho=spec.rho, k=LOOK_EVERY, **sgd_settings(spec)
    )

    def step() -> None:
        backward(model, x, y)
        if optimizer.get_step() % LOOK_EVERY == 0:
            optimizer.first_step(zero_grad=True)
            backward(model, x, y)
        optimizer.second_step(zero_grad=True)

    words = f"two full passes in every {LOOK_EVERY}th step"
    return Contestant(f"{PEERS} LookSAM", words, 1 + 1 / LOOK_EVERY, False, step, LOOK_EVERY)


def sgd_settings(spec: RaceSpec) -> dict[str, Any]:
    """Return SGD's settings as in a lane, so that contestants differ only in what is compared."""
    return {"lr": spec.lr, "momentum": spec.momentum, "weight_decay": spec.weight_decay, "fused": True}


def total_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
