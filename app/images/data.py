"""What the page shows: a race of one's own or a recorded one, with its images, their pictures and every lane's predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from app.ui import recorded, theme
from app.ui.theme import Style
from ssam.catalogue import DATASETS
from ssam.experiment import ASSETS, RaceSpec
from ssam.store import Person, Run, Store
from ssam.store.predictions import LanePredictions, Predictions, RaceImages, Thumbnails

BUNDLED = ASSETS / "fashion-mnist-10k.npz"
NOISY = "demo"  # the recording that is shown first, and that says how many of the suspicious labels are wrong


@dataclass(frozen=True, eq=False)
class Lane:
    """A lane with its predictions; ``place`` is its position in the race."""

    place: int
    name: str
    title: str
    style: Style
    found: LanePredictions


@dataclass(frozen=True, eq=False)
class Shown:
    """A race with predictions. ``key`` is its id, or the name of its recording. ``pictures`` is None where none are stored, and where
    they are ``private``: a race on somebody else's own images."""

    key: str
    spec: RaceSpec
    classes: Sequence[str]
    images: RaceImages
    lanes: tuple[Lane, ...]
    pictures: Thumbnails | None
    private: bool

    @property
    def noisy(self) -> bool:
        """Return whether the race gave any image a wrong label."""
        return bool(self.images.changed.any())


def find(store: Store, key: str | None, person: Person) -> Shown | None:
    """Return the race with this id, or the recorded one with this name; None if it is unknown or has no predictions."""
    if key in recorded.names():
        return of_recording(key)
    run = store.runs.get(key) if key else None
    return own(store, run, person) if run else None


def own(store: Store, run: Run, person: Person) -> Shown | None:
    """Return a race of the store with what ``person`` may see of it; None if it has no predictions yet."""
    if not has_predictions(store, run):
        return None
    images = _images(store, run.id)
    lanes = _lanes(store, run.id, tuple(run.spec.lane_names), tuple(store.predictions.steps(run.id)))
    if images is None or not lanes:
        return None
    found = Predictions(images, lanes)
    private = bool(run.spec.data) and run.owner != person.owner
    pictures = None if private else _pictures(store, run, found.images)
    return _shown(run.id, run, found, pictures, private)


def of_recording(name: str) -> Shown | None:
    """Return a recorded race; None if it was recorded without predictions."""
    recording = recorded.read(name)
    found = recording.predictions
    if found is None or not found.lanes:
        return None
    bundled = DATASETS[recording.run.spec.dataset].bundled
    return _shown(name, recording.run, found, bundled_pictures(found.images) if bundled else None, private=False)


def recordings() -> list[str]:
    """Return the names of the recorded races that have predictions, the one with wrong labels first."""
    names = [name for name in recorded.names() if recorded.read(name).predictions is not None]
    return sorted(names, key=lambda name: name != NOISY)


def has_predictions(store: Store, run: Run) -> bool:
    """Return whether any evaluation of a race is stored."""
    return store.predictions.has(run.id)


@lru_cache(maxsize=4)
def bundled_pictures(images: RaceImages) -> Thumbnails:
    """Return the pictures of a race on the bundled data set, all of them: they are not stored with the race."""
    train, test = _bundled()
    shown = np.arange(len(images.train_rows))
    return Thumbnails(shown, train[images.train_rows, ..., None], test[images.test_rows, ..., None])


@lru_cache(maxsize=1)
def _bundled() -> tuple[np.ndarray, np.ndarray]:
    with np.load(BUNDLED, allow_pickle=False) as arrays:
        return arrays["train_images"], arrays["test_images"]


@lru_cache(maxsize=4)
def _lanes(
    store: Store, run_id: str, names: tuple[str, ...], steps: tuple[tuple[int, int], ...]
) -> dict[str, LanePredictions]:
    """Read the predictions, once for the evaluations ``steps``: what is stored does not change."""
    return store.predictions.lanes(run_id, names)


@lru_cache(maxsize=64)
def _images(store: Store, run_id: str) -> RaceImages | None:
    """Read the images of a race, always as one object: pictures made of them are kept by it."""
    return store.predictions.images(run_id)


def _pictures(store: Store, run: Run, images: RaceImages) -> Thumbnails | None:
    return bundled_pictures(images) if DATASETS[run.spec.dataset].bundled else _stored(store, run.id)


@lru_cache(maxsize=16)
def _stored(store: Store, run_id: str) -> Thumbnails | None:
    return store.predictions.thumbnails(run_id)


def _shown(key: str, run: Run, found: Predictions, pictures: Thumbnails | None, private: bool) -> Shown:
    spec = run.spec
    about = zip(spec.lane_names, theme.lane_titles(spec), theme.lane_styles(spec), strict=True)
    lanes = tuple(
        Lane(place, name, title, style, found.lanes[name])
        for place, (name, title, style) in enumerate(about)
        if name in found.lanes
    )
    classes = (run.started_info or {}).get("classes") or []
    return Shown(key, spec, classes, found.images, lanes, pictures, private)


# The time axis


def moments(lanes: Sequence[Lane]) -> list[float]:
    """Return the epochs at which any of these lanes was evaluated, ascending."""
    return sorted({float(epoch) for lane in lanes for epoch in lane.found.epochs})


def at(lane: Lane, epoch: float | None) -> int | None:
    """Return the index of a lane's latest evaluation up to an epoch (None: of its last); None before the first."""
    epochs = lane.found.epochs
    past = len(epochs) if epoch is None else int(np.searchsorted(epochs, epoch, side="right"))
    return past - 1 if past else None


def epoch_of(lane: Lane, index: int) -> float | None:
    """Return the epoch of a lane's evaluation; None beyond the last one."""
    return float(lane.found.epochs[index]) if index < len(lane.found.epochs) else None
