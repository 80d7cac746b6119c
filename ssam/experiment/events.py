"""Events of a running race. The engine yields them, the store saves them, and the page and the command line display them.

Times are in milliseconds, clocks in seconds. ``step`` counts a lane's finished steps from 1, ``gradients`` its
forward+backward passes, ``seconds`` its own compute time (evaluation excluded); ``epoch`` is its position as a float.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

PHASES = ("data", "forward1", "backward1", "perturb", "forward2", "backward2", "update", "mask")
STEP_PHASES = PHASES[1:-1]  # phases of one training step; excludes waiting for data and mask refreshes
SETTLING_STEPS = 5  # a lane's first steps select kernels and fill caches; median times exclude them
FEWEST_PAIRS = 10  # a ratio to SGD from fewer pairs of steps is not meaningful


@dataclass(frozen=True, slots=True)
class Preparing:
    """Progress before the first step: a download, reading images, calibrating. ``fraction`` is None if unknown."""

    message: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One parameter tensor that a mask can cover."""

    name: str
    stage: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the network. ``share`` is its share of the multiply-accumulates of a forward pass, 0–1."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """Facts about a lane. ``plan`` describes in words how the lane takes its steps; ``predicted_ratio`` is the cost of such a step in
    SGD steps, by the count of multiply-accumulates; ``exact`` is whether it computes the same as the paper's two full passes."""

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
    """The race is ready. Says what it runs on and how large it is. ``total_steps`` is None on the seconds clock. ``train_size`` is the
    number of images trained on, without those held out for validation."""

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

    ``loss`` is L(w) on the batch, or L(w+ε) in a lane that never computes L(w) on the whole batch. ``grad_norm`` is the norm of the
    part of the gradient at w that the lane's plan computes; ``perturbed_norm`` is the norm of the full gradient at w+ε, which the
    update uses (None for a step that perturbs nothing). ``radius`` is ‖m⊙ε‖₂; ``ascent_gap`` is L(w+ε) − L(w). Both are None for SGD;
    the gap is also None if one of the losses is not computed. ``ms`` maps each phase of PHASES that occurred to its milliseconds.
    ``ratio`` is this step's time (STEP_PHASES) divided by that of the adjacent SGD step; None without an SGD lane.
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
    """One evaluation. ``final`` is True once per lane, for the evaluation on the whole test set; earlier ones use ``test_size`` images.

    ``validation_loss`` and ``validation_accuracy`` are measured on all images that the race holds out, with the labels that training
    would see; None if it holds out none. The final ones of a lane with early stopping are those of the weights of its best epoch.

    ``eigenvalue`` is the estimate of λ₁, the eigenvalue of the Hessian of largest magnitude, if the race measures it at this epoch;
    ``eigenvalue_residual`` is its residual ‖Hv − λ₁v‖/|λ₁|, 0 if it is exact; ``eigenvalue_ms`` is the time it took."""

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
    """A new mask of a sparse lane. ``changed`` is the share of entries that differ from the previous mask, ``overlap`` the
    IoU of the two perturbed sets (None for the first mask). ``heatmaps`` maps a layer's name to a uint8 image
    (at most 64×64, 255 = every weight of the cell is perturbed), ``densities`` to its exact density, and ``bits`` to the mask
    itself, packed eight weights per byte in the tensor's logical order (empty if the network is too large for that)."""

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
    """A lane's evaluated weights and BatchNorm statistics after ``step`` steps (0: before the first), by their names in ``state_dict``."""

    lane: str
    step: int
    epoch: float
    weights: dict[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class ImagesEvent:
    """The images whose predictions a race records, once.

    ``train_rows`` (n,) int64 are the rows in the data set of the images trained on, ``given`` and ``true`` (n,) int16 their labels with
    and without the race's label noise; ``test_rows`` and ``test_labels`` (m,) are the test images that every evaluation uses. ``shown``
    (k,) are the positions, ascending, of the training images that have a picture in ``train_pictures`` (k, S, S, C) uint8;
    ``test_pictures`` is (m, S, S, C).
    """

    train_rows: np.ndarray = field(repr=False)
    given: np.ndarray = field(repr=False)
    true: np.ndarray = field(repr=False)
    test_rows: np.ndarray = field(repr=False)
    test_labels: np.ndarray = field(repr=False)
    shown: np.ndarray = field(repr=False)
    train_pictures: np.ndarray = field(repr=False)
    test_pictures: np.ndarray = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class PredictionsEvent:
    """What a lane answers after ``step`` steps, for the images of the ImagesEvent.

    ``train`` (n,) int16 is the class of the largest output in the last training step that used the image, augmented as it was then, at
    the weights where the step's ``loss`` was measured; −1 if no step has used it. ``test`` (m,) int16 is the class at the evaluation,
    with the averaged or best weights where the lane evaluates those; ``confidence`` (m,) float32 is its softmax probability.
    """

    lane: str
    step: int
    epoch: float
    train: np.ndarray = field(repr=False)
    test: np.ndarray = field(repr=False)
    confidence: np.ndarray = field(repr=False)


@dataclass(frozen=True, slots=True)
class LaneEnded:
    """A lane has ended and takes no more steps. ``reason`` is ``finished`` or ``diverged``."""

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
    """The result of a race. ``test_accuracy`` is that of the last epoch on the whole test set, 0–1, and ``validation_accuracy`` that of
    the last epoch on the held-out images; with early stopping, both are those of the weights of the lane's ``best_epoch``. ``load`` is
    the highest one-minute load average seen at an evaluation, including this race's own work; None if the system does not report it.
    ``cores`` is the number of cores available to this process."""

    device: str
    lanes: tuple[LaneResult, ...]
    load: float | None = None
    cores: int | None = None


@dataclass(frozen=True, slots=True, eq=False)  # comparing tensors does not give a single truth value
class Checkpoint:
    """The complete state that determines the rest of the race; yielded only on request. ``state`` holds tensors and primitives, and later
    steps do not change it."""

    state: dict[str, Any] = field(repr=False)


Event = (
    Preparing
    | Started
    | StepEvent
    | EpochEvent
    | MaskEvent
    | Snapshot
    | ImagesEvent
    | PredictionsEvent
    | LaneEnded
    | Result
    | Checkpoint
)
