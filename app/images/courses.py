"""The numbers of the page: memorisation over training, and test predictions at one epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.images import data
from app.images.data import Lane, Shown
from ssam.stats import calibration, memorisation
from ssam.stats.calibration import Calibration
from ssam.stats.memorisation import Memorisation


@dataclass(frozen=True, eq=False)
class Course:
    """A lane over its T evaluations, as shares (T,), 0–1: what it memorises of the training images, and its test accuracy."""

    lane: Lane
    train: Memorisation
    test: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """Return the accuracy on rightly labelled training images minus the test accuracy."""
        return self.train.clean - self.test


def courses(shown: Shown, lanes: Sequence[Lane]) -> list[Course]:
    images = shown.images
    return [
        Course(
            lane,
            memorisation.memorisation(lane.found.train, images.given, images.true),
            (lane.found.test == images.test_labels).mean(axis=1),
        )
        for lane in lanes
    ]


@dataclass(frozen=True, eq=False)
class Tested:
    """A lane's test predictions at its evaluation ``at``: ``right`` (m,), the confusion matrix (C, C) and the calibration."""

    lane: Lane
    at: int
    right: np.ndarray
    matrix: np.ndarray
    calibration: Calibration

    @property
    def predictions(self) -> np.ndarray:
        return np.asarray(self.lane.found.test[self.at])

    @property
    def confidence(self) -> np.ndarray:
        return np.asarray(self.lane.found.confidence[self.at])

    @property
    def class_accuracy(self) -> np.ndarray:
        return calibration.class_accuracy(self.matrix)

    def cell(self, labels: np.ndarray, true: int, prediction: int) -> np.ndarray:
        """Return the test images of a class with a prediction, the most confident first."""
        found = np.flatnonzero((labels == true) & (self.predictions == prediction))
        return found[np.argsort(-self.confidence[found], kind="stable")]

    def confusions(self) -> list[tuple[int, int, int]]:
        """Return (true class, prediction, images) of every confusion, the most frequent first."""
        wrong = self.matrix - np.diag(np.diagonal(self.matrix))
        most = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
        classes = len(wrong)
        return [(int(cell) // classes, int(cell) % classes, int(wrong.flat[cell])) for cell in most]


def tested(shown: Shown, lanes: Sequence[Lane], epoch: float) -> list[Tested]:
    """Return the lanes that have been evaluated by this epoch."""
    labels, found = shown.images.test_labels, []
    for lane in lanes:
        at = data.at(lane, epoch)
        if at is not None:
            predictions, right = lane.found.test[at], lane.found.test[at] == labels
            matrix = calibration.confusion(labels, predictions, len(shown.classes))
            found.append(Tested(lane, at, right, matrix, calibration.calibration(lane.found.confidence[at], right)))
    return found


@dataclass(frozen=True, eq=False)
class Pair:
    """Where two lanes differ: test images that both, only the first, only the second and neither predicts correctly (·,), the most
    confident correct prediction first."""

    both: np.ndarray
    first: np.ndarray
    second: np.ndarray
    neither: np.ndarray


def pair(one: Tested, other: Tested) -> Pair:
    def most_confident(images: np.ndarray, by: Tested) -> np.ndarray:
        found = np.flatnonzero(images)
        return found[np.argsort(-by.confidence[found], kind="stable")]

    a, b = one.right, other.right
    return Pair(
        most_confident(a & b, one),
        most_confident(a & ~b, one),
        most_confident(~a & b, other),
        most_confident(~a & ~b, one),
    )
