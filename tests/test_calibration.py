"""Confusions and calibration, held against loops over single answers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from ssam.stats.calibration import calibration, class_accuracy, confusion

CLASSES = 4
PAIRS = some.lists(some.tuples(some.integers(0, CLASSES - 1), some.integers(0, CLASSES - 1)), max_size=30)
CONFIDENCES = some.one_of(some.integers(0, 255).map(lambda byte: byte / 255), some.floats(0, 1))


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    labels, answers = ([pair[side] for pair in pairs] for side in (0, 1))
    return np.array(labels, np.int16), np.array(answers, np.int16)


# Confusions


@given(PAIRS)
def test_every_answer_is_counted_in_its_row_and_column(pairs: list[tuple[int, int]]) -> None:
    expected = [[0] * CLASSES for _ in range(CLASSES)]
    for label, answer in pairs:
        expected[label][answer] += 1
    matrix = confusion(*arrays(pairs), CLASSES)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == expected


@given(PAIRS)
def test_a_classs_accuracy_is_that_on_its_images(pairs: list[tuple[int, int]]) -> None:
    found = class_accuracy(confusion(*arrays(pairs), CLASSES))
    assert found.shape == (CLASSES,)
    for each in range(CLASSES):
        right = [answer == each for label, answer in pairs if label == each]
        assert found[each] == pytest.approx(sum(right) / len(right) if right else math.nan, nan_ok=True)


def test_labels_of_two_bytes_do_not_overflow() -> None:
    labels = np.arange(200, dtype=np.int16)
    assert (confusion(labels, labels[::-1], 200) == np.eye(200)[::-1]).all()
    assert (confusion(labels, labels, 200) == np.eye(200)).all()


# Calibration


@given(some.lists(some.tuples(CONFIDENCES, some.booleans()), max_size=30), some.integers(1, 12))
def test_bins_hold_what_lies_between_their_edges(answers: list[tuple[float, bool]], bins: int) -> None:
    found = calibration(
        np.array([confidence for confidence, _ in answers], float),
        np.array([right for _, right in answers], bool),
        bins,
    )
    edges = [place / bins for place in range(bins + 1)]
    error, held = 0.0, 0
    for place in range(bins):
        low, high, last = edges[place], edges[place + 1], place == bins - 1
        inside = [(each, right) for each, right in answers if low <= each < high or (last and each == 1)]
        confidence = sum(each for each, _ in inside) / len(inside) if inside else math.nan
        accuracy = sum(right for _, right in inside) / len(inside) if inside else math.nan
        assert found.count[place] == len(inside)
        assert found.confidence[place] == pytest.approx(confidence, nan_ok=True)
        assert found.accuracy[place] == pytest.approx(accuracy, nan_ok=True)
        held += len(inside)
        error += len(inside) / len(answers) * abs(accuracy - confidence) if inside else 0
    assert held == len(answers)
    assert found.edges.tolist() == edges
    assert found.error == pytest.approx(error if answers else math.nan, nan_ok=True)


@pytest.mark.parametrize("bins", [1, 2, 3, 5, 10, 15, 20])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_edge_belongs_to_the_upper_bin(bins: int, kind: type[np.floating]) -> None:
    edges = np.array([float(Fraction(place, bins)) for place in range(bins + 1)], kind)
    found = calibration(edges, np.ones(bins + 1, bool), bins)
    assert found.count.tolist() == [1] * (bins - 1) + [2]  # 1 has no bin above it


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_who_is_as_often_right_as_confident_has_no_error(kind: type[np.floating]) -> None:
    confidence = np.repeat(np.array([0.25, 0.5, 0.75, 1], kind), 4)
    right = np.array([place < 4 * share for share in (0.25, 0.5, 0.75, 1) for place in range(4)])
    found = calibration(confidence, right)
    assert found.error == 0
    assert found.count.tolist() == [0, 0, 4, 0, 0, 4, 0, 4, 0, 4]
    full = found.count > 0
    assert found.accuracy[full].tolist() == found.confidence[full].tolist() == [0.25, 0.5, 0.75, 1]


def test_who_is_sure_and_always_wrong_has_an_error_of_one() -> None:
    assert calibration(np.ones(7), np.zeros(7, bool)).error == 1
    assert calibration(np.zeros(7), np.ones(7, bool)).error == 1
    assert calibration(np.ones(7), np.ones(7, bool)).error == 0


@given(some.lists(some.tuples(CONFIDENCES, some.booleans()), min_size=1, max_size=30))
def test_the_error_is_at_least_the_difference_of_the_means(answers: list[tuple[float, bool]]) -> None:
    """One bin has exactly this difference; within more bins less cancels out."""
    confidence, right = np.array([each for each, _ in answers]), np.array([each for _, each in answers])
    difference = abs(right.mean() - confidence.mean())
    assert calibration(confidence, right, bins=1).error == pytest.approx(difference)
    assert difference - 1e-12 <= calibration(confidence, right).error <= 1 + 1e-12
