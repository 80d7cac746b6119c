"""What a lane answers for single images, taken from passes that training and evaluation make anyway.

The answer for a training image is that of the last step that used it, as in Toneva et al. (2019,
https://arxiv.org/abs/1812.05159): a separate pass over all training images would cost about a third of an SGD epoch, by its operations.
"""

import numpy as np
import torch
from torch import Tensor

from ssam.catalogue import DATASETS
from ssam.data import Batches
from ssam.experiment import RaceSpec
from ssam.experiment.events import ImagesEvent, PredictionsEvent
from ssam.planning.estimate import LIVE_TEST_SIZE

MOST_IMAGES = 60_000  # of larger training sets nothing is recorded: files would grow to hundreds of megabytes
EVERY_EPOCH = 75  # twice as many epochs are recorded one by one
PICTURES = 2_000  # training images with a picture: those with a wrong label first
SIDE = 32  # pixels


def new_answers(batches: Batches, device: torch.device) -> Tensor | None:
    """Return (n + 1,) int16 on ``device``: −1 for each training image. The last entry collects images that are not
    among them (position −1). None for a training set that is too large."""
    if batches.train_size > MOST_IMAGES:
        return None
    return torch.full((batches.train_size + 1,), -1, dtype=torch.int16, device=device)


def record_answers(answers: Tensor, positions: Tensor, outputs: Tensor) -> None:
    """Enter the classes of a batch's outputs (B, classes) at its positions (B,)."""
    answers[positions] = outputs.argmax(1).to(torch.int16)


def is_recorded(epoch: int) -> bool:
    """Return whether the predictions after this epoch are kept: all of the first 150, then every 2nd, 4th …, so that a race of
    thousands of epochs leaves some hundred files a lane.

    >>> [epoch for epoch in range(296, 310) if is_recorded(epoch)]
    [296, 298, 300, 304, 308]
    """
    every = 1
    while epoch >= 2 * EVERY_EPOCH * every:
        every *= 2
    return epoch % every == 0


class TestAnswers:
    """Collects the outputs of one evaluation on test images, in their order. An evaluation on all test images is cut to those
    of every epoch."""

    __test__ = False  # pytest: not a test

    def __init__(self, batches: Batches) -> None:
        self._rows = batches.test_rows(LIVE_TEST_SIZE)
        self._classes: list[Tensor] = []
        self._confidence: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, outputs: Tensor, labels: Tensor) -> None:
        """Take the outputs (B, classes) of the next images, and their labels (B,)."""
        confidence, classes = outputs.float().softmax(1).max(1)
        self._confidence.append(confidence)
        self._classes.append(classes)
        self._labels.append(labels)

    @property
    def labels(self) -> np.ndarray:
        """Return (m,) int16: the labels that the outputs were judged by."""
        return self._cut(self._labels).astype(np.int16)

    def event(self, lane: str, step: int, epoch: float, answers: Tensor) -> PredictionsEvent:
        """Return the lane's predictions."""
        train = answers[:-1].cpu().numpy().copy()
        test, confidence = self._cut(self._classes).astype(np.int16), self._cut(self._confidence)
        return PredictionsEvent(lane, step, epoch, train, test, confidence)

    def _cut(self, parts: list[Tensor]) -> np.ndarray:
        values: np.ndarray = torch.cat(parts).cpu().numpy()
        return values[self._rows] if len(values) > len(self._rows) else values


def images_of(batches: Batches, spec: RaceSpec, test_labels: np.ndarray) -> ImagesEvent:
    """Return the images whose predictions the race records. ``test_labels`` (m,) are those of the evaluation, where another
    file may stand for an unreadable one. Pictures of the bundled data set are left out: the package contains them."""
    given, true = batches.train_labels(noisy=True), batches.train_labels(noisy=False)
    test_rows, train_rows = batches.test_rows(LIVE_TEST_SIZE), batches.train_rows
    bundled = DATASETS[spec.dataset].bundled
    wanted = np.sort(np.argsort(given == true, kind="stable")[: 0 if bundled else PICTURES])
    pictures, used = batches.thumbnails("train", train_rows[wanted], SIDE)
    readable = used == train_rows[wanted]
    return ImagesEvent(
        train_rows=train_rows,
        given=given,
        true=true,
        test_rows=test_rows,
        test_labels=test_labels,
        shown=wanted[readable],
        train_pictures=pictures[readable],
        test_pictures=batches.thumbnails("test", test_rows[: 0 if bundled else None], SIDE)[0],
    )
