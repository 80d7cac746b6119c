"""The one rule of statistics: against SciPy, at its edges, and the rate of its false alarms under simulated null data."""

import itertools
import json
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from benchmarks import statistics as measure
from ssam.stats import pareto
from ssam.stats.paired import FEWEST, LEVEL, compare, family, points, sentence
from tests.hostile import quick

VALUES = some.floats(50, 100).map(lambda value: round(value, 2))
LEADS = some.lists(some.tuples(VALUES, VALUES), min_size=FEWEST, max_size=12)


def seeds(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


# The rule


@pytest.mark.parametrize("n", [3, 4, 10, 31, 200])
def test_interval_and_p_are_those_of_students_t(n: int) -> None:
    chance = random.Random(n)
    one, other = ([chance.gauss(70, 2) for _ in range(n)] for _ in range(2))
    found, exact = compare(seeds(one), seeds(other)), stats.ttest_rel(one, other)
    assert found.mean == pytest.approx(np.mean(np.subtract(one, other)))
    assert found.interval == pytest.approx(tuple(exact.confidence_interval(0.95)))
    assert found.p == found.adjusted == pytest.approx(exact.pvalue)


def test_pairs_are_the_seeds_of_both() -> None:
    one, other = {1: 80.0, 2: 90.0, 3: 70.0, 9: 10.0}, {3: 69.0, 2: 87.0, 1: 78.0, 8: 99.0}
    found = compare(one, other)
    assert (found.pairs, found.mean) == (3, 2.0)
    assert compare({1: 1.0}, {2: 1.0}).mean is None


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([], "too few pairs"),
        ([5.0, 5.1], "too few pairs"),
        ([1.0, -1.0, 0.5], "no significant difference"),
        ([0.0, 0.0, 0.0], "no significant difference"),
        ([5.0, 5.1, 4.9], "better"),
        ([-5.0, -5.1, -4.9], "worse"),
        ([0.2, 0.1, 0.3, 0.1, 0.2, 9.0], "no significant difference"),
    ],
)
def test_no_more_is_said_than_the_seeds_tell(differences: list[float], verdict: str) -> None:
    assert compare(seeds(differences), seeds([0.0] * len(differences))).verdict == verdict


@given(LEADS)
@quick
def test_the_verdict_is_that_of_the_interval(pairs: list[tuple[float, float]]) -> None:
    one, other = (seeds([pair[side] for pair in pairs]) for side in (0, 1))
    found, turned = compare(one, other), compare(other, one)
    assert found.interval is not None
    assert (found.verdict != "no significant difference") == (found.interval[0] > 0 or found.interval[1] < 0)
    opposite = {"better": "worse", "worse": "better"}
    assert turned.verdict == opposite.get(found.verdict, found.verdict)
    assert turned.p == pytest.approx(found.p)


def test_equal_differences_are_no_certainty() -> None:
    """One image of 10,000 more on each of three seeds: rounding alone does that."""
    found = compare(seeds([80.01, 80.01, 80.01]), seeds([80.0, 80.0, 80.0]))
    assert found.verdict == "no significant difference"
    assert found.interval is not None
    assert found.interval[0] < 0 < found.interval[1]
    small = 100 / 160
    assert compare(seeds([80 + small] * 3), seeds([80.0] * 3)).verdict == "no significant difference"
    apart = compare(seeds([81.0, 80.5, 80.75]), seeds([71.0, 70.5, 70.75]))
    assert apart.verdict == "better", "ten points are more than rounding does"
    assert compare(seeds([80.0] * 3), seeds([80.0] * 3)).p == 1.0


@given(some.lists(VALUES, min_size=FEWEST, max_size=8))
@quick
def test_a_method_does_not_differ_from_itself(values: list[float]) -> None:
    assert compare(seeds(values), seeds(values)).verdict == "no significant difference"


# Comparisons that are shown together


def test_a_family_is_adjusted_by_holms_method() -> None:
    """Against the method as it is written: the smallest p first, each times how many are left, until one is not below the level."""
    chance = random.Random(3)
    for _ in range(50):
        base = seeds([chance.gauss(70, 1) for _ in range(5)])
        found = [
            compare({seed: value + shift + chance.gauss(0, 1) for seed, value in base.items()}, base)
            for shift in chance.sample((0.0, 0.5, 1.0, 1.5, 2.0, 4.0), 4)
        ]
        rejected = set()
        for left, place in zip(range(4, 0, -1), sorted(range(4), key=lambda at: found[at].p), strict=True):
            if left * found[place].p >= LEVEL:
                break
            rejected.add(place)
        together = family(found)
        assert {at for at, one in enumerate(together) if one.verdict in ("better", "worse")} == rejected
        assert all(one.p <= one.adjusted <= 1 for one in together)
        assert {one.comparisons for one in together} == {4}


def test_what_cannot_be_compared_is_no_comparison() -> None:
    few, enough = compare(seeds([1.0, 2.0]), seeds([0.0, 0.0])), compare(seeds([5.0, 5.1, 4.9]), seeds([0.0] * 3))
    together = family([few, enough, few])
    assert [one.verdict for one in together] == ["too few pairs", "better", "too few pairs"]
    assert together[1].comparisons == 1
    assert family([]) == []


# How often it is wrong


def written() -> dict:
    return json.loads(measure.FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", list(measure.distributions()))
def test_methods_that_do_not_differ_are_told_apart_as_rarely_as_was_simulated(name: str) -> None:
    """A smaller run, with other numbers, against what the command wrote down; no rate may be above the level by more than its
    simulation error and the few tenths of a percent that light tails cost Student's t."""
    runs = 1000
    for row in written()["null"]:
        if row["distribution"] == name:
            assert row["rate"] <= LEVEL + 3 * row["error"], row
            again = measure.false_alarms(measure.distributions()[name], row["seeds"], runs, seed=1)
            assert again["rate"] == pytest.approx(row["rate"], abs=4 * math.sqrt(LEVEL * (1 - LEVEL) / runs))


def test_a_family_has_the_level_of_one_comparison() -> None:
    for row in written()["families"]:
        assert row["together"]["rate"] <= LEVEL + 3 * row["together"]["error"]
        assert row["alone"]["rate"] > LEVEL + 3 * row["alone"]["error"], "which is why it is adjusted"
    (few,) = (row for row in measure.families(500) if row["seeds"] == 5)
    assert few["together"]["rate"] <= few["alone"]["rate"]


def test_more_seeds_find_smaller_differences() -> None:
    found = {(row["effect"], row["seeds"]): row["rate"] for row in written()["power"]}
    for effect in measure.EFFECTS:
        rates = [found[effect, n] for n in measure.COUNTS]
        assert rates == sorted(rates)
    assert written()["peeking"]["rate"] > 2 * LEVEL


# The sentence


@given(LEADS, some.integers(1, 4))
@quick
def test_the_sentence_holds_the_numbers_of_the_verdict(pairs: list[tuple[float, float]], together: int) -> None:
    one, other = (seeds([pair[side] for pair in pairs]) for side in (0, 1))
    found = family([compare(one, other)] * together)[0]
    said = sentence("SAM", "SGD", found)
    assert found.interval is not None
    ends = sorted(found.interval, key=abs) if found.verdict == "worse" else found.interval
    sign = -1 if found.verdict == "worse" else 1
    for number in (found.mean, *ends):
        assert points(sign * (number or 0.0)) in said
    assert f"{len(pairs)} seeds" in said
    assert (f"{together} comparisons" in said) == (together > 1)
    assert ("better" in said, "worse" in said) == (found.verdict == "better", found.verdict == "worse")


# The Pareto front


@given(some.lists(some.tuples(some.integers(0, 6), some.integers(0, 6)), max_size=12))
@quick
def test_a_front_is_what_nothing_beats_in_both(items: list[tuple[int, int]]) -> None:
    """(cost, value) pairs against all pairs of them."""
    found = pareto.front(items, lambda item: item[0], lambda item: item[1])
    assert found == sorted(set(found)), "the cheapest first, none twice"
    for cost, value in items:
        beaten = any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in items)
        assert ((cost, value) in found) == (not beaten)


# One rule on every page


def test_every_page_gives_the_same_verdict_on_the_same_seeds() -> None:
    """The two cases in which Student's t and the sign test, each on its page, contradicted each other."""
    from app.compare import text
    from app.ui import tradeoff
    from app.wall import payload
    from ssam.store import sweep_scores

    rooms = (text.sentence, payload.sentence, sweep_scores.compare, tradeoff.compare)
    assert {room.__module__ for room in rooms} == {"ssam.stats.paired"}
    clear = compare(seeds([80, 81, 79.5, 80.5, 81.2]), seeds([69, 68, 70, 69.5, 66]))
    assert clear.verdict == "better"
    assert clear.interval == pytest.approx((9.2, 14.68), abs=0.01)
    unsure = compare(seeds([0.2, 0.1, 0.3, 0.1, 0.2, 9]), seeds([0.0] * 6))
    assert unsure.verdict == "no significant difference"


def test_a_sign_test_could_not_tell_five_seeds_apart() -> None:
    """Why the rule is none: of 2⁵ throws of a coin two are one-sided, more than 5%."""
    one_sided = [throw for throw in itertools.product((0, 1), repeat=5) if len(set(throw)) == 1]
    assert len(one_sided) / 2**5 > LEVEL > math.ldexp(len(one_sided), -6)
