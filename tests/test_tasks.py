"""The search over many small tasks: resumed where it stopped, judged by what was tuned, the losses first."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import marked, registered, tasks
from ssam.catalogue import CLEAN, DISTURBANCES

SMALL = {"model": "mlp", "train_size": "80", "validation": "0.2", "batch_size": "16", "epochs": "1"}


def test_weights_are_rounded_to_so_many_bits() -> None:
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[7.0, -3.4, 0.4]]))
        model.bias.fill_(0.123)
    tasks.round_weights(model, 4)
    assert model.weight.tolist() == [[7.0, -3.0, 0.0]]
    assert model.bias.item() == pytest.approx(0.123)
    assert len(torch.unique(model.weight)) <= 2**4


@pytest.mark.slow
@pytest.mark.training
def test_a_search_is_resumed_and_its_best_trial_is_judged_on_fresh_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    contenders = {
        tasks.BASELINE: {"lane": "sgd", "space": [{"lr": ["0.01", "0.1"]}]},
        "SAM": {"lane": "sam", "space": [{"lr": ["0.1"], "rho": ["0.05", "0.2"]}]},
    }
    judged = (CLEAN, "noise", tasks.ROUNDED)
    monkeypatch.setattr(tasks, "COMMON", SMALL)
    monkeypatch.setattr(tasks, "CONTENDERS", contenders)
    monkeypatch.setattr(tasks, "SETTINGS", {"small": ({}, judged)})
    monkeypatch.setattr(tasks, "TRIALS", 2)
    monkeypatch.setattr(tasks, "SEEDS", (1, 2, 3))
    monkeypatch.setattr(tasks, "TEST_IMAGES", 64)
    record: dict[str, Any] = {"settings": {"small": {}}}
    steps = iter(tasks.run("small", record["settings"]["small"]))
    next(steps)
    assert tasks.differences(record) == []
    record = json.loads(json.dumps(record))
    for _ in tasks.run("small", record["settings"]["small"]):
        pass
    for name, contender in record["settings"]["small"].items():
        plan = {"name": "small", "contenders": contenders, "trials": 2}
        assert [trial["settings"] for trial in contender["trials"]] == registered.draws(plan, name)
        winners = {tasks.chosen(contender, task) for task in judged}
        assert contender["judged"].keys() == {str(number) for number in winners}
        for seeds in contender["judged"].values():
            assert list(seeds) == ["1", "2", "3"]
            assert all(found.keys() == set(judged) for found in seeds.values())
    rows = tasks.differences(record)
    assert {row["task"] for row in rows} == set(judged)
    means = [row["against"]["SAM"].mean for row in rows]
    assert means == sorted(means)
    assert tasks.table(record).count("\n") == 3 + len(judged)


def test_what_was_measured_is_what_was_drawn_and_what_is_told() -> None:
    record = json.loads(tasks.FILE.read_text(encoding="utf-8"))
    for setting, contenders in record["settings"].items():
        for name, contender in contenders.items():
            plan = {"name": setting, "contenders": tasks.CONTENDERS, "trials": tasks.TRIALS}
            drawn = registered.draws(plan, name)
            assert [trial["settings"] for trial in contender["trials"]] == drawn[: len(contender["trials"])]
            for seeds in contender["judged"].values():
                assert set(seeds) <= {str(seed) for seed in tasks.SEEDS}
    assert marked.read(marked.DOCS / "measured.md", "tasks") == tasks.table(record)


def test_every_setting_is_tuned_on_held_out_images() -> None:
    tuning = {tasks.TUNING_SEED + number for number in range(tasks.TRIALS)}
    assert not tuning & set(tasks.SEEDS)
    for setting, (changes, judged) in tasks.SETTINGS.items():
        plan = {"name": setting, "task": tasks.COMMON | changes, "contenders": tasks.CONTENDERS, "trials": tasks.TRIALS}
        assert set(judged) <= {CLEAN, *DISTURBANCES, tasks.ROUNDED}
        for name in tasks.CONTENDERS:
            for settings in registered.draws(plan, name):
                assert registered.spec_of(plan, name, settings, 1).validation > 0
