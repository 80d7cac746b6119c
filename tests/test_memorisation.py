"""What lanes do with wrong labels, held against loops over single images."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from ssam.stats import memorisation as memory

CLASSES = 3


class Race(NamedTuple):
    trains: list[np.ndarray]  # of each lane (T, n), T its own
    given: np.ndarray
    true: np.ndarray


@some.composite
def races(draw: some.DrawFn) -> Race:
    n = draw(some.integers(0, 6))
    rows = some.lists(some.integers(-1, CLASSES - 1), min_size=n, max_size=n)
    lanes = draw(some.lists(some.lists(rows, max_size=6), min_size=1, max_size=4))
    labels = some.lists(some.integers(0, CLASSES - 1), min_size=n, max_size=n)
    trains = [np.array(lane, np.int16).reshape(len(lane), n) for lane in lanes]
    return Race(trains, np.array(draw(labels), np.int16), np.array(draw(labels), np.int16))


def column(*answers: int) -> np.ndarray:
    """One image's answers, as (T, 1)."""
    return np.array(answers, np.int16)[:, np.newaxis]


def share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


# At each evaluation


@given(races())
def test_every_seen_image_is_counted_once(race: Race) -> None:
    train = race.trains[0]
    found = memory.memorisation(train, race.given, race.true)
    for t, row in enumerate(train):
        right = clean = memorised = resisted = other = 0
        for answer, label, truth in zip(row, race.given, race.true, strict=True):
            if answer == -1:
                continue
            if label == truth:
                clean += 1
                right += answer == label
            elif answer == label:
                memorised += 1
            elif answer == truth:
                resisted += 1
            else:
                other += 1
        wrong = memorised + resisted + other
        assert found.clean[t] == pytest.approx(share(right, clean), nan_ok=True)
        assert found.memorised[t] == pytest.approx(share(memorised, wrong), nan_ok=True)
        assert found.resisted[t] == pytest.approx(share(resisted, wrong), nan_ok=True)
        assert found.other[t] == pytest.approx(share(other, wrong), nan_ok=True)
    assert {len(found.clean), len(found.memorised), len(found.resisted), len(found.other)} == {len(train)}


def test_a_lane_that_answers_what_it_was_given_has_memorised_all() -> None:
    true = np.array([0, 0, 1, 2], np.int16)
    labels = np.array([0, 1, 2, 2], np.int16)
    third = np.array([1, 2, 0, 0], np.int16)
    found = memory.memorisation(np.stack([labels, true, third]), labels, true)
    assert found.clean.tolist() == [1, 1, 0]
    assert found.memorised.tolist() == [1, 0, 0]
    assert found.resisted.tolist() == [0, 1, 0]
    assert found.other.tolist() == [0, 0, 1]


def test_without_wrong_labels_there_is_only_an_accuracy() -> None:
    labels = np.array([0, 1], np.int16)
    found = memory.memorisation(np.array([[-1, -1], [0, -1], [1, 1]], np.int16), labels, labels)
    np.testing.assert_array_equal(found.clean, [np.nan, 1, 0.5])
    for shares in (found.memorised, found.resisted, found.other):
        assert np.isnan(shares).tolist() == [True] * 3


# Over the evaluations


@given(races())
def test_an_image_is_learned_from_where_no_other_answer_follows(race: Race) -> None:
    train = race.trains[0]
    expected = []
    for image, label in enumerate(race.given):
        since = len(train)
        while since and train[since - 1, image] == label:
            since -= 1
        expected.append(since)
    assert memory.learned_since(train, race.given).tolist() == expected


@pytest.mark.parametrize(
    ("answers", "since"),
    [((1, 1, 1), 0), ((-1, 1, 1), 1), ((1, 0, 1), 2), ((1, 1, 0), 3), ((-1, -1, -1), 3), ((), 0)],
)
def test_learned_is_what_stays_learned(answers: tuple[int, ...], since: int) -> None:
    assert memory.learned_since(column(*answers), np.array([1])).tolist() == [since]


@given(races())
def test_forgetting_is_counted_answer_by_answer(race: Race) -> None:
    train = race.trains[0]
    expected = []
    for image, label in enumerate(race.given):
        answers = [answer for answer in train[:, image] if answer != -1]
        expected.append(sum(before == label != after for before, after in itertools.pairwise(answers)))
    assert memory.forgotten(train, race.given).tolist() == expected


@pytest.mark.parametrize(
    ("answers", "times"),
    [
        ((1, 0, 1), 1),
        ((1, 0, 1, 0), 2),
        ((1, 0, 2), 1),
        ((0, 1, 1), 0),
        ((0, 2, 0), 0),
        ((-1, 1, 1), 0),
        ((1, -1, 1), 0),
        ((1, -1, 0), 1),
        ((1, -1), 0),
        ((), 0),
    ],
)
def test_forgotten_is_what_was_right_before(answers: tuple[int, ...], times: int) -> None:
    assert memory.forgotten(column(*answers), np.array([1])).tolist() == [times]


# Over the lanes


@given(races())
def test_lanes_are_compared_pair_by_pair(race: Race) -> None:
    latest = [train[-1] for train in race.trains if len(train)] or [race.given]
    found = memory.disagreement(latest)
    assert found.shape == race.given.shape
    for image, value in enumerate(found):
        answers = [answer for lane in latest if (answer := lane[image]) != -1]
        differ = [one != other for one, other in itertools.combinations(answers, 2)]
        assert value == pytest.approx(sum(differ) / len(differ) if differ else 0)


def test_a_lane_alone_disagrees_with_nobody() -> None:
    assert memory.disagreement([np.array([0, 1, -1])]).tolist() == [0, 0, 0]
    assert memory.disagreement([np.array([0, 1, -1]), np.array([0, 2, 1])]).tolist() == [0, 1, 0]
    assert memory.disagreement([np.array([lane]) for lane in range(4)]).tolist() == [1]


@given(races())
def test_suspicion_counts_the_answers_of_all_lanes(race: Race) -> None:
    found = memory.suspicion(race.trains, race.given)
    assert found.shape == race.given.shape
    for image, label in enumerate(race.given):
        answers = [answer for train in race.trains for answer in train[:, image] if answer != -1]
        against = sum(answer != label for answer in answers)
        assert found[image] == pytest.approx(share(against, len(answers)), nan_ok=True)


def test_a_label_that_nobody_answers_is_the_most_suspicious() -> None:
    trains = [np.array([[0, 1, -1], [0, 1, -1]]), np.array([[0, 0, -1], [2, 1, -1]])]
    np.testing.assert_array_equal(memory.suspicion(trains, np.array([1, 1, 1])), [1, 0.25, np.nan])
    assert np.isnan(memory.suspicion([], np.array([1, 1]))).all()


# Found by suspicion


SCORES = some.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan])  # few, so that many are equal


@given(some.lists(some.tuples(SCORES, some.booleans()), max_size=12))
def test_the_most_suspicious_are_looked_at_first(images: list[tuple[float, bool]]) -> None:
    scores, wrong = [score for score, _ in images], [bad for _, bad in images]
    left, hits = list(range(len(images))), 0
    for _ in range(sum(wrong)):
        best = left[0]
        for image in left:
            if scores[image] > scores[best] or (math.isnan(scores[best]) and not math.isnan(scores[image])):
                best = image
        left.remove(best)
        hits += wrong[best]
    found = memory.precision(np.array(scores, float), np.array(wrong, bool))
    if not any(wrong):
        assert found is None
        return
    assert found is not None
    assert found.count == sum(wrong)
    assert found.precision == pytest.approx(hits / sum(wrong))
    assert found.chance == pytest.approx(sum(wrong) / len(wrong))


def test_a_suspicion_that_knows_finds_every_wrong_label() -> None:
    wrong = np.array([False, True, False, True, False])
    assert memory.precision(wrong.astype(float), wrong) == memory.Ranking(2, 1.0, 0.4)
    assert memory.precision(1.0 - wrong, wrong) == memory.Ranking(2, 0.0, 0.4)
    assert memory.precision(np.where(wrong, np.nan, 0.0), wrong) == memory.Ranking(2, 0.0, 0.4)


def test_of_many_equally_suspicious_images_the_first_come_first() -> None:
    """So many that NumPy's usual sort would change their order."""
    scores, wrong = np.tile([0.0, 1.0], 500), np.arange(1000) < 250
    assert memory.precision(scores, wrong) == memory.Ranking(250, 0.5, 0.25)


def test_a_suspicion_that_knows_nothing_finds_as_many_as_chance() -> None:
    """The mean over all orders of the images is exactly the chance."""
    wrong = np.array([True, True, False, False, False])
    found = [memory.precision(np.array(order, float), wrong) for order in itertools.permutations(range(5))]
    assert np.mean([each.precision for each in found if each]) == pytest.approx(0.4)
