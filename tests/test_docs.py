"""What the documentation shows works as shown."""

import doctest
import importlib
import json
import re
import statistics
from pathlib import Path

import pytest

from ssam.stats.paired import compare, family, sentence
from tests.measure import statistics as statistics_command

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("ssam", "app")


def modules():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", list(modules()))
def test_examples_in_docstrings(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_the_packages_example_in_the_readme():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(code, names)
    assert names["loss"].item() > 0
    assert any(bool(mask.any()) for mask in names["optimizer"].masks.values())


def test_pictures_and_files_that_the_readme_names_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"\]\((assets/[^)]+)\)", text) + re.findall(r"`(assets/[A-Za-z][^`]*)`", text):
        assert (ROOT / path).exists(), path


def test_the_readmes_lanes_are_lanes():
    from ssam.spec import parse_spec

    commands = re.findall(r"-m ssam race (.*)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(commands) >= 3
    for command in commands:
        for lanes in re.findall(r"--lanes (\S+)", command):
            parse_spec({"lanes": lanes})


@pytest.mark.parametrize(("title", "race"), [("Noisy labels", "noisy-labels"), ("Clean labels", "clean-labels")])
def test_the_teachers_guide_expects_what_was_measured(title, race):
    seeds = json.loads((ROOT / "assets/measured/lessons.json").read_text(encoding="utf-8"))["races"][race][
        "seeds"
    ].values()
    found = {
        lanes[0]["method"]: [100 * lane["test_accuracy"] for lane in lanes]
        for lanes in zip(*(seed["lanes"] for seed in seeds), strict=True)
    }
    guide = (ROOT / "docs/teaching.md").read_text(encoding="utf-8")
    (said,) = re.findall(rf"- \*\*{title}\*\*: (.*?)\n- ", guide, re.DOTALL)
    for method, accuracies in found.items():
        assert f"{method.upper()} {statistics.fmean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f} %" in said
    least = min(sam - sgd for sam, sgd in zip(found["sam"], found["sgd"], strict=True))
    assert f"smallest lead over SGD was\n  {least:.2f} points".replace("-", "−") in said
    sgd = dict(enumerate(found["sgd"]))
    compared = family([compare(dict(enumerate(found[method])), sgd) for method in ("sam", "ssam-f", "ssam-d")])
    assert sentence("SAM", "SGD", compared[0]) in " ".join(said.split())


def test_the_rates_of_false_alarms_are_those_that_were_simulated():
    record = json.loads(statistics_command.FILE.read_text(encoding="utf-8"))
    measured = (ROOT / "docs/measured.md").read_text(encoding="utf-8")
    assert statistics_command.table(record) in measured
    assert f"{100 * record['peeking']['rate']:.1f} %" in measured
    assert all(f"{100 * row['rate']:.1f}" in measured for row in record["equal_means_other_shapes"])
