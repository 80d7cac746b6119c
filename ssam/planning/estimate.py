"""Estimates of how long a race takes, before it starts: multiply-accumulates over a rate. Never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from ssam.catalogue import DATASETS, DISTURBANCES, MODELS, WEIGHT_DISTURBANCES, Disturbance
from ssam.experiment.analysis import AnalysisSpec
from ssam.experiment.duel import DuelSpec
from ssam.experiment.race import RaceSpec

FORWARDS_PER_GRADIENT = 3  # a backward pass costs about two forward passes
LIVE_TEST_SIZE = 2_000  # test images per evaluation during the race; the last evaluation uses all
HESSIAN_IMAGES = 40  # training images for λ₁ during the race
HESSIAN_PRODUCTS = 2  # Hessian-vector products per measurement of λ₁

# Forward GMAC/s before anything has been measured: guesses. The CPU's is close to one thread's rate in the default race
# (race_s in assets/measured/page.json); no GPU has been measured.
DEFAULT_GMACS = {"cpu": 12.0, "mps": 300.0, "cuda": 2_000.0}


@dataclass(frozen=True)
class Rate:
    """The speed of a device. ``gmacs``: billions of forward multiply-accumulates per second; ``measured`` is False for
    a guess."""

    gmacs: float
    measured: bool


def default_rate(device: str) -> Rate:
    """Return a guess for a device such as ``cpu``, ``cuda:1`` or ``auto`` (which may well be a CPU)."""
    return Rate(DEFAULT_GMACS.get(device.partition(":")[0], DEFAULT_GMACS["cpu"]), measured=False)


def estimate_seconds(spec: RaceSpec, rate: Rate, sizes: tuple[int, int] | None = None) -> float:
    """Return the seconds of computing from Start to the result, without downloads, reading images and calibration.

    ``sizes`` are the numbers of training and test images if the catalogue does not know them (own images). On the
    seconds clock the lanes take turns, so training takes lanes × ``spec.seconds``.
    """
    train, test = sizes or (DATASETS[spec.dataset].train, DATASETS[spec.dataset].test or LIVE_TEST_SIZE)
    trained, held = spec.split(train)
    steps = max(1, trained // spec.batch_size) if train else spec.steps_per_epoch
    gradients = spec.gradients * steps / spec.steps_per_epoch
    image = image_gmacs(spec)
    training = gradients * spec.batch_size * FORWARDS_PER_GRADIENT * image / rate.gmacs
    ranking = [lane for lane in spec.lanes if lane.mask_score in ("fisher", "fisher-per-cost", "gradient")]
    refreshes = sum(-(-(lane.epochs or spec.epochs) // spec.mask_interval) for lane in ranking)
    samples = min(spec.fisher_samples, train or spec.fisher_samples)
    masks = refreshes * samples * FORWARDS_PER_GRADIENT * image / rate.gmacs
    evaluations = sum(lane.epochs or spec.epochs for lane in spec.lanes)
    tested = evaluations * (min(test, LIVE_TEST_SIZE) + held) + len(spec.lanes) * test
    if spec.clock == "seconds":
        return len(spec.lanes) * (spec.seconds + test * image / rate.gmacs)
    return training + masks + tested * image / rate.gmacs


def duel_seconds(spec: DuelSpec, rate: Rate, sizes: tuple[int, int] | None = None) -> float:
    """Return the seconds of computing for a whole duel, one training after the other: all searches, and each round's
    winners once more."""
    seconds = 0.0
    for place, contender in enumerate(spec.contenders):
        search = spec.sweep(place, 0)
        grid = next((vary.grid for vary in contender.vary if vary.field == "epochs"), (spec.base.epochs,))
        trainings = [estimate_seconds(search.race({"epochs": epochs}), rate, sizes) for epochs in grid]
        seconds += spec.seeds * (spec.trials + 1) * sum(trainings) / len(trainings)
    return seconds


def _evaluations(disturbances: Mapping[str, Disturbance]) -> int:
    """Return how many evaluations a moment takes: one undisturbed, and one for each level and draw."""
    return 1 + sum(len(each.levels) * each.draws for each in disturbances.values())


# Cost of an estimator per image of one lane at one moment, in gradients of a training step: counted, with a Hessian
# product as 4 and a forward pass in evaluation mode as a quarter (cnn8, `python -m benchmarks.analysis`: 3.6, 0.24).
PRODUCT, FORWARD = 4.0, 0.25
ANALYSIS_GRADIENTS = {
    "sharpness": 17 + 36 * FORWARD,  # 2 + 1 + 1 + 1 + 2 + 10 gradients, and the evaluations at w + ε
    "curvature": 55 * PRODUCT,  # 20 to 60 products for five eigenvalues, 10 for the trace, the check
    "spectrum": 105 * PRODUCT,
    "fisher": 8.0,
    "robustness": _evaluations(DISTURBANCES) * FORWARD,
    "disturbed_weights": _evaluations(WEIGHT_DISTURBANCES) * FORWARD,
}
ANATOMY_GRADIENTS = 2 + FORWARD  # for one batch, per lane


def analysis_seconds(race: RaceSpec, analysis: AnalysisSpec, rate: Rate, moments: int = 1) -> float:
    """Return the seconds of computing for an analysis, without reading the data. ``moments``: how many epochs are
    analysed."""
    if analysis.kind == "profile":
        gradients = len(race.lanes) * analysis.directions * analysis.points * FORWARD
    elif analysis.kind == "surface":
        gradients = (1 if analysis.plane == "lanes" else len(race.lanes)) * analysis.points**2 * FORWARD
    elif analysis.kind == "anatomy":
        images = len(race.lanes) * ANATOMY_GRADIENTS * race.batch_size
        return images * FORWARDS_PER_GRADIENT * image_gmacs(race) / rate.gmacs
    else:
        gradients = len(race.lanes) * moments * ANALYSIS_GRADIENTS[analysis.kind]
    return gradients * analysis.images * FORWARDS_PER_GRADIENT * image_gmacs(race) / rate.gmacs


def image_gmacs(spec: RaceSpec) -> float:
    """Return the billions of multiply-accumulates per forward pass of one image; proportional to its area."""
    model = MODELS[spec.model]
    return model.mmacs / 1e3 * (spec.input_size / model.size) ** 2
