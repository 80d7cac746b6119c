"""What each lane answered for single images, epoch by epoch, and which labels the race gave them. Files in the run's folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ssam.experiment.events import ImagesEvent, PredictionsEvent
from ssam.store.arrays import load_arrays, save_arrays

FULL = 255  # confidences are kept as bytes


@dataclass(frozen=True, eq=False)
class RaceImages:
    """The images of a race.

    ``train_rows`` and ``test_rows`` (n,) and (m,) are their places in the data set; ``given`` and ``true`` (n,) the labels that training
    uses and those of the data set, which differ where the race changed them; ``test_labels`` (m,) those of the test images. Images are
    numbered by their position in these arrays.
    """

    train_rows: np.ndarray
    given: np.ndarray
    true: np.ndarray
    test_rows: np.ndarray
    test_labels: np.ndarray

    @property
    def changed(self) -> np.ndarray:
        """Return (n,) whether the race gave the image a wrong label."""
        return self.given != self.true


@dataclass(frozen=True, eq=False)
class LanePredictions:
    """The classes that a lane answered at T evaluations: ``train`` (T, n) int16, by the last training step before it that used the image
    (−1: none yet), ``test`` (T, m) int16 with its ``confidence`` (T, m), 0–1. ``epochs`` and ``steps`` (T,) say when."""

    steps: np.ndarray
    epochs: np.ndarray
    train: np.ndarray
    test: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True, eq=False)
class Predictions:
    """The images of a race, and what each lane answered, by lane name; lanes without an evaluation are left out."""

    images: RaceImages
    lanes: dict[str, LanePredictions]


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """Small pictures, uint8 (·, S, S, C) with C 1 or 3: of the training images ``shown`` (positions, ascending), and of all test images
    that are evaluated each epoch."""

    shown: np.ndarray
    train: np.ndarray
    test: np.ndarray


class PredictionFiles:
    """Predictions and images of the runs; ``Store.predictions``."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        self._folder = folder

    def steps(self, run_id: str) -> list[tuple[int, int]]:
        """Return lane (its place in the race, from 0) and step of every evaluation that is kept, in this order."""
        return sorted(_moment(path) for path in (self._folder(run_id) / "predictions").glob("*-*.npz"))

    def has(self, run_id: str) -> bool:
        """Return whether anything is kept of a run: its images come before its first predictions."""
        return images_file(self._folder(run_id)).exists()

    def images(self, run_id: str) -> RaceImages | None:
        """Return the images of a run; None if they are not kept (any more)."""
        try:
            kept = load_arrays(images_file(self._folder(run_id)))
        except FileNotFoundError:
            return None
        return RaceImages(*(kept[field] for field in ("train_rows", "given", "true", "test_rows", "test_labels")))

    def read(self, run_id: str, names: Sequence[str]) -> Predictions | None:
        """Return all that is kept of a run with these lanes; None if nothing is (any more)."""
        images = self.images(run_id)
        return None if images is None else Predictions(images, self.lanes(run_id, names))

    def lanes(self, run_id: str, names: Sequence[str]) -> dict[str, LanePredictions]:
        """Return the predictions of a run with these lanes, by lane name; empty if none are kept (any more)."""
        folder = self._folder(run_id)
        found: dict[str, LanePredictions] = {}
        moments = self.steps(run_id)
        for place, name in enumerate(names):
            steps = [step for lane, step in moments if lane == place]
            try:
                kept = [load_arrays(predictions_file(folder, place, step)) for step in steps]
            except FileNotFoundError:  # the runner has just made room
                return {}
            if kept:
                found[name] = _stacked(steps, kept)
        return found

    def thumbnails(self, run_id: str) -> Thumbnails | None:
        """Return the pictures of a run; None if none are kept."""
        try:
            kept = load_arrays(images_file(self._folder(run_id)), "p/")
        except FileNotFoundError:
            return None
        return Thumbnails(kept["shown"], kept["train"], kept["test"]) if kept else None


def images_file(folder: Path) -> Path:
    """Return the path of a run's images: labels and rows under ``m/``, pictures under ``p/``."""
    return folder / "predictions" / "images.npz"


def predictions_file(folder: Path, lane: int, step: int) -> Path:
    """Return the path of a lane's predictions after ``step`` steps."""
    return folder / "predictions" / f"{lane}-{step}.npz"


def save_images(file: BinaryIO, event: ImagesEvent) -> None:
    """Save the images of a race."""
    labels = {name: getattr(event, name) for name in ("train_rows", "given", "true", "test_rows", "test_labels")}
    pictures = {"shown": event.shown, "train": event.train_pictures, "test": event.test_pictures}
    save_arrays(file, labels, {"p/": pictures})


def save_predictions(file: BinaryIO, event: PredictionsEvent) -> None:
    """Save what a lane answered at one evaluation."""
    arrays = {"epoch": np.array(event.epoch), "train": event.train, "test": event.test}
    save_arrays(file, arrays | {"confidence": as_bytes(event.confidence)})


def as_bytes(shares: np.ndarray) -> np.ndarray:
    """Return shares, 0–1, as uint8, to the nearest of 256 values."""
    return np.rint(shares * FULL).astype(np.uint8)


def as_shares(kept: np.ndarray) -> np.ndarray:
    """Return float32 shares from what ``as_bytes`` returned."""
    return kept.astype(np.float32) / FULL


def _moment(path: Path) -> tuple[int, int]:
    lane, _, step = path.stem.partition("-")
    return int(lane), int(step)


def _stacked(steps: list[int], kept: list[dict[str, np.ndarray]]) -> LanePredictions:
    return LanePredictions(
        np.array(steps),
        np.array([float(each["epoch"]) for each in kept]),
        np.stack([each["train"] for each in kept]),
        np.stack([each["test"] for each in kept]),
        as_shares(np.stack([each["confidence"] for each in kept])),
    )
