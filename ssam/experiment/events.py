"""What a race tells while it runs. The engine yields these; the store keeps them; the page and the command line show them.

Times are in milliseconds, clocks in seconds. ``step`` counts a lane's finished steps from 1, ``gradients`` its
forward+backward passes, ``seconds`` its own compute time (evaluation excluded), ``epoch`` its position as a float.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

PHASES = ("data", "forward1", "backward1", "perturb", "forward2", "backward2", "update", "mask")
STEP_PHASES = PHASES[1:-1]  # what one training step costs: neither waiting for data nor a mask refresh
SETTLING_STEPS = 5  # a lane's first steps plan kernels and fill caches; medians of times leave them out
FEWEST_PAIRS = 10  # a ratio to SGD from fewer pairs of steps says nothing


@dataclass(frozen=True, slots=True)
class Preparing:
    """Before the first step: a download, reading images, calibrating. ``fraction`` is None where unknown."""

    message: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One parameter tensor that masks can cover."""

    name: str
    stage: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the network. ``share`` is its part of the multiply-accumulates of a forward pass, 0–1."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """``plan`` says in words how the lane takes its steps, ``predicted_ratio`` what a step then costs in SGD steps by the
    count of multiply-accumulates, ``exact`` whether it computes what the paper's two full passes would."""

    name: str
    method: str
    sparsity: float
    rho: float
    total_steps: int | None
    plan: str = ""
    predicted_ratio: float | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Started:
    """The race is ready: what it runs on and how large it is. ``total_steps`` is None on the seconds clock. ``train_size`` is
    what is trained on; the images held out for validation are not among them."""

    device: str
    device_name: str
    threads: int
    precision: str
    parameters: int
    train_size: int
    test_size: int
    classes: tuple[str, ...]
    steps_per_epoch: int
    lanes: tuple[LaneInfo, ...]
    layers: tuple[Layer, ...]
    stages: tuple[Stage, ...] = ()
    warnings: tuple[str, ...] = ()
    validation_size: int = 0


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One training step of one lane.

    ``loss`` is L(w) on the batch (L(w+ε) in a lane that never computes L(w) on all of it); ``grad_norm`` is the norm of the
    gradient at w, as far as the lane's plan computes it, ``perturbed_norm`` that of the whole gradient at w+ε, which the update
    is made of (None for a step that perturbs nothing); ``radius`` is ‖m⊙ε‖₂; ``ascent_gap`` is L(w+ε) − L(w). The last
    two are None for SGD, the gap also where one of the losses is not computed. ``ms`` maps each phase of PHASES that took place to its milliseconds.
    ``ratio`` is this step's time (STEP_PHASES) over that of the SGD step next to it, None without an SGD lane.
    """

    lane: str
    step: int
    epoch: float
    gradients: int
    seconds: float
    loss: float
    grad_norm: float
    radius: float | None
    ascent_gap: float | None
    ms: dict[str, float]
    ratio: float | None
    perturbed_norm: float | None = None


@dataclass(frozen=True, slots=True)
class EpochEvent:
    """One evaluation. ``final`` is True once per lane, on the whole test set; before that on ``test_size`` images.

    ``validation_loss`` and ``validation_accuracy`` are on all images that the race holds out, with the labels that training
    would see; None where it holds out none. The final ones of a lane that may stop early are of the weights of its best epoch.

    ``eigenvalue`` is the estimate of λ₁, the eigenvalue of the Hessian of largest magnitude, where the race asks for it now;
    ``eigenvalue_residual`` ‖Hv − λ₁v‖/|λ₁| of it, 0 where it is exact; ``eigenvalue_ms`` what it took."""

    lane: str
    step: int
    epoch: float
    gradients: int
    seconds: float
    lr: float
    train_loss: float
    test_loss: float
    test_accuracy: float
    test_size: int
    final: bool
    eigenvalue: float | None = None
    eigenvalue_residual: float | None = None
    eigenvalue_ms: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class MaskEvent:
    """A sparse lane has a new mask. ``changed`` is the share of entries that differ from the last mask, ``overlap``
    the IoU of the perturbed sets (None for the first mask). ``heatmaps`` maps a layer's name to uint8 pictures
    (at most 64×64, 255 = every weight of the cell is perturbed); ``densities`` to its exact density; ``bits`` to the mask
    itself, packed eight weights a byte in the tensor's logical order (empty for networks too large for that)."""

    lane: str
    step: int
    epoch: float
    density: float
    changed: float | None
    overlap: float | None
    densities: dict[str, float] = field(repr=False)
    heatmaps: dict[str, np.ndarray] = field(repr=False)
    bits: dict[str, np.ndarray] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A lane's weights and BatchNorm statistics, those that are evaluated, after ``step`` steps (0: before the first), by the names of ``state_dict``."""

    lane: str
    step: int
    epoch: float
    weights: dict[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LaneEnded:
    """A lane takes no more steps. ``reason`` is ``finished`` or ``diverged``."""

    lane: str
    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class LaneResult:
    name: str
    method: str
    sparsity: float
    rho: float
    test_accuracy: float | None
    test_loss: float | None
    step_ms_median: float | None
    step_ratio_to_sgd: float | None
    seconds: float
    diverged: bool
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    best_epoch: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The end. ``test_accuracy`` is that of the last epoch, on the whole test set, 0–1, and ``validation_accuracy`` that of the last
    epoch on the images held out; of a lane that may stop early both are of the weights of its ``best_epoch``. ``load`` is the highest load average (of a minute, this race's own work included) seen at an
    evaluation, of a machine that lends ``cores`` to this process; None where the system tells none."""

    device: str
    lanes: tuple[LaneResult, ...]
    load: float | None = None
    cores: int | None = None


@dataclass(frozen=True, slots=True, eq=False)  # tensors have no single answer to whether they are equal
class Checkpoint:
    """All that decides the rest of the race, only told where somebody asked for it. ``state`` holds tensors and primitives;
    nothing that happens later changes it."""

    state: dict[str, Any] = field(repr=False)


Event = Preparing | Started | StepEvent | EpochEvent | MaskEvent | Snapshot | LaneEnded | Result | Checkpoint
