"""The specification of a sweep: what is read, what is refused, and that a race of it is what it says."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.sweep import MAX_RACES, SweepSpec, Vary, parse_sweep, read

BASE = RaceSpec()
ONE = parse_spec({"lanes": "ssam-f:sparsity=0.8"})

numbers = st.floats(0.001, 9.0).map(lambda number: float(f"{number:.4g}"))


@given(st.lists(numbers, min_size=1, max_size=6, unique=True))
def test_values_are_read_back_as_they_were_written(values: list[float]) -> None:
    vary = Vary(field="rho", values=tuple(values))
    assert Vary.parse(str(vary)) == vary
    assert vary.grid == tuple(values)


@given(numbers, numbers, st.booleans(), st.integers(2, 30))
def test_ranges_are_read_back_and_their_grid_lies_in_them(one: float, other: float, log: bool, points: int) -> None:
    low, high = sorted((one, other))
    if low == high:
        high += 0.5
    vary = Vary(field="lane1.rho", low=low, high=high, log=log, points=points)
    again = Vary.parse(str(vary))
    assert (again.log, again.points) == (log, points)
    assert (again.low, again.high) == pytest.approx((low, high), rel=1e-5)
    assert list(vary.grid) == sorted(vary.grid)
    assert vary.grid[0] == pytest.approx(low, rel=1e-3)
    assert vary.grid[-1] == pytest.approx(high, rel=1e-3)


@given(st.text(string.printable, max_size=40))
@settings(max_examples=300, deadline=None)
def test_garbage_is_one_line(text: str) -> None:
    try:
        parse_sweep({"base": ONE, "vary": [text]})
    except ValueError as error:
        assert str(error)
        assert "\n" not in str(error)


@given(
    st.dictionaries(
        st.sampled_from([*SweepSpec.model_fields, "x"]),
        st.one_of(st.none(), st.integers(), st.text(max_size=9), st.lists(st.text(max_size=9), max_size=3)),
    )
)
@settings(deadline=None)
def test_loose_values_give_a_sweep_or_one_line(values: dict[str, object]) -> None:
    try:
        sweep = parse_sweep({"base": ONE, "vary": ["lane1.rho=0.1,0.2"], **values})
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert SweepSpec.model_validate_json(sweep.model_dump_json(exclude_defaults=True)) == sweep


@given(rho=numbers, sparsity=st.floats(0, 1), epochs=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_race_of_a_sweep_is_the_base_but_for_what_varies(rho: float, sparsity: float, epochs: int, seed: int) -> None:
    vary = ["lane1.rho=0..10", "lane1.sparsity=0..1", "epochs=1..9"]
    sweep = parse_sweep({"base": ONE, "vary": vary, "method": "tpe", "races": 5})
    values = {"lane1.rho": rho, "lane1.sparsity": sparsity, "epochs": epochs}
    race = sweep.race(values, seed)
    assert {field: read(race, field) for field in values} == values
    lane = ONE.lanes[0].model_copy(update={"rho": rho, "sparsity": sparsity})
    assert race == ONE.model_copy(update={"lanes": (lane,), "epochs": epochs, "seed": seed})


def test_a_grid_is_every_combination_once() -> None:
    sweep = parse_sweep({"base": ONE, "vary": ["rho=0.1,0.2", "lr=0.1,0.2,0.3", "norm=full,masked"], "seeds": 2})
    assert len(sweep.points) == 12
    assert len({tuple(point.values()) for point in sweep.points}) == 12
    assert sweep.most_races == 24
    assert sweep.standard == {"rho": 0.1, "lr": 0.1, "norm": "full"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"vary": []}, "vary"),
        ({"vary": ["seed=1,2"]}, "'seed' cannot be varied; allowed: dataset, model, sparsity"),
        ({"vary": ["lane1.colour=1"]}, "'lane1.colour' is no setting of a lane; allowed: method, rho"),
        ({"vary": ["lane5.rho=1"]}, "lane5.rho is not there: the race has 4 lanes"),
        ({"vary": ["rho=0.1..x"], "lane": 2}, "must be FIELD=VALUE,VALUE… or FIELD=LOW..HIGH"),
        ({"vary": ["rho=2..1"], "lane": 2}, "rho 2..1 must go from a smaller number to a larger one"),
        ({"vary": ["rho=0..1:log"], "lane": 2}, "rho 0..1:log must begin above 0"),
        ({"vary": ["rho=0.1..11"], "lane": 2}, "rho '11.0' must be a number from 0 to 10"),
        ({"vary": ["augment=none..flip"]}, "must be FIELD=VALUE"),
        ({"vary": ["norm=0..1"]}, "norm is no number, so it must have values, not a range"),
        ({"vary": ["lr=0.1,0.1"]}, "lr must not have the same value twice"),
        ({"vary": ["lr=0.1,0.2", "lr=0.3"]}, "lr must not vary twice"),
        ({"vary": ["rho=0.1,0.2"], "lane": 1}, "rho means nothing to lane 1, method 'sgd'"),
        ({"vary": ["sparsity=0.1,0.2"], "lane": 2}, "sparsity means nothing to lane 2, method 'sam'"),
        ({"vary": ["lr=0.1"], "lane": 5}, "lane 5 is not there: the race has 4 of them"),
        ({"vary": ["lr=0.1"], "lane": 9}, "lane '9' must be a whole number from 1 to 8"),
        ({"vary": ["lr=0.01..1"], "method": "tpe"}, "method 'tpe' ends at a budget: give races, minutes or gradients"),
        ({"vary": ["lr=0.01..1:400", "epochs=1,2,3"]}, f"a grid of 1,200 races is too much; at most {MAX_RACES:,}"),
        ({"vary": ["lr=0.1"], "pruning": "median", "cost": "seconds"}, "pruning 'median' goes by accuracy alone"),
        ({"vary": ["lr=0.1"], "pruning": "hyperband", "seeds": 2}, "judges single races, so seeds 2 must be 1"),
        ({"vary": ["epochs=1,2"], "pruning": "median"}, "compares races of one length, so epochs cannot vary"),
        ({"vary": ["lr=0.1"], "races": 2, "seeds": 3}, "races 2 must be at least seeds 3"),
        ({"vary": ["lr=0.1"], "budget": 1}, "'budget' is not a setting; allowed: base, vary, method"),
    ],
)
def test_what_makes_no_sweep_is_said_in_one_line(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        parse_sweep({"base": BASE, **values})
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_lane_with_a_rho_of_its_own_is_pointed_at() -> None:
    base = parse_spec({"lanes": "sgd,sam:rho=0.3"})
    with pytest.raises(ValueError, match=r"^lane 2 has a rho of its own: vary lane2\.rho instead of rho$"):
        parse_sweep({"base": base, "vary": ["rho=0.1,0.2"], "lane": 2})
    sweep = parse_sweep({"base": base, "vary": ["lane2.rho=0.1,0.2"], "lane": 2})
    assert sweep.standard == {"lane2.rho": 0.3}
