"""The store's results: plain frozen dataclasses. Times are seconds since the epoch (``time.time``)."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec

State = Literal["queued", "starting", "running", "paused", "finished", "stopped", "failed", "interrupted"]
Want = Literal["run", "pause", "stop"]
LaneState = Literal["waiting", "running", "finished", "diverged"]

ALIVE: tuple[State, ...] = ("starting", "running")  # a race process should exist
ENDED: tuple[State, ...] = ("finished", "stopped", "failed", "interrupted")  # no further change by itself
RESUMABLE: tuple[State, ...] = ("paused", "stopped", "failed", "interrupted")  # may be queued again

CURVES = ("step", "epoch", "gradients", "seconds", "loss", "grad_norm", "radius", "ascent_gap", "perturbed_norm")


@dataclass(frozen=True)
class Person:
    """A user of the lab. ``owner`` identifies their races, never empty."""

    owner: str
    teacher: bool = False

    def may_steer(self, run: "Run") -> bool:
        """Return whether they may pause, resume, stop and delete that race. Everybody with its address may watch it."""
        return self.teacher or self.owner == run.owner


@dataclass(frozen=True)
class Run:
    """One race, without its curves.

    ``message`` is the last message of the preparation, or one line that says why a run failed, waits or was stopped.
    ``started_info`` and ``result`` are the events Started and Result as dictionaries (non-finite numbers are None).
    ``races_ahead`` counts the races that run or are queued before it, and is None unless queued. ``shared`` is True if another race ran on this
    machine at the same time, so that step times are unreliable; an ``exclusive`` race runs alone.
    ``checkpointed`` is when its latest checkpoint was written. ``slot`` is its assigned device, such as ``cuda:1``.
    ``progress`` is 0–1, the mean of the lanes. An analysis is a run too: ``analysis`` is the specification of a measurement on the race ``parent``, whose
    ``spec`` it has. ``class_code`` is that of the class whose wall the race is on.
    """

    id: str
    owner: str
    spec: RaceSpec
    state: State
    want: Want
    created: float
    started: float | None
    ended: float | None
    message: str
    started_info: dict[str, Any] | None
    result: dict[str, Any] | None
    races_ahead: int | None
    shared: bool
    exclusive: bool
    checkpointed: float | None
    slot: str | None
    progress: float
    parent: str | None = None
    analysis: AnalysisSpec | None = None
    class_code: str | None = None


@dataclass(frozen=True)
class Job:
    """A queued or running run as the runner needs it; ``pid`` and ``pid_started`` name the race process, ``digest`` the
    specification, ``class_code`` the class with it on its wall, ``sweep`` the one with it as a trial."""

    id: str
    owner: str
    created: float
    state: State = "queued"
    want: Want = "run"
    pid: int | None = None
    pid_started: float | None = None
    shared: bool = False
    exclusive: bool = False
    digest: str = ""
    device: str = "auto"
    slot: str | None = None
    attempts: int = 0
    class_code: str | None = None
    sweep: str | None = None


@dataclass(frozen=True)
class ClassRace:
    """One race of a class. ``id`` lets others watch it, and ``owner`` identifies its user: neither may be shown to the class."""

    key: int
    id: str
    owner: str
    spec: RaceSpec
    state: State
    ended: float | None


@dataclass(frozen=True)
class AccuracyCurve:
    """A lane's accuracy: ``epochs`` and the test accuracy at each, 0–1, None if missing or not finite. ``result`` is the final one,
    on all test images; None before the end, and if the lane diverged."""

    state: LaneState
    epochs: tuple[float, ...]
    accuracies: tuple[float | None, ...]
    result: float | None


@dataclass(frozen=True)
class LaneWindow:
    """One lane's curves, at most ``points`` step points long.

    ``steps`` maps each name of CURVES to one value per bin: the mean over 1, 2, 4, 8 … steps, None if a value is
    missing or not finite. ``epochs`` are the EpochEvents and ``masks`` the MaskEvents without their pictures, as
    dictionaries; ``densities`` is the perturbed share of each layer under the latest mask, empty before the first.
    ``phase_ms`` is the median per phase over the last few hundred steps, for ``mask`` the mean of a
    refresh; ``step_ms`` the median step, ``ratio`` its paired ratio to SGD with the quartiles in ``ratio_iqr``; a
    lane's first few steps count for neither, and a ratio needs a few pairs. Once the race has its result, these and ``seconds``
    are those of the result, and the phases and quartiles those of all steps (the last ten thousand). Where only every k-th step perturbs, all
    of these are means over k steps: of one that perturbs and k − 1 that do not.
    ``total_steps`` is None on the seconds clock.
    """

    name: str
    method: str
    state: LaneState
    points: int
    steps: dict[str, list[float | None]]
    epochs: list[dict[str, Any]]
    masks: list[dict[str, Any]]
    densities: dict[str, float]
    phase_ms: dict[str, float]
    step_ms: float | None
    ratio: float | None
    ratio_iqr: tuple[float, float] | None
    last_step: int
    total_steps: int | None
    seconds: float
    gradients: int

    @property
    def mean_radius(self) -> float | None:
        """Return the mean of ‖m⊙ε‖₂ over the steps so far; None if the lane perturbs nothing or it is unknown."""
        return self._mean(1)

    @property
    def mean_square_radius(self) -> float | None:
        """Return the mean of ‖m⊙ε‖₂², with the mean of each bin squared."""
        return self._mean(2)

    def _mean(self, power: int) -> float | None:
        """Return a mean weighted by the number of steps per bin, which follows from their mean step number."""
        past = counted = 0
        total = 0.0
        for middle, radius in zip(self.steps.get("step", ()), self.steps.get("radius", ()), strict=True):
            assert middle is not None
            count = round(2 * (middle - past) - 1)
            past += count
            if radius is not None:
                counted += count
                total += count * radius**power
        return total / counted if counted else None


@dataclass(frozen=True)
class Window:
    """A race at one moment. ``layers`` holds name, stage and shape of every layer a mask can cover; ``elapsed`` is
    the time it has been training, pauses excluded; ``eta_seconds`` is None while unknown."""

    run_id: str
    state: State
    lanes: tuple[LaneWindow, ...]
    layers: list[dict[str, Any]]
    progress: float
    eta_seconds: float | None
    elapsed: float


def default_layer(window: Window) -> str:
    """Return the layer to show first: the largest perturbed one that is not a vector."""
    perturbed = {name for lane in window.lanes for name, density in lane.densities.items() if density}
    size = [(layer["name"] in perturbed, len(layer["shape"]) > 1, math.prod(layer["shape"])) for layer in window.layers]
    name: str = window.layers[size.index(max(size))]["name"]
    return name


@dataclass(frozen=True)
class Heatmap:
    """One layer's mask as a picture: ``shape`` = (rows, cols), ``pixels`` row by row, 255 = every weight perturbed."""

    lane: str
    layer: str
    step: int
    epoch: float
    density: float
    shape: tuple[int, int]
    pixels: bytes
