"""What an analysis works with: the weights of lanes at moments of a race, the same images for all, and a place for what is found."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssam.analysis.objective import Objective
from ssam.data.batches import Statistics
from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec
from ssam.models import StagedModel
from ssam.training.mask_bits import unpacked

Result = Generator[tuple[float, str], None, None]  # the share done and what has been done


@dataclass(frozen=True)
class LaneWeights:
    """One lane at one moment: its ``state_dict``, and the mask it was trained with then, {layer: bool tensor} with the layers' names
    of ``Started`` (None: everything, or nothing, is perturbed).

    Of a checkpoint also what the next step goes on from: the ``state_dict`` of the base ``optimizer``, and the gradients ``left`` by the
    last step where they are the next one's direction. ``rate`` is the learning rate of the next step, where that is asked for."""

    lane: int
    step: int
    weights: dict[str, Tensor]
    masks: dict[str, Tensor] | None = None
    optimizer: Mapping[str, Any] | None = None
    left: Sequence[Tensor | None] | None = None
    rate: float | None = None


def of_checkpoint(
    lane: int, state: Mapping[str, Any], layers: Sequence[Mapping[str, Any]], trained: bool = False
) -> LaneWeights:
    """A lane as a race's checkpoint has it; ``layers`` are the name and shape of each trained tensor, as ``Started`` tells them. Of a lane
    that averages its weights, the average, but for ``trained``, which wants those that the next step starts from."""
    packed, masks = state["optimizer"].get("masks"), None
    if packed is not None:
        masks = {
            layer["name"]: torch.zeros(tuple(layer["shape"]), dtype=torch.bool)
            if bits is None
            else unpacked(bits.numpy(), tuple(layer["shape"]))
            for layer, bits in zip(layers, packed, strict=True)
        }
    optimizer = state["optimizer"].get("base", state["optimizer"])
    weights = state["model"]
    if "average" in state and not trained:
        named = {name.removeprefix("module."): tensor for name, tensor in state["average"].items()}
        weights = {name: named[name] for name in weights}
    return LaneWeights(lane, state["step_count"], weights, masks, optimizer, state["left"])


@dataclass
class AnalysisContext:
    """What an analysis works with and what it has found so far."""

    race: RaceSpec
    analysis: AnalysisSpec
    moments: Sequence[LaneWeights]  # by step, then lane
    model: StagedModel
    images: list[tuple[Tensor, Tensor]]
    normalisation: Statistics  # of the images
    steps_per_epoch: int
    shape: tuple[int, int, int]
    batch: Callable[[int], tuple[Tensor, Tensor]]  # the race's training batch of a step, augmented
    pulse: Callable[[], None]
    about: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def last(self) -> list[LaneWeights]:
        """The newest moment of each lane, by lane."""
        return list({moment.lane: moment for moment in sorted(self.moments, key=lambda m: (m.lane, m.step))}.values())

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.analysis.dtype == "float64" else torch.float32

    def objective(self, moment: LaneWeights) -> Objective:
        self.model.load_state_dict(moment.weights)
        return Objective(self.model, self.images, self.analysis.batchnorm, self.dtype)

    def when(self, moment: LaneWeights) -> dict[str, Any]:
        return {"lane": moment.lane, "step": moment.step, "epoch": moment.step / self.steps_per_epoch}

    def title(self, moment: LaneWeights) -> str:
        """The lane and the epoch, in words."""
        return f"{self.race.lane_names[moment.lane]}, epoch {moment.step / self.steps_per_epoch:g}"
