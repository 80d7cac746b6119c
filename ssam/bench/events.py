"""Events of the bench. Each ``iqr`` holds the lower and upper quartiles for the median next to it."""

from dataclasses import dataclass

Quartiles = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """The cost of a step. ``ratio_to_sgd`` is the median of step time ÷ SGD step time over the repetitions."""

    model: str
    lane: str
    plan: str
    ratio_to_sgd: float
    iqr: Quartiles
    predicted: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Refresh:
    """The cost of a mask refresh. A new mask from ``images`` images takes as long as ``sgd_steps`` SGD steps. ``agreement`` is the
    intersection over union of its perturbed weights, at sparsity ½, with those chosen by the per-image Fisher information."""

    model: str
    score: str
    images: int
    sgd_steps: float
    iqr: Quartiles
    agreement: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Training images per second of computation, over an epoch of ``images_an_epoch`` with its mask refresh.
    ``ratio_to_published`` is the median, over the repetitions, of this ÷ the loop in the published style."""

    model: str
    loop: str
    images_an_epoch: int
    images_per_second: float
    iqr: Quartiles
    ratio_to_published: float


@dataclass(frozen=True, slots=True)
class Overhead:
    """The extra time for watching a race, as a share of the time of training alone."""

    model: str
    what: str
    share: float
    iqr: Quartiles


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory that a lane's step needs at its peak beyond an SGD step, and the memory that it keeps between steps. The model's
    own weights take ``weights_bytes``.

    ``how`` is ``max_memory_allocated`` on CUDA, and ``counted`` elsewhere: the masks and saved weights held during the pass at
    w+ε. That pass is the peak if the activations take more memory than the weights.
    """

    model: str
    lane: str
    extra_bytes: int
    kept_bytes: int
    weights_bytes: int
    how: str


@dataclass(frozen=True, slots=True)
class Note:
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    device: str
    device_name: str
    threads: int
    versions: dict[str, str]
    rows: int


Event = Row | Refresh | Throughput | Overhead | Memory | Note | Result
