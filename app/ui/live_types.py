"""Types of the live panel's payload. ``live/payload.d.ts`` is made from them."""

from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict

from app.ui.wire import Floats, LaneStyle, Pixels

Kind = Literal["once", "twice", "light", "part"]  # how often a stage runs in a step


class Status(TypedDict):
    word: str
    detail: str


class Phase(TypedDict):
    """A part of a training step."""

    name: str
    title: str
    color: str


class Stage(TypedDict):
    """A stage of the network: its share of the cost, and the share of it that the ascent costs again."""

    name: str
    share: float
    ascent: float
    kind: Kind
    words: str


class Strip(TypedDict):
    every: int
    stages: Sequence[Stage]


class Layer(TypedDict):
    name: str
    shape: Sequence[int]


class StepColumns(TypedDict):
    """One value per bin of steps."""

    step: Floats
    epoch: Floats
    gradients: Floats
    seconds: Floats
    loss: Floats
    grad_norm: Floats
    radius: Floats
    ascent_gap: Floats
    perturbed_norm: Floats


class EpochColumns(TypedDict):
    """One value per evaluation. ``low`` and ``high`` bound the 95% interval of ``test_accuracy``."""

    epoch: Floats
    step: Floats
    gradients: Floats
    seconds: Floats
    train_loss: Floats
    test_loss: Floats
    test_accuracy: Floats
    test_size: Floats
    final: Floats
    eigenvalue: Floats
    eigenvalue_residual: Floats
    low: Floats
    high: Floats
    validation_accuracy: NotRequired[Floats]


class Lane(LaneStyle):
    name: str
    state: Literal["waiting", "running", "finished", "diverged"]
    points: int
    steps: StepColumns
    epochs: EpochColumns
    phases: Mapping[str, float]
    stepMs: float | None
    ratio: float | None
    ratioIqr: tuple[float, float] | None
    lastStep: int
    totalSteps: int | None
    seconds: float
    settings: str
    perturbs: bool
    rho: float | None
    radius: float | None
    masked: bool
    counted: float | None
    strip: Strip | None


class Eigenvalues(TypedDict):
    ms: float | None
    share: float | None


class Ends(TypedDict):
    """Where the race will end on each x-axis."""

    epoch: float | None
    gradients: float | None
    seconds: float | None


class Race(TypedDict):
    run: str
    state: str
    status: Status
    failed: str
    progress: float
    notes: Sequence[str]
    testSize: int | None
    epochs: int | None
    ends: Ends
    stepsPerEpoch: float | None
    eigenvalues: Eigenvalues | None
    heights: Mapping[str, float]
    validation: str
    lanes: Sequence[Lane]
    layers: Sequence[Layer]
    phases: Sequence[Phase]
    texts: Mapping[str, Sequence[str]]
    curveTexts: Mapping[str, Sequence[str]]


class MaskPicture(TypedDict):
    """A layer's part of a mask."""

    step: int
    epoch: float
    density: float
    changed: float | None
    overlap: float | None
    rows: int
    columns: int
    pixels: Pixels


class Heat(TypedDict):
    """One layer's masks at the chosen epoch, else the latest."""

    layer: str
    epochs: Sequence[float]
    epoch: float | None
    maps: Mapping[str, MaskPicture]


class Heats(TypedDict):
    """One layer's masks at all epochs of a recorded race."""

    layer: str
    epochs: Sequence[float]
    maps: Mapping[str, Sequence[MaskPicture]]


class Replay(TypedDict):
    label: str
    about: str
    seconds: float


class Before(TypedDict):
    """The race before. ``lanes`` is sent once: the browser keeps those of a ``version``."""

    version: str
    words: str
    lanes: NotRequired[Sequence[Lane]]


class Inside(TypedDict):
    """What other pages have of a race. ``weights`` are the epochs after which weights were saved; ``latest``: also those of the
    end. ``images``: the predictions. ``base`` is the prefix of the pages' addresses."""

    base: str
    weights: Sequence[int]
    latest: bool
    images: bool


class Pictures(TypedDict):
    """What goes with the race: ``heat`` for a live one, ``replay`` and ``heats`` for a recorded one, the race before for both;
    ``inside`` where an epoch is linked to other pages."""

    heat: NotRequired[Heat | None]
    replay: NotRequired[Replay]
    heats: NotRequired[Heats | None]
    before: NotRequired[Before | None]
    inside: NotRequired[Inside | None]


class Payload(Race, Pictures):
    """The whole payload; empty before there is a race to show."""
