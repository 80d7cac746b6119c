"""Registered experiments: what was written down before the data is what was done."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import registered
from ssam.catalogue import DISTURBANCES
from ssam.experiment import parse_spec

PLANS = sorted(registered.FOLDER.glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def record_of(plan: dict[str, Any]) -> dict[str, Any]:
    path = registered.MEASURED / f"registered-{plan['name']}.json"
    return read(path) if path.exists() else {"trials": {}, "judged": {}}


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_data_are_those_of_the_plan_and_younger(path: Path) -> None:
    plan = read(path)
    record = record_of(plan)
    assert path.stem == plan["name"]
    assert "first" not in record or plan["date"] <= record["first"] <= record["date"]
    for name, trials in record["trials"].items():
        assert [trial["settings"] for trial in trials] == registered.draws(plan, name)[: len(trials)]
    for judged in record["judged"].values():
        assert set(judged) <= {str(seed) for seed in plan["seeds"]}
    if record["judged"]:
        assert {len(trials) for trials in record["trials"].values()} == {plan["trials"]}


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_contender_has_as_many_trials_and_its_fresh_seeds_are_fresh(path: Path) -> None:
    plan = read(path)
    tuning = {plan["tuning_seed"] + number for number in range(plan["trials"])}
    assert not tuning & set(plan["seeds"])
    assert len(plan["seeds"]) >= 10
    for name in plan["contenders"]:
        drawn = registered.draws(plan, name)
        assert len(drawn) == plan["trials"] == len({tuple(sorted(each.items())) for each in drawn})
        for settings in drawn:
            assert registered.spec_of(plan, name, settings, 1).validation > 0


def test_a_small_plan_is_run_to_its_end_and_taken_up_again() -> None:
    plan = {
        "name": "small",
        "baseline": "SGD",
        "task": {"model": "mlp", "train_size": "80", "validation": "0.2", "batch_size": "16", "epochs": "1"},
        "contenders": {
            "SGD": {"lane": "sgd", "space": [{"lr": ["0.01", "0.1"], "label_smoothing": ["0.1"]}]},
            "SAM": {"lane": "sam", "space": [{"lr": ["0.1"], "rho": ["0.05", "0.2"]}]},
        },
        "disturbance": "noise",
        "level": 0.25,
        "test_images": 32,
        "trials": 2,
        "tuning_seed": 100,
        "seeds": [1, 2, 3],
    }
    record: dict[str, Any] = {"trials": {}, "judged": {}}
    steps = registered.run(plan, record)
    for _ in range(3):
        next(steps)
    steps.close()
    half = json.loads(json.dumps(record))
    assert [len(trials) for trials in half["trials"].values()] == [2, 1]
    rest = sum(1 for _ in registered.run(plan, half))
    assert rest == 1 + 2 * 3
    for name, judged in half["judged"].items():
        chosen = registered.best(half, name)
        assert chosen["score"] == max(trial["score"] for trial in half["trials"][name])
        assert sorted(judged) == ["1", "2", "3"]
        for found in judged.values():
            assert found["every"]["clean 0"] == pytest.approx(found["accuracy"]["clean"], abs=0.5)
            assert found["every"]["noise 0.25"] == found["accuracy"]["disturbed"]
    assert registered.spec_of(plan, "SGD", {"lr": "0.1", "label_smoothing": "0.1"}, 3) == parse_spec(
        {**plan["task"], "lanes": "sgd:label_smoothing=0.1", "lr": "0.1", "seed": "3"}
    )
    assert registered.table(plan, half).count("\n") == 1 + len(plan["contenders"])
    assert registered.every_table(plan, half).count("\n") == 1 + len(DISTURBANCES)
