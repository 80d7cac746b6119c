"""What the bench tells. An ``iqr`` holds the quartiles below and above the median that it stands beside."""

from dataclasses import dataclass

Quartiles = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """``ratio_to_sgd``: median over the repetitions of step ÷ SGD step."""

    model: str
    lane: str
    plan: str
    ratio_to_sgd: float
    iqr: Quartiles
    predicted: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Refresh:
    """A new mask from ``images`` images takes as long as ``sgd_steps`` steps of SGD. ``agreement``: intersection over union of
    its perturbed weights, at sparsity ½, with those by the Fisher information image by image."""

    model: str
    score: str
    images: int
    sgd_steps: float
    iqr: Quartiles
    agreement: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Training images in a second of computing, over an epoch of ``images_an_epoch`` with its mask refresh.
    ``ratio_to_published``: median over the repetitions of this ÷ the loop in the published style."""

    model: str
    loop: str
    images_an_epoch: int
    images_per_second: float
    iqr: Quartiles
    ratio_to_published: float


@dataclass(frozen=True, slots=True)
class Overhead:
    """What watching a race adds to training alone, as a share of the latter's time."""

    model: str
    what: str
    share: float
    iqr: Quartiles


@dataclass(frozen=True, slots=True)
class Memory:
    """What a lane's step needs at its peak over an SGD step, and what it keeps between its steps; the model's own weights are
    ``weights_bytes``.

    ``how``: ``max_memory_allocated`` on CUDA; elsewhere ``counted``: the masks and saved weights that live through the pass at
    w+ε. That pass is the peak where the activations outweigh the weights.
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
