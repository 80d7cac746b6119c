"""The inputs and outputs of an analysis: the weights of lanes at moments of a race, a common set of images, and the results."""

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

Result = Generator[tuple[float, str], None, None]  # the share done, and what has been done


@dataclass(frozen=True)
class LaneWeights:
    """One lane at one moment: its ``state_dict`` and its mask at the time, {layer: bool tensor} with the layer names of ``Started``
    (None: all weights, or none, are perturbed).

    From a checkpoint it also has what the next step needs: the ``state_dict`` of the base ``optimizer``, and the gradients ``left`` by
    the last step if they are the direction of the next, and what the method's rules ``kept``. ``rate`` is the learning rate of the next step, if it was requested."""

    lane: int
    step: int
    weights: dict[str, Tensor]
    masks: dict[str, Tensor] | None = None
    optimizer: Mapping[str, Any] | None = None
    left: Sequence[Tensor | None] | None = None
    rate: float | None = None
    kept: Sequence[Tensor | None] | None = None


def of_checkpoint(
    lane: int, state: Mapping[str, Any], layers: Sequence[Mapping[str, Any]], trained: bool = False
) -> LaneWeights:
    """Return a lane from a race's checkpoint. ``layers`` are the name and shape of each trained tensor, as in ``Started``. If the lane
    averages its weights, return the average; with ``trained``, return the weights that the next step starts from instead."""
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
    kept = state["optimizer"].get("kept")
    return LaneWeights(lane, state["step_count"], weights, masks, optimizer, state["left"], kept=kept)


@dataclass
class AnalysisContext:
    """The inputs of an analysis and its results so far."""

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
        """Return the latest moment of each lane, in lane order."""
        return list({moment.lane: moment for moment in sorted(self.moments, key=lambda m: (m.lane, m.step))}.values())

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.analysis.dtype == "float64" else torch.float32

    def objective(self, moment: LaneWeights) -> Objective:
        """Return the mean loss over the images at the weights of a moment."""
        self.model.load_state_dict(moment.weights)
        return Objective(self.model, self.images, self.analysis.batchnorm, self.dtype)

    def when(self, moment: LaneWeights) -> dict[str, Any]:
        return {"lane": moment.lane, "step": moment.step, "epoch": moment.step / self.steps_per_epoch}

    def title(self, moment: LaneWeights) -> str:
        """Return the lane and the epoch as text."""
        return f"{self.race.lane_names[moment.lane]}, epoch {moment.step / self.steps_per_epoch:g}"
