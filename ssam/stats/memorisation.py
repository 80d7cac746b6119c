"""What lanes do with wrong labels: memorise or resist them, and whether their answers tell which labels are wrong.

A lane's answers ``train`` (T, n) are the classes that it gave to n training images at T evaluations; −1, no answer,
where it had not seen the image yet. ``given`` (n,) are the labels that it trained on, some of them wrong, ``true`` (n,)
the right ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np


@dataclass(frozen=True, eq=False)
class Memorisation:
    """A lane's answers at T evaluations, as shares (T,), 0–1, of the images seen by then; NaN where there are none.

    ``clean`` is the accuracy on the images with the right label. Of the images with a wrong label, ``memorised`` are
    answered with this label, ``resisted`` with the true one and ``other`` with a third class.
    """

    clean: np.ndarray
    memorised: np.ndarray
    resisted: np.ndarray
    other: np.ndarray


@dataclass(frozen=True)
class Ranking:
    """How well a ranking finds wrong labels.

    ``precision`` is their share, 0–1, among its first ``count`` images, and ``chance`` that among all images: the mean
    precision of random rankings.
    """

    count: int
    precision: float
    chance: float


def memorisation(train: np.ndarray, given: np.ndarray, true: np.ndarray) -> Memorisation:
    """Return which labels a lane answers at each evaluation, from its answers (T, n) and the labels (n,).

    >>> found = memorisation(np.array([[0, 0, -1], [0, 1, 0]]), given=np.array([0, 1, 1]), true=np.array([0, 0, 0]))
    >>> found.clean.tolist(), found.memorised.tolist(), found.resisted.tolist()
    ([1.0, 1.0], [0.0, 0.5], [1.0, 0.5])
    """
    wrong = given != true
    seen = train >= 0
    as_given, as_true = train == given, train == true
    clean_seen, wrong_seen = seen[:, ~wrong].sum(axis=1), seen[:, wrong].sum(axis=1)
    neither = seen & ~as_given & ~as_true
    with np.errstate(invalid="ignore"):  # 0/0 is NaN: none were seen
        return Memorisation(
            clean=as_given[:, ~wrong].sum(axis=1) / clean_seen,
            memorised=as_given[:, wrong].sum(axis=1) / wrong_seen,
            resisted=as_true[:, wrong].sum(axis=1) / wrong_seen,
            other=neither[:, wrong].sum(axis=1) / wrong_seen,
        )


def learned_since(train: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return for each image (n,) the index of the first evaluation from which on all answers are the given label.

    It is T if the last answer is another one.

    >>> learned_since(np.array([[1, 1, 0], [0, 1, 1], [1, 1, 0]]), given=np.array([1, 1, 1])).tolist()
    [2, 0, 3]
    """
    right = train == given
    right_to_the_last = np.logical_and.accumulate(right[::-1], axis=0)
    return len(train) - right_to_the_last.sum(axis=0)


def forgotten(train: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return for each image (n,) how often the answer changes from the given label to another one.

    These are the forgetting events of Toneva et al. 2019, arXiv 1812.05159. The paper compares all answers in training;
    here those between two evaluations are not known, so this is a lower bound.

    >>> forgotten(np.array([[1, 0], [0, 1], [1, -1], [0, 1]]), given=np.array([1, 1])).tolist()
    [2, 0]
    """
    places = np.arange(len(train))[:, np.newaxis]
    latest = np.maximum.accumulate(np.where(train >= 0, places, 0), axis=0)  # skips missing answers
    right = np.take_along_axis(train, latest, axis=0) == given
    return (right[:-1] & ~right[1:]).sum(axis=0)


def disagreement(trains: Sequence[np.ndarray]) -> np.ndarray:
    """Return for each image (n,) the share, 0–1, of pairs of lanes whose answers differ.

    Only pairs of which both lanes have answered count; without such a pair it is 0.

    Args:
        trains: each lane's latest answers (n,).

    >>> disagreement([np.array([0, 1, 2]), np.array([0, 1, -1]), np.array([0, 2, 1])]).round(2).tolist()
    [0.0, 0.67, 1.0]
    """
    answers = np.stack(trains)
    pairs, different = np.zeros(answers.shape[1], np.int64), np.zeros(answers.shape[1], np.int64)
    for one, other in combinations(answers, 2):
        both = (one >= 0) & (other >= 0)
        pairs += both
        different += both & (one != other)
    return different / np.maximum(pairs, 1)


def suspicion(trains: Sequence[np.ndarray], given: np.ndarray) -> np.ndarray:
    """Return for each image (n,) the share, 0–1, of all answers that are not the given label; NaN without an answer.

    A high one hints at a wrong label: networks learn what images have in common before they memorise single ones (Arpit
    et al. 2017, arXiv 1706.05394).

    Args:
        trains: each lane's answers (T, n); T may differ between lanes.
        given: the labels (n,).

    >>> trains = [np.array([[0, 0, -1], [1, 0, -1]]), np.array([[1, 0, -1]])]
    >>> suspicion(trains, given=np.array([1, 1, 1])).round(2).tolist()
    [0.33, 1.0, nan]
    """
    answers, against = np.zeros(len(given), np.int64), np.zeros(len(given), np.int64)
    for train in trains:
        seen = train >= 0
        answers += seen.sum(axis=0)
        against += (seen & (train != given)).sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0/0 is NaN: no answer
        return against / answers


def precision(suspicion: np.ndarray, wrong: np.ndarray) -> Ranking | None:
    """Return what share of the most suspicious images has a wrong label; None if no label is wrong.

    As many images are looked at as there are wrong labels. Equally suspicious ones keep their order; NaN comes last.

    Args:
        suspicion: of each image (n,).
        wrong: whether its label is wrong (n,), bool.

    >>> precision(np.array([0.9, 0.1, np.nan, 0.8]), np.array([True, False, True, False]))
    Ranking(count=2, precision=0.5, chance=0.5)
    """
    count = int(wrong.sum())
    if count == 0:
        return None
    most = np.argsort(-suspicion, kind="stable")[:count]
    return Ranking(count, precision=float(wrong[most].mean()), chance=float(wrong.mean()))
