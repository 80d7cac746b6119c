"""The duel's rule on simulated duels whose truth is known, with the luck of tuning in them. Nothing is trained."""

import numpy as np
import numpy.typing as npt
import pytest

from ssam.stats.paired import LEVEL, Paired, compare
from ssam.stats.verdict import Answer, answer

Results = npt.NDArray[np.float64]  # (duels, rounds), percent

DUELS, ROUNDS, TRIALS = 4000, 5, 6
QUALITY = 2.0  # standard deviation of the true accuracy of a setting that a search tries, points
VALIDATION = 2.0  # of what 400 validation images add to it
SEED = 0.7  # of what the seed of a training adds: to all methods of a round
OWN = 0.5  # and to each by itself
MARGIN = 1.0
ERROR = 3 * np.sqrt(LEVEL * (1 - LEVEL) / DUELS)  # three standard errors of a simulated share


def tuned(rng: np.random.Generator, gain: float, shape: tuple[int, ...]) -> Results:
    """The true accuracy of the settings that a search ends with: of TRIALS the one that does best on noisy validation data."""
    quality = 80 + gain + QUALITY * rng.standard_normal((*shape, TRIALS))
    seen = quality + VALIDATION * rng.standard_normal(quality.shape)
    return np.take_along_axis(quality, seen.argmax(-1)[..., None], -1)[..., 0]


def simulated(gains: list[float], rounds: int = ROUNDS, once: bool = False, seed: int = 0) -> list[Results]:
    """The test accuracies of a baseline and of rivals that gain so much, tuned from scratch in each round; ``once``: before all rounds."""
    rng = np.random.default_rng(seed)
    shared = SEED * rng.standard_normal((DUELS, rounds))
    shape = (DUELS, 1) if once else (DUELS, rounds)
    own = ((tuned(rng, gain, shape), OWN * rng.standard_normal((DUELS, rounds))) for gain in [0.0, *gains])
    return [settings + shared + luck for settings, luck in own]


def compared(results: list[Results]) -> list[list[Paired]]:
    """Of each duel its rivals against the baseline."""
    baseline, *rivals = ([dict(enumerate(row)) for row in each.tolist()] for each in results)
    return [
        [compare(own[duel], baseline[duel], comparisons=len(rivals)) for own in rivals] for duel in range(len(baseline))
    ]


def shares(results: list[Results]) -> dict[Answer, float]:
    """How often any rival is answered so."""
    rounds = results[0].shape[1]
    said = [{answer(found, MARGIN, rounds) for found in duel} for duel in compared(results)]
    return {each: sum(each in duel for duel in said) / len(said) for each in ("yes", "no", "can't tell")}


@pytest.mark.parametrize("rivals", [1, 3])
def test_copies_of_the_baseline_are_rarely_said_to_be_better(rivals: int) -> None:
    """The claim is 2.5%, one tail, for any number of rivals; 5% is what it must not pass."""
    assert shares(simulated([0.0] * rivals))["yes"] <= LEVEL / 2 + ERROR < LEVEL


def test_tuning_only_once_would_not_hold_the_level() -> None:
    """Then two copies differ by the luck of their searches, for all seeds alike, and more seeds only make that significant."""
    assert shares(simulated([0.0], once=True))["yes"] > 4 * LEVEL


def test_it_says_no_where_the_baseline_is_truly_better() -> None:
    found = shares(simulated([-5.0]))
    assert found["no"] > 0.9
    assert found["yes"] <= LEVEL / 2


def test_it_says_yes_where_the_gain_is_large() -> None:
    assert shares(simulated([8.0]))["yes"] > 0.9


@pytest.mark.parametrize("gain", [MARGIN, 3.0])
def test_a_gain_of_the_margin_or_more_is_rarely_denied(gain: float) -> None:
    assert shares(simulated([gain]))["no"] <= LEVEL / 2 + ERROR


@pytest.mark.parametrize("gain", [-20.0, 0.0, 20.0])
def test_two_rounds_cannot_tell(gain: float) -> None:
    assert shares(simulated([gain], rounds=2))["can't tell"] == 1.0


def test_more_rounds_tell_more() -> None:
    few, many = (shares(simulated([1.5], rounds=rounds))["yes"] for rounds in (5, 20))
    assert many > few + 0.1


def test_the_intervals_of_all_rivals_hold_together() -> None:
    gains = [0.0, 1.0, -2.0]
    together = [
        all(
            found.interval[0] <= gain <= found.interval[1]
            for found, gain in zip(duel, gains, strict=True)
            if found.interval
        )
        for duel in compared(simulated(gains))
    ]
    assert np.mean(together) >= 1 - LEVEL - ERROR


def test_the_interval_excludes_nothing_just_where_p_says_so() -> None:
    for duel in compared(simulated([1.5, 3.0], seed=1))[:500]:
        for found in duel:
            assert found.interval
            assert found.adjusted is not None
            assert (found.adjusted < LEVEL) == (found.interval[0] > 0 or found.interval[1] < 0)
            assert (answer(found, 0.01, ROUNDS) == "yes") == (found.interval[0] > 0)


def test_a_round_without_a_number_leaves_no_answer() -> None:
    found = compare({0: 90.0, 1: 91.0, 2: 92.5, 3: 91.5}, {0: 70.0, 1: 70.0, 2: 71.0, 3: 71.0, 4: 70.0})
    assert answer(found, MARGIN, 4) == "yes"
    assert answer(found, MARGIN, 5) == "can't tell"


def test_equal_results_are_no_gain() -> None:
    same = {seed: 80.0 + seed for seed in range(5)}
    assert answer(compare(same, same), MARGIN, 5) == "no"


def test_one_comparison_is_what_it_was() -> None:
    one, other = {0: 80.0, 1: 81.0, 2: 82.5}, {0: 70.0, 1: 70.0, 2: 71.0}
    alone, three = compare(one, other), compare(one, other, comparisons=3)
    assert alone.interval
    assert three.interval
    assert three.interval[0] < alone.interval[0] < alone.interval[1] < three.interval[1]
    assert three.p == alone.p == alone.adjusted
    assert three.adjusted == pytest.approx(3 * (alone.p or 0))
