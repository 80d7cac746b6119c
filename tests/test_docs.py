"""What the documentation shows works as shown."""

import doctest
import importlib
import json
import re
import statistics
from pathlib import Path

import pytest

from benchmarks import registered
from benchmarks import statistics as statistics_command
from ssam.stats.paired import compare, family, sentence

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("ssam", "app")
README, MEASURED, COMMANDS = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/measured.md", "docs/command-line.md")
)


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


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_links_and_files_that_a_page_names_are_there(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, section = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        heads = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE) if section else []
        assert not section or section in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}, (
            link
        )
    for path in re.findall(r"`(assets/[A-Za-z][^`]*)`", text):
        assert (ROOT / path).exists() or "NN-<name>" in path or "lessons/80-my-lesson.md" in path, path


def test_the_readmes_lanes_are_lanes():
    from ssam.experiment import parse_spec

    commands = re.findall(r"-m ssam race (.*)", README + COMMANDS)
    assert len(commands) >= 6
    for command in commands:
        for lanes in re.findall(r"--lanes (\S+)", command):
            parse_spec({"lanes": lanes, "epochs": (re.findall(r"--epochs (\d+)", command) or [15])[0]})


@pytest.mark.parametrize(("title", "race"), [("Noisy labels", "noisy-labels"), ("Clean labels", "clean-labels")])
def test_the_teachers_guide_expects_what_was_measured(title, race):
    seeds = record("lessons.json")["races"][race]["seeds"].values()
    found = {
        lanes[0]["name"]: [100 * lane["test_accuracy"] for lane in lanes]
        for lanes in zip(*(seed["lanes"] for seed in seeds), strict=True)
    }
    guide = (ROOT / "docs/teaching.md").read_text(encoding="utf-8")
    (said,) = re.findall(rf"- \*\*{title}\*\*: (.*?)\n- ", guide, re.DOTALL)
    said = " ".join(said.split())
    for accuracies in found.values():
        assert f" {statistics.fmean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f}%" in f" {said}"
    least = min(sam - sgd for sam, sgd in zip(found["sam"], found["sgd"], strict=True))
    assert f"{least:.2f} points".replace("-", "−") in said
    sam = dict(enumerate(found["sam"]))
    rivals = {"SGD": "sgd", "SGD with weight decay 0.02": "sgd:weight_decay=0.02"}
    compared = family([compare(sam, dict(enumerate(found[name]))) for name in rivals.values()])
    for rival, result in zip(rivals, compared, strict=True):
        assert sentence("SAM", rival, result) in said


def test_what_is_said_of_a_tuned_sgd_was_measured():
    seeds = record("lessons.json")["races"]["tuned-sgd"]["seeds"].values()
    lanes = {
        lanes[0]["name"]: [100 * lane["test_accuracy"] for lane in lanes]
        for lanes in zip(*(seed["lanes"] for seed in seeds), strict=True)
    }
    means = {name: f"{statistics.fmean(found):.2f} ± {statistics.stdev(found):.2f}%" for name, found in lanes.items()}
    log, guide = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("log.md", "teaching.md"))
    assert [name for name, mean in means.items() if mean not in log] == []
    assert [name for name, mean in means.items() if name != "ssam-f" and mean not in guide] == []
    sam = dict(enumerate(lanes["sam"]))
    for rival in ("sgd:epochs=6", "sgd:weight_decay=0.02"):
        found = compare(sam, dict(enumerate(lanes[rival])))
        said = [f"{number:.2f}".replace("-", "−") for number in (found.mean, *found.interval)]
        for page in (README, log):
            assert [number for number in said if number not in page] == []


def test_what_is_said_of_the_duel_was_measured():
    result = record("duel.json")["result"]
    sgd, sam = (
        {int(seed): 100 * value for seed, value in each["test_accuracy"].items()} for each in result["contenders"]
    )
    found = compare(sam, sgd)
    log = (ROOT / "docs/log.md").read_text(encoding="utf-8")
    for number in (found.mean, *found.interval):
        assert f"{number:.2f}".replace("-", "−") in README
        assert f"{number:.2f}".replace("-", "−") in log
    for accuracies in (sgd, sam):
        own = list(accuracies.values())
        assert f"{statistics.fmean(own):.2f} ± {statistics.stdev(own):.2f}%" in log
    for each in result["contenders"]:
        assert f"{statistics.median(each['gradients'].values()):.0f}" in README
        assert f"{each['search_gradients']:,}" in log
    assert result["contenders"][1]["answer"] == "no"


def test_what_is_said_of_disturbed_images_was_measured():
    result = record("registered-disturbed-images.json")
    plan = json.loads((ROOT / "assets/registered/disturbed-images.json").read_text(encoding="utf-8"))
    pages = ("measured.md", "log.md", "teaching.md")
    measured, log, guide = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in pages)
    assert registered.table(plan, result) in measured
    assert registered.every_table(plan, result) in measured
    judged = {
        (name, which): {int(seed): 100 * each["accuracy"][which] for seed, each in seeds.items()}
        for name, seeds in result["judged"].items()
        for which in ("clean", "disturbed")
    }
    holds = True
    for (name, which), own in judged.items():
        assert f"{statistics.fmean(own.values()):.2f}%" in log
        if name != plan["baseline"]:
            found = compare(own, judged[plan["baseline"], which])
            holds &= found.mean >= (5 if which == "disturbed" else 0) and (which == "clean" or found.interval[0] > 0)
            assert f"{abs(found.mean):.2f}" in README
            assert f"{abs(found.mean):.2f}" in guide
            for number in (found.mean, *found.interval):
                assert f"{number:+.2f}".replace("-", "−") in log
    assert not holds
    assert "**The claim fails**" in log


def test_the_rates_of_false_alarms_are_those_that_were_simulated():
    record = json.loads(statistics_command.FILE.read_text(encoding="utf-8"))
    measured = (ROOT / "docs/measured.md").read_text(encoding="utf-8")
    assert statistics_command.table(record) in measured
    assert f"{100 * record['peeking']['rate']:.1f}%" in measured
    assert all(f"{100 * row['rate']:.1f}" in measured for row in record["equal_means_other_shapes"])


def record(name):
    return json.loads((ROOT / "assets/measured" / name).read_text(encoding="utf-8"))


def cells(text, head):
    """The rows below the table head that begins with ``head``, without what makes letters bold."""
    lines = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace("*", "") for cell in line.strip("|").split("|")] for line in lines]


def test_the_readmes_table_is_the_one_that_its_command_prints():
    from benchmarks import lessons

    printed = lessons.table(record("lessons.json"))
    assert len(printed.splitlines()) > 10
    assert printed in README


def test_what_the_readme_says_around_its_table_is_in_the_files():
    from ssam.stats import proportion

    lessons = record("lessons.json")["races"]
    ends = [
        lane["epochs"][-1] for race in lessons.values() for seed in race["seeds"].values() for lane in seed["lanes"]
    ]
    assert {end["test_size"] for end in ends} == {10_000}
    assert f"{proportion.margin(0.8032, 10_000)})" in README
    assert f"{record('page.json')['race_s']['one race']:.0f} s on" in README
    sparse = [
        float(row[-1])
        for row in cells(README, "| race | lane |")
        if row[1].startswith("SSAM") and "Clean" not in row[0]
    ]
    assert f"({min(sparse):.2f}–{max(sparse):.2f} SGD steps)" in README


def test_what_the_readme_says_of_the_demo_is_in_its_seeds():
    from ssam.stats.paired import compare

    seeds = record("lessons.json")["races"]["demo"]["seeds"]
    found = {
        name: {
            int(seed): 100 * lane["test_accuracy"]
            for seed, run in seeds.items()
            for lane in run["lanes"]
            if lane["name"] == name
        }
        for name in ("sgd:weight_decay=0.02", "sam", "ssam-f")
    }
    for name in ("sam", "ssam-f"):
        paired = compare(found[name], found["sgd:weight_decay=0.02"])
        assert f"{paired.mean:.2f}" in README
        assert f"({paired.interval[0]:.2f} to {paired.interval[1]:.2f})" in README


def test_a_lane_and_its_seeds_have_one_accuracy_in_all_files():
    """Races of the same settings on the same seeds: whatever file is read, the number is the same."""
    lessons, flatness = record("lessons.json")["races"], record("flatness.json")["seeds"]
    seen = {}
    for name, race in lessons.items():
        noise = race["settings"].get("label_noise", "0")
        for seed, run in race["seeds"].items():
            for lane in run["lanes"]:
                # Another date may be another machine, which rounds otherwise.
                key = (
                    race["date"],
                    race["settings"].get("model"),
                    lane["method"],
                    lane["rho"],
                    round(lane["sparsity"], 2),
                    noise,
                    seed,
                    *(word in lane["name"] for word in ("region", "epochs", "weight_decay")),
                )
                assert seen.setdefault(key, lane["test_accuracy"]) == lane["test_accuracy"], (name, lane["name"])
    for seed, lanes in flatness.items():
        known = {lane["name"]: lane["test_accuracy"] for lane in lessons["noisy-labels"]["seeds"][seed]["lanes"]}
        assert {name: values["test_accuracy"] for name, values in lanes.items()} == known


def test_the_studys_table_is_what_the_study_found():
    from app.ui import tradeoff_sources
    from benchmarks.study import precise

    task = next(task for task in tradeoff_sources.study().tasks if task.key == "noisy-labels")
    found = {
        (
            precise(point),
            f"{100 * point.share:.0f}%" if point.share is not None else "–",
            f"{point.ratio:.2f}",
            f"{point.seconds_ratio:.2f}",
        )
        for point in task.points
        if point.mean is not None
    }
    rows = cells(MEASURED, "| lane | not perturbed |")
    assert len(rows) >= 8
    for lane, _, accuracy, share, *ratios in rows:
        assert (accuracy, "–" if lane == "SGD" else share, *ratios) in found | {
            (one, "–", *rest) for one, _, *rest in found if lane == "SGD"
        }, lane


FLATNESS = {
    "test accuracy, %": ("test_accuracy", 100),
    "ascent gap": ("ascent_gap", 1),
    "worst case, ten steps": ("worst_case", 1),
    "m-sharpness, m = 16": ("m_sharpness", 1),
    "random directions, × 10⁻⁵": ("random_directions", 1e5),
    "adaptive": ("adaptive", 1),
    "λ₁": ("λ1", 1),
    "trace": ("trace", 1),
    "λ₁/λ₅": ("λ1/λ5", 1),
    "training loss": ("train_loss", 1),
}


def test_the_table_of_flatness_is_what_was_measured():
    seeds = record("flatness.json")["seeds"]
    rows = cells(MEASURED, "| | SGD | SGD, weight decay 0.02 | SAM | SSAM-F | SSAM-D |")
    assert {row[0] for row in rows} == set(FLATNESS)
    for name, *told in rows:
        key, scale = FLATNESS[name]
        for lane, said in zip(("sgd", "sgd:weight_decay=0.02", "sam", "ssam-f", "ssam-d"), told, strict=True):
            values = [scale * lanes[lane][key] for lanes in seeds.values()]
            for text, value in zip(
                said.replace(",", "").split(" ± "), (statistics.fmean(values), statistics.stdev(values)), strict=True
            ):
                assert f"{value:.{len(text.partition('.')[2])}f}" == text, (name, lane)


def test_what_is_said_of_flatness_and_accuracy_was_measured():
    seeds = list(record("flatness.json")["seeds"].values())
    log = (ROOT / "docs/log.md").read_text(encoding="utf-8")
    ratios = {
        other: [lanes["sgd:weight_decay=0.02"]["λ1"] / lanes[other]["λ1"] for lanes in seeds]
        for other in ("sam", "sgd")
    }
    assert f"{min(ratios['sam']):.0f} to {max(ratios['sam']):.0f} times" in README
    for told, digits in (("sam", 0), ("sgd", 1)):
        assert f"{min(ratios[told]):.{digits}f} to {max(ratios[told]):.{digits}f} times" in log
    for name in ("ascent_gap", "worst_case", "m_sharpness", "random_directions", "λ1"):
        assert all(lanes["sgd:weight_decay=0.02"][name] > lanes["sgd"][name] for lanes in seeds)


def test_what_the_readme_says_of_clean_labels_is_in_the_study():
    from app.ui import tradeoff_sources

    task = next(task for task in tradeoff_sources.study().tasks if task.key == "clean-labels")
    means = {str(point.lane): point.mean for point in task.points}
    said = re.search(
        r"it was (\S+) points above an untuned SGD \(ρ 0.1\), and SSAM-F (\S+) \(ρ 0.15", " ".join(README.split())
    )
    assert said
    for lane, told in zip(("sam:rho=0.1", "ssam-f:rho=0.15:sparsity=0.5"), said.groups(), strict=True):
        assert f"{means[lane] - means['sgd']:.2f}" == told
