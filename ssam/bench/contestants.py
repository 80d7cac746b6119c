"""The ways to take a training step that are timed against each other."""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssam.data import Batches
from ssam.engine.device import autocast
from ssam.engine.lane import Lane
from ssam.engine.mask_source import MaskSource
from ssam.masks import random_mask
from ssam.models import StagedModel, parameters_in, stage_shares
from ssam.spec import LaneSpec, RaceSpec

PEERS = "pytorch_optimizer"
LOOK_EVERY = 5  # LookSAM-5, as most reported (Liu et al. 2022)
REFRESH_IMAGES = 128
SMALL = 1_000_000  # parameters of a net for which a mask refresh is timed too


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to take a step.

    ``lane`` is a lane of a race where it could be one. ``predicted``: multiply-accumulates of a step over those of an SGD
    step. ``exact``: it computes what the paper's two full passes would (bit for bit in lanes, up to rounding in the rest).
    ``period``: its cost repeats after so many steps. ``extra_bytes``: what it holds next to everything SGD has as well,
    between steps (masks) and, on top, through the pass at w+ε (saved weights, directions); None where it is not counted.
    """

    lane: str
    plan: str
    predicted: float
    exact: bool
    step: Callable[[], object]
    period: int = 1
    extra_bytes: Callable[[], tuple[int, int]] | None = None


def contestants(spec: RaceSpec, model: StagedModel, batches: Batches) -> Iterator[Contestant]:
    """All of them on the same batch, each with its own copy of the model."""
    x, y = batches.get(0)
    for text in lane_texts(spec.batch_size):
        yield in_a_lane(spec, text, copy.deepcopy(model), batches)
    yield published_style(spec, copy.deepcopy(model), x, y)
    if peers_installed():
        yield peer_sam(spec, copy.deepcopy(model), x, y)
        yield peer_look_sam(spec, copy.deepcopy(model), x, y)
    if sum(p.numel() for p in model.parameters()) < SMALL:
        yield fisher_refresh(spec, model, batches)


def lane_texts(batch_size: int) -> tuple[str, ...]:
    return (
        "sgd",
        "sam",
        "ssam-f",
        "ssam-f:norm=masked:region=late",
        "sam:norm=masked:region=norm",
        f"ssam-f:ascent_batch={batch_size // 4}",
        "ssam-f:ascent_interval=2",
        "ssam-f:direction=momentum",
    )


def in_a_lane(spec: RaceSpec, text: str, model: StagedModel, batches: Batches) -> Contestant:
    """A lane as the race runs it."""
    lane_spec = LaneSpec.parse(text)
    lane = Lane(spec, lane_spec, text, model, batches, stage_shares(model, batches.shape))

    def extra_bytes() -> tuple[int, int]:
        if lane.sam is None:
            return 0, 0
        kept = model.parameters() if lane_spec.direction == "last" else ()  # the gradients of the last step
        masks, saved = (lane.sam.masks or {}).values(), lane.sam.perturbed_parameters()
        return total_bytes(masks) + total_bytes(kept), total_bytes(saved)

    plan, step = lane.plan, partial(lane.step, *batches.get(0))
    period = lane_spec.ascent_interval
    return Contestant(text, plan.words, plan.predicted_ratio, plan.exact, step, period, extra_bytes)


class PublishedSSAM:
    """SSAM as the published code takes a step: a Python loop over the tensors that multiplies by float masks, ε kept and
    subtracted again, BatchNorm counted in both passes. The same mathematics as ``ssam.SAM``, up to rounding.

    Args:
        model: its parameters are those of ``base``.
        base: makes the update.
        rho: radius, divided by the norm of the whole gradient.
        masks: ``{parameter: bool tensor}``, True = perturbed, for every parameter.
    """

    def __init__(self, model: nn.Module, base: torch.optim.Optimizer, rho: float, masks: dict[Tensor, Tensor]) -> None:
        self.model, self.base, self.rho = model, base, rho
        self.masks = {p: mask.to(p.dtype) for p, mask in masks.items()}
        self.epsilon: dict[Tensor, Tensor] = {}

    def step(self, x: Tensor, y: Tensor) -> None:
        _backward(self.model, x, y)
        self._ascend()
        _backward(self.model, x, y)
        self._descend()

    @torch.no_grad()
    def _ascend(self) -> None:
        gradients = {p: p.grad for p in self.masks if p.grad is not None}
        norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
        for parameter, gradient in gradients.items():
            epsilon = gradient * (self.rho / (norm + 1e-12))
            epsilon *= self.masks[parameter]
            parameter.add_(epsilon)
            self.epsilon[parameter] = epsilon
        self.base.zero_grad()

    @torch.no_grad()
    def _descend(self) -> None:
        for parameter, epsilon in self.epsilon.items():
            parameter.sub_(epsilon)
        self.base.step()
        self.base.zero_grad()


def published_style(spec: RaceSpec, model: StagedModel, x: Tensor, y: Tensor) -> Contestant:
    masks = random_mask(model.parameters(), spec.sparsity, torch.Generator().manual_seed(spec.seed))
    base = torch.optim.SGD(model.parameters(), **_sgd_settings(spec))
    ssam = PublishedSSAM(model, base, spec.rho, masks)
    words = "two full passes; float masks, loop over tensors, add then subtract"
    step = partial(ssam.step, x, y)
    extra = 2 * total_bytes(model.parameters())  # float masks, and ε for every weight
    return Contestant("published style", words, 2.0, True, step, extra_bytes=lambda: (extra, 0))


def peers_installed() -> bool:
    return find_spec(PEERS) is not None


def peer_sam(spec: RaceSpec, model: StagedModel, x: Tensor, y: Tensor) -> Contestant:
    optimizer = import_module(PEERS).SAM(model.parameters(), torch.optim.SGD, rho=spec.rho, **_sgd_settings(spec))

    def step() -> None:
        _backward(model, x, y)
        optimizer.first_step(zero_grad=True)
        _backward(model, x, y)
        optimizer.second_step(zero_grad=True)

    return Contestant(f"{PEERS} SAM", "two full passes", 2.0, True, step)


def peer_look_sam(spec: RaceSpec, model: StagedModel, x: Tensor, y: Tensor) -> Contestant:
    """At its best: a second pass only in the steps that perturb. Its own ``step(closure)`` runs it in every step, for
    nothing."""
    optimizer = import_module(PEERS).LookSAM(
        model.parameters(), torch.optim.SGD, rho=spec.rho, k=LOOK_EVERY, **_sgd_settings(spec)
    )

    def step() -> None:
        _backward(model, x, y)
        if optimizer.get_step() % LOOK_EVERY == 0:
            optimizer.first_step(zero_grad=True)
            _backward(model, x, y)
        optimizer.second_step(zero_grad=True)

    words = f"two full passes in every {LOOK_EVERY}th step"
    return Contestant(f"{PEERS} LookSAM", words, 1 + 1 / LOOK_EVERY, False, step, LOOK_EVERY)


def fisher_refresh(spec: RaceSpec, model: StagedModel, batches: Batches) -> Contestant:
    """Not a step but a new mask; its ratio says how many SGD steps that takes."""
    refreshed = spec.model_copy(update={"fisher_samples": REFRESH_IMAGES})
    lane = LaneSpec(method="ssam-f")
    source = MaskSource(refreshed, lane, model, parameters_in(model, "all"), batches, ())
    return Contestant(
        f"Fisher mask from {REFRESH_IMAGES} images",
        "a mask refresh: gradients image by image",
        REFRESH_IMAGES / spec.batch_size,
        True,
        partial(source.by_score, 0),
    )


def _backward(model: nn.Module, x: Tensor, y: Tensor) -> None:
    with autocast(x.device):
        loss = cross_entropy(model(x), y)
    loss.backward()


def _sgd_settings(spec: RaceSpec) -> dict[str, Any]:
    """Those of a lane, so that only what is compared differs."""
    return {"lr": spec.lr, "momentum": spec.momentum, "weight_decay": spec.weight_decay, "fused": True}


def total_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
