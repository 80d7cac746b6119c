"""Saving and restoring a race between two steps: everything that decides its future, as tensors and primitives.

A state is a snapshot on the CPU, whatever the race's device; ``torch.load(weights_only=True)`` reads it. With the
clocks ``epochs`` and ``gradients``, a resumed race emits bit for bit the events of an uninterrupted one, except for
times. This requires a machine and a PyTorch version that round identically. With the clock ``seconds``, a race's future
depends on how long its steps will take: the lanes keep their elapsed times, and everything else is as repeatable as
before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssam.data import Dataset
from ssam.engine.distributed import Ranks
from ssam.engine.lane import Lane
from ssam.engine.lockstep import History, Past
from ssam.experiment import LaneSpec, RaceSpec
from ssam.experiment.events import EpochEvent
from ssam.planning.cost import Plan
from ssam.training.average import Best
from ssam.training.mask_bits import packed, unpacked
from ssam.training.precision import random_state, set_random_state

VERSION = 1  # of the state's layout; other versions are rejected

State = dict[str, Any]

PLAIN = ("step_count", "gradients", "seconds", "sparsity", "diverged")  # numeric attributes of a lane
PIECES = {"version", "spec", "place", "threads", "random", "ended", "sgd_ms", "unpaired", "lanes"}
LANE_PIECES = {*PLAIN, "plan", "model", "optimizer", "left", "losses", "step_ms", "ratios", "last"}


def take(spec: RaceSpec, dataset: Dataset, threads: int, lanes: list[Lane], past: Past) -> State:
    """Return the state of the race at a safe point. Later steps do not change it."""
    device = lanes[0].device
    return _copied(
        {
            "version": VERSION,
            "spec": spec.digest,
            "place": _place(dataset, device, lanes[0].ranks),
            "threads": threads,
            "random": list(random_state(device)),
            "ended": past.ended,
            "sgd_ms": past.sgd_ms,
            "unpaired": sorted(past.unpaired),
            "lanes": {lane.name: _of_lane(lane, past.histories[lane.name]) for lane in lanes},
        }
    )


def check(state: object, spec: RaceSpec) -> None:
    """Raise ValueError, one line, if this is not a complete state of a race with this specification."""
    if not isinstance(state, Mapping) or "version" not in state:
        raise ValueError("this is not the checkpoint of a race")
    if state["version"] != VERSION:
        raise ValueError(f"the checkpoint has version {state['version']!r}, only version {VERSION} can be read")
    _must_hold(state, PIECES, "the checkpoint")
    if state["spec"] != spec.digest:
        raise ValueError(f"the checkpoint belongs to specification {state['spec']!r}, this race's is {spec.digest!r}")
    _must_hold(state["lanes"], set(spec.lane_names), "the checkpoint")
    for name, lane in zip(spec.lane_names, spec.lanes, strict=True):
        _must_hold(state["lanes"][name], _lane_pieces(spec, lane), f"the checkpoint of lane {name!r}")


def check_place(state: State, dataset: Dataset, device: torch.device, ranks: Ranks) -> None:
    """Raise ValueError, one line, if the data, the kind of device or the processes differ from those of the checkpoint:
    training could not continue as if uninterrupted."""
    for what, here in _place(dataset, device, ranks).items():
        if (then := state["place"].get(what)) != here:
            raise ValueError(f"the checkpoint was taken with {what} {_short(then)}, now it is {_short(here)}")


def restore(state: State, lanes: list[Lane], past: Past) -> None:
    """Restore the state of fresh lanes, their past and the random generators. ``state`` itself is not changed. Raise
    ValueError, one line, if tensors do not fit."""
    past.ended[:] = state["ended"]
    past.sgd_ms, past.unpaired = state["sgd_ms"], set(state["unpaired"])
    for lane in lanes:
        _restore_lane(lane, state["lanes"][lane.name])
        past.histories[lane.name] = _history(state["lanes"][lane.name])
    cpu, own = state["random"]
    set_random_state(lanes[0].device, (cpu, own))


def _lane_pieces(spec: RaceSpec, lane: LaneSpec) -> set[str]:
    """Return the keys that a lane's state must have. Some are required only if the race uses them, so that checkpoints
    that predate those features can still be read."""
    some = {"eigenvector": spec.eigenvalue_interval, "average": lane.ema, "best": lane.patience}
    return LANE_PIECES | {name for name, wanted in some.items() if wanted}


def _place(dataset: Dataset, device: torch.device, ranks: Ranks) -> dict[str, Any]:
    return {
        "device": device.type,
        "processes": ranks.size,
        "perturbation": ranks.perturbation,
        "classes": list(dataset.classes),
        "training images": dataset.train_size,
        "test images": dataset.test_size,
    }


def _of_lane(lane: Lane, history: History) -> State:
    return {
        **{name: getattr(lane, name) for name in PLAIN},
        "plan": asdict(lane.plan),
        "model": lane.model.state_dict(),
        "optimizer": _of_optimizer(lane),
        "left": [p.grad for p in lane.model.parameters()],  # the gradients, if the next step uses them as its direction
        "losses": torch.tensor(history.losses, dtype=torch.float64),
        "step_ms": _table(history.step_ms),
        "ratios": _table(history.ratios),
        "last": None if history.last is None else asdict(history.last),
        **({"eigenvector": lane.eigenvector} if lane.spec.eigenvalue_interval else {}),
        **({"average": lane.average.state_dict()} if lane.average is not None else {}),
        **({"answers": lane.answers} if lane.answers is not None else {}),
        **({"best": None if lane.best is None else vars(lane.best)} if lane.lane.patience else {}),
    }


def _of_optimizer(lane: Lane) -> State:
    """Return the base optimizer's state. If SAM wraps it, add SAM's settings, its masks as bits and what its rules keep."""
    sam, base = lane.sam, lane.base.state_dict()
    if sam is None:
        return base
    masks = sam.masks
    bits = None if masks is None else [_bits(masks.get(p)) for p in lane.model.parameters()]
    settings = {"rho": sam.rho, "norm": sam.norm, "adaptive": sam.adaptive}
    return {"base": base, "masks": bits, **settings, "kept": [sam.rules.kept.get(p) for p in lane.model.parameters()]}


def _bits(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else torch.from_numpy(packed(mask))


def _restore_optimizer(lane: Lane, state: State) -> None:
    sam = lane.sam
    if sam is None:
        lane.base.load_state_dict(state)
        return
    params = list(lane.model.parameters())
    masks: dict[Tensor, Tensor] | None = None
    if state["masks"] is not None:
        pairs = zip(params, state["masks"], strict=True)
        masks = {p: _laid_out(bits, p).to(p.device) for p, bits in pairs if bits is not None}
    lane.base.load_state_dict(state["base"])
    sam.rho, sam.norm, sam.adaptive, sam.masks = state["rho"], state["norm"], state["adaptive"], masks
    sam.rules.restore(params, state.get("kept", [None] * len(params)))  # a checkpoint of an earlier version has none


def _restore_lane(lane: Lane, state: State) -> None:
    params = list(lane.model.parameters())
    vector = state.get("eigenvector")
    fits = vector is None or [part.shape for part in vector] == [p.shape for p in params if p.requires_grad]
    if _shapes(lane.model.state_dict()) != _shapes(state["model"]) or len(state["left"]) != len(params) or not fits:
        raise ValueError(f"the checkpoint of lane {lane.name!r} does not fit this model")
    lane.model.load_state_dict(state["model"])
    _restore_optimizer(lane, _copied(state["optimizer"]))  # otherwise training would modify the state's own tensors
    for p, gradient in zip(params, state["left"], strict=True):
        p.grad = None if gradient is None else gradient.to(p.device, copy=True)
    if lane.average is not None:
        lane.average.load_state_dict(state["average"])
    if (best := state.get("best")) is not None:
        lane.best = Best(**_copied(best))
    if vector is not None:
        lane.eigenvector = [part.to(lane.device, copy=True) for part in vector]
    if lane.answers is not None and "answers" in state:
        lane.answers.copy_(state["answers"])
    else:  # a checkpoint of an earlier version: its race records no predictions
        lane.answers = None
    for name in PLAIN:
        setattr(lane, name, state[name])
    lane.plan = Plan(**state["plan"])


def _history(state: State) -> History:
    return History(
        losses=state["losses"].tolist(),
        step_ms=[(int(step), value) for step, value in state["step_ms"].tolist()],
        ratios=[(int(step), value) for step, value in state["ratios"].tolist()],
        last=None if state["last"] is None else EpochEvent(**state["last"]),
    )


def _table(pairs: list[tuple[int, float]]) -> Tensor:
    """Return an (N, 2) float64 tensor: exact, and faster to save than N tuples."""
    return torch.from_numpy(np.array(pairs, dtype=np.float64).reshape(-1, 2))


def _laid_out(bits: Tensor, like: Tensor) -> Tensor:
    """Return the mask of the parameter ``like``, with the same memory layout."""
    mask = unpacked(bits.numpy(), like.shape)
    return torch.empty_like(like, dtype=torch.bool, requires_grad=False).copy_(mask)


def _copied(value: Any) -> Any:
    """Return a copy that shares no tensor with ``value``; tensors keep their strides and are moved to the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _must_hold(pieces: object, wanted: Iterable[str], whose: str) -> None:
    if missing := sorted(set(wanted) - set(pieces if isinstance(pieces, Mapping) else ())):
        raise ValueError(f"{whose} is not complete: it lacks {', '.join(missing)}")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "…"
