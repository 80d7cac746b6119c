"""What a lane answers for single images, taken from passes that training and evaluation make anyway.

The answer for a training image is that of the last step that used it, as in Toneva et al. (2019,
https://arxiv.org/abs/1812.05159): a separate pass over all training images would cost a third of an SGD epoch.
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


class TestAnswers:
    """Collects the outputs of one evaluation on test images, in their order."""

    __test__ = False  # pytest: not a test

    def __init__(self) -> None:
        self._classes: list[Tensor] = []
        self._confidence: list[Tensor] = []

    def add(self, outputs: Tensor) -> None:
        """Take the outputs (B, classes) of the next images."""
        confidence, classes = outputs.float().softmax(1).max(1)
        self._confidence.append(confidence)
        self._classes.append(classes)

    def event(self, lane: str, step: int, epoch: float, answers: Tensor, batches: Batches) -> PredictionsEvent:
        """Return the lane's predictions. An evaluation on all test images is cut to those of every epoch."""
        classes, confidence = torch.cat(self._classes).cpu().numpy(), torch.cat(self._confidence).cpu().numpy()
        rows = batches.test_rows(LIVE_TEST_SIZE)
        if len(classes) > len(rows):
            classes, confidence = classes[rows], confidence[rows]
        train = answers[:-1].cpu().numpy().copy()
        return PredictionsEvent(lane, step, epoch, train, classes.astype(np.int16), confidence)


def images_of(batches: Batches, spec: RaceSpec) -> ImagesEvent:
    """Return the images whose predictions the race records. Pictures of the bundled data set are left out: whoever
    shows them has them."""
    given, true = batches.train_labels(noisy=True), batches.train_labels(noisy=False)
    test_rows = batches.test_rows(LIVE_TEST_SIZE)
    shown = np.sort(np.argsort(given == true, kind="stable")[:PICTURES])
    kept = not DATASETS[spec.dataset].bundled
    return ImagesEvent(
        train_rows=batches.train_rows,
        given=given,
        true=true,
        test_rows=test_rows,
        test_labels=batches.test_labels(test_rows),
        shown=shown if kept else shown[:0],
        train_pictures=batches.thumbnails("train", batches.train_rows[shown if kept else shown[:0]], SIDE),
        test_pictures=batches.thumbnails("test", test_rows if kept else test_rows[:0], SIDE),
    )
