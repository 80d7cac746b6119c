"""One race, one number: what page, table, report, figure, CSV, Compare and Frontier say of it is the same, and keeps its caveats."""

import base64
import dataclasses
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas
import pytest
from matplotlib.figure import Figure

from app.compare import groups as compare_groups
from app.compare import text as compare_text
from app.ui import live_payload, run_result, tradeoff_sources
from ssam.cli import race as command
from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.events import FEWEST_PAIRS, SETTLING_STEPS, LaneEnded, LaneResult, Result
from ssam.export import Source, figures, report, tensorboard, write
from ssam.stats import heights
from ssam.stats.proportion import wilson
from ssam.stats.typical import typical
from ssam.store import Run, Store
from ssam.store.outcome import company, outcomes
from tests.fake_race import EPOCH, evaluation, started, step

SPEC = parse_spec({"lanes": "sgd,sam:rho=0.2,sam:rho=9", "epochs": "60"})
STEPS, LOST_AT, TESTED = 600, 25, 160  # more steps than a window looks back on
SHARES = {"sgd": 110 / TESTED, "sam:rho=0.2": 128 / TESTED}


def result(spec: RaceSpec, told: list) -> Result:
    """As the engine makes it: medians over all steps but the settling ones."""
    lanes = []
    for name, lane in zip(spec.lane_names, spec.lanes, strict=True):
        own = [event for event in told if event.lane == name and event.step > SETTLING_STEPS]
        lost = name not in SHARES
        ms = typical([(event.step, sum(event.ms.values()) - 1.0) for event in own], 1)  # 1.0 ms of it is data
        ratios = [(event.step, event.ratio) for event in own]
        ratio = typical(ratios, 1) if len(ratios) >= FEWEST_PAIRS else None
        share = None if lost else SHARES[name]
        lanes.append(LaneResult(name, lane.method, 0.5, 0.1, share, None if lost else 0.6, ms, ratio, 3.25, lost))
    return Result("cpu", tuple(lanes), load=15.2, cores=2)


def raced(store: Store) -> Run:
    """A race whose machine grew slower and whose last lane diverged: what its last steps tell is not what all of them do."""
    run_id, told = store.runs.create(SPEC, "one", "me"), []
    with store.writer(run_id) as writer:
        writer.add(dataclasses.replace(started(SPEC, STEPS), test_size=TESTED))
        for number in range(1, STEPS + 1):
            for place, name in enumerate(SPEC.lane_names):
                lost = name not in SHARES
                if lost and number > LOST_AT:
                    continue
                slow = 1.0 + number / STEPS
                ratio = 1.0 if place == 0 else 2.0 + number / STEPS / 5
                ms = {"data": 1.0, "forward1": 2.0 * slow, "backward1": 3.0 * slow * ratio, "update": slow}
                loss = 1e30 if lost and number > 20 else 2.3 / number**0.1
                told.append(step(name, number, ms=ms, ratio=ratio, loss=loss))
                writer.add(told[-1])
                if number % EPOCH == 0:
                    seen = evaluation(name, number, final=number == STEPS)
                    share = 0.1 if lost else SHARES[name]
                    writer.add(dataclasses.replace(seen, test_accuracy=share, test_size=TESTED))
        for name in SPEC.lane_names:
            lost = name not in SHARES
            writer.add(LaneEnded(name, LOST_AT if lost else STEPS, "diverged" if lost else "finished"))
        writer.add(result(SPEC, told))
    assert store.queue.transition(run_id, ("queued",), "finished")
    run = store.runs.get(run_id)
    assert run
    return run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("home"))
    yield store
    store.close()


@pytest.fixture(scope="module")
def run(store: Store) -> Run:
    return raced(store)


@pytest.fixture(scope="module")
def source(store: Store, run: Run) -> Source:
    return Source(store, run)


@pytest.fixture(scope="module")
def truth(run: Run) -> list[dict]:
    """The lanes of the last line that ``ssam race --json`` prints."""
    assert run.result
    return run.result["lanes"]


def unpacked(text: str) -> list[float]:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").tolist()


class Table(HTMLParser):
    """The cells of a page's first table."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside, self.done = False, False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if self.done:
            return
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")
        self.done = self.done or tag == "table"

    def handle_data(self, data: str) -> None:
        if self.inside and not self.done:
            self.rows[-1][-1] += data


def of_report(source: Source) -> list[dict[str, str]]:
    page = Table()
    page.feed(report.html(source))
    head, *rows = page.rows
    return [dict(zip(head, row, strict=True)) for row in rows]


# Every number once


def test_the_page_shows_what_the_command_prints(store: Store, run: Run, truth: list[dict]) -> None:
    window = store.curves.window(run.id)
    assert window
    for lane, end in zip(live_payload.race(run, window, "")["lanes"], truth, strict=True):
        assert lane["stepMs"] == end["step_ms_median"]
        assert lane["ratio"] == end["step_ratio_to_sgd"]
        assert lane["seconds"] == end["seconds"]
        low, high = lane["ratioIqr"]
        assert low <= lane["ratio"] <= high  # of the same steps
        if not end["diverged"]:
            assert unpacked(lane["epochs"]["test_accuracy"])[-1] == pytest.approx(end["test_accuracy"])
            ends = [unpacked(lane["epochs"][name])[-1] for name in ("low", "high")]
            assert ends == pytest.approx(wilson(end["test_accuracy"], TESTED), abs=1e-6)


def test_the_table_below_the_race_says_the_same(run: Run, truth: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[dict]] = []
    monkeypatch.setattr(run_result.st, "dataframe", lambda rows, **_: shown.append(rows))
    monkeypatch.setattr(run_result.st, "caption", lambda text: shown.append([{"caption": text}]))
    run_result.result(run)
    for row, end in zip(shown[0], truth, strict=True):
        assert (row["ms/step"], row["× SGD"]) == (end["step_ms_median"], end["step_ratio_to_sgd"])
        expected = "diverged" if end["diverged"] else f"{100 * end['test_accuracy']:.1f}%"
        assert row["Test accuracy"].startswith(expected)
    assert f"{TESTED} test images" in shown[1][0]["caption"]


def test_report_and_figures_say_the_same(source: Source, truth: list[dict]) -> None:
    axes = Figure().add_subplot()
    figures.step_time(axes, source)
    drawn = [float(text.get_text().split("×")[0]) for text in axes.texts]
    for row, in_figure, end in zip(of_report(source), drawn, truth, strict=True):
        ratio, low, high = (float(part) for part in re.findall(r"[\d.]+", row["× SGD (quartiles)"]))
        assert ratio == in_figure == round(end["step_ratio_to_sgd"], 2)
        assert low <= ratio <= high
        assert float(row["ms/step"]) == round(end["step_ms_median"], 1)
        assert float(row["Seconds"]) == round(end["seconds"], 1)
        if end["diverged"]:
            assert row["Test accuracy %"] == "diverged"
        else:
            accuracy, low, high = (float(part) for part in re.findall(r"[\d.]+", row["Test accuracy %"]))
            assert accuracy == round(100 * end["test_accuracy"], 2)
            assert (low, high) == pytest.approx(
                [100 * share for share in wilson(end["test_accuracy"], TESTED)], abs=0.05
            )


def test_csv_says_the_same(source: Source, truth: list[dict], tmp_path: Path) -> None:
    write(source, ["csv"], tmp_path)
    seen = pandas.read_csv(tmp_path / "evaluations.csv")
    for end in truth:
        last = seen[seen["lane"] == end["name"]].iloc[-1]
        assert last["status"] == ("diverged" if end["diverged"] else "finished")
        if not end["diverged"]:
            assert last["test_accuracy"] == end["test_accuracy"]
            interval = (last["test_accuracy_low"], last["test_accuracy_high"])
            assert interval == pytest.approx(wilson(end["test_accuracy"], TESTED))
    steps = pandas.read_csv(tmp_path / "steps.csv")
    own = steps[(steps["lane"] == "sam:rho=0.2") & (steps["step"] > SETTLING_STEPS)]
    assert own["ratio"].median() == pytest.approx(truth[1]["step_ratio_to_sgd"])
    assert (own["ms_forward1"] + own["ms_backward1"] + own["ms_update"]).median() == pytest.approx(
        truth[1]["step_ms_median"]
    )


def test_compare_and_frontier_say_the_same(store: Store, run: Run, truth: list[dict]) -> None:
    groups = compare_groups.groups(store.curves.records([run.id]))
    by_lane = {str(group.lane): group for group in groups}
    rows = {row["lane"]: row for row in compare_text.table(groups, None)}
    points = {point.lane.rho: point for task in tradeoff_sources.with_own([], [run]) for point in task.points}
    for end, lane in zip(truth, SPEC.lanes, strict=True):
        group, point = by_lane[str(lane)], points[lane.rho]
        if end["diverged"]:
            assert (group.accuracies, point.diverged, rows[group.title]["diverged"]) == ({}, 1, 1)
        else:
            assert group.accuracies == {SPEC.seed: 100 * end["test_accuracy"]}
            assert group.told(lambda member: member.ratio) == [end["step_ratio_to_sgd"]] == [point.ratio]
            assert group.told(lambda member: member.seconds) == [end["seconds"]]
            assert rows[group.title]["test_accuracy_percent_mean"] == 100 * end["test_accuracy"] == point.mean
            assert rows[group.title]["step_ratio_to_sgd_mean"] == end["step_ratio_to_sgd"]


def test_the_plain_command_prints_the_same(truth: list[dict]) -> None:
    lanes = tuple(LaneResult(**lane) for lane in truth)
    for line, end in zip(command.result_table(Result("cpu", lanes)).splitlines()[1:], truth, strict=True):
        assert f"{end['step_ratio_to_sgd']:.2f}" in line
        assert ("diverged" if end["diverged"] else f"{100 * end['test_accuracy']:.2f}%") in line


def test_a_short_look_and_all_steps_do_not_agree_here(store: Store, run: Run, truth: list[dict]) -> None:
    """Else the tests above would pass whichever of the two is shown."""
    steps = store.curves.steps_table(run.id)
    assert steps is not None
    last = steps[steps["lane"] == "sam:rho=0.2"].tail(256)
    assert round(last["ratio"].median(), 2) != round(truth[1]["step_ratio_to_sgd"], 2)


# Caveats


def test_what_ran_beside_it_is_what_was_measured(run: Run) -> None:
    assert "15.2" in company(run)
    assert "busy" in company(run)
    assert "busy" not in company(dataclasses.replace(run, result={"lanes": [], "load": 1.8, "cores": 2}))
    alone = company(dataclasses.replace(run, result={"lanes": [], "load": None, "cores": None}))
    assert "load" not in alone  # of a race from before it was measured
    assert company(dataclasses.replace(run, shared=True)) != company(run)


def test_rows_of_two_races_can_be_told_apart(source: Source, store: Store) -> None:
    other = Source(store, raced_again(store))
    for name in ("evaluations", "steps"):
        joined = pandas.concat([getattr(source, name), getattr(other, name)])
        assert joined.groupby(["run", "dataset", "model", "seed"]).ngroups == 2
        assert not joined.duplicated(["run", "lane", "step"]).any()


def raced_again(store: Store) -> Run:
    run_id = store.runs.create(SPEC.model_copy(update={"seed": 1}), "again", "me")
    with store.writer(run_id) as writer:
        writer.add(started(SPEC, STEPS))
        writer.add(step("sgd", 1))
        writer.add(evaluation("sgd", 1, final=False))
    store.queue.transition(run_id, ("queued",), "stopped")
    run = store.runs.get(run_id)
    assert run
    return run


def test_a_lane_that_was_stopped_is_not_called_finished(store: Store) -> None:
    source = Source(store, raced_again(store))
    assert source.statuses["sgd"] == "stopped"
    assert outcomes(source.run) == ()


def test_a_lane_that_diverged_does_not_flatten_the_figures(source: Source) -> None:
    for draw, most in ((figures.loss, 3.0), (figures.accuracy, 100.0)):
        axes = Figure().add_subplot()
        draw(axes, source)
        low, high = axes.get_ylim()
        assert high <= most
        sound = [line for line in axes.get_lines() if "diverged" not in str(line.get_label())]
        assert len(sound) == 2
        heights_ = [value for line in sound for value in line.get_ydata()]
        assert low <= min(heights_)
        assert (max(heights_) - min(heights_)) > 0.1 * (high - low)


def test_nor_the_live_charts(store: Store, run: Run) -> None:
    window = store.curves.window(run.id)
    assert window
    tops = live_payload.race(run, window, "")["heights"]
    assert 2.3 < tops["loss"] < 5
    assert "grad_norm" not in tops  # nobody left the others there


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        ([([2.3, 1.0], False), ([2.3, 1e30], False)], None),  # nobody diverged: all is shown
        ([([2.3, 1e4, math.inf], True)], 2 * 2.3),
        ([([2.3, 2.0], True), ([2.2, None], True)], None),
        ([([], False), ([None], True)], None),
        ([([0.0, 0.0], False), ([1.0, 5.0], True)], None),
    ],
)
def test_where_a_chart_is_cut(curves: list, expected: float | None) -> None:
    assert heights.top(curves) == (None if expected is None else pytest.approx(expected * heights.ROOM))


def test_tensorboard_tells_which_lane_diverged(source: Source, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    write(source, ["tensorboard"], tmp_path)
    told = {}
    for folder in sorted((tmp_path / "tensorboard").iterdir()):
        (file,) = folder.iterdir()
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.tag == tensorboard.DIVERGED:
                    told[folder.name] = (event.step, value.tensor.float_val[0])
    assert list(told.values()) == [(STEPS, 0.0), (STEPS, 0.0), (LOST_AT, 1.0)]


@pytest.mark.filterwarnings("ignore")  # those of MLflow and what it brings
def test_mlflow_twice_updates_and_marks_what_diverged(
    store: Store, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    early = Source(store, dataclasses.replace(source.run, state="running", result=None))
    early.evaluations.drop(early.evaluations.index[early.evaluations["step"] > 300], inplace=True)
    seen, points = [], []
    for each in (early, source, source):  # while it runs, at its end, and by mistake once more
        write(each, ["mlflow"], tmp_path)
        experiment = client.get_experiment_by_name(source.title)
        seen.append({run.info.run_name: run for run in client.search_runs([experiment.experiment_id])})
        points.append(len(client.get_metric_history(seen[-1]["sgd"].info.run_id, "test_accuracy")))
    assert [sorted(runs) for runs in seen] == [sorted(SPEC.lane_names)] * 3
    assert len({run.info.run_id for runs in seen for run in runs.values()}) == 3
    assert points == [300 // EPOCH, STEPS // EPOCH, STEPS // EPOCH]
    ended = {name: (run.data.tags["status"], run.info.status) for name, run in seen[-1].items()}
    assert ended == {
        "sgd": ("finished", "FINISHED"),
        "sam:rho=0.2": ("finished", "FINISHED"),
        "sam:rho=9.0": ("diverged", "FAILED"),
    }
    assert seen[-1]["sgd"].data.metrics["test_accuracy"] == SHARES["sgd"]
