"""The frontier page: what becomes a point, what it is compared with, what is drawn and said, and the way to its race."""

import csv
import io
import json
import re
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from app.frontier import charts
from app.frontier import text as frontier_text
from app.shell.identity import COOKIE
from app.ui import evidence, legend, theme, tradeoff_sources
from app.ui.tradeoff import Point, Task, Trial, drawable, efficient
from ssam.experiment import LaneSpec, RaceSpec, parse_spec
from ssam.experiment.events import LaneResult, Result
from ssam.stats.paired import compare, sentence
from ssam.store import Store
from tests.browser import Watched, app_server
from tests.components import data_of, every
from tests.fake_race import started
from tests.golden import Golden
from tests.patience import SECONDS
from tests.people import ALICE, SESSION, owner

ROOT = Path(__file__).resolve().parents[1]
CLASSIC = parse_spec({"lanes": "sgd,sam,ssam-f,ssam-d", "rho": "0.1", "epochs": "3", "train_size": "1500"})
LESSON = {"rho": "0.2", "epochs": "15", "train_size": "4000", "label_noise": "0.4"}
LATE, EARLY = "sam:rho=0.5:norm=masked:region=late", "sam:rho=0.1:norm=masked:region=early"
FREE = "ssam-f:rho=1.4:direction=momentum"


def row(lane: str, seed: int, accuracy: float | None, ratio: float | None, **more: object) -> dict:
    facts = {
        "task": "noisy-labels",
        "phase": "final",
        "sparsity": 0.5,
        "plan": "a plan",
        "predicted": 1.0,
        "exact": True,
    }
    place = {"seed": seed, "lane": lane, "accuracy": accuracy, "step_ratio": ratio, "seconds_ratio": 1.1}
    return {**facts, **place, **more}


def rows() -> list[dict]:
    """SAM gains 10 points on the first seed, 14 and 12 on the others; the free direction 9, 16 and 11."""
    return [
        *(row("sgd", seed, accuracy, 1.0, sparsity=1.0) for seed, accuracy in ((10, 0.70), (11, 0.66), (12, 0.68))),
        *(row("sam", seed, 0.80, 2.0, sparsity=0.0, predicted=2.0) for seed in (10, 11, 12)),
        row(FREE, 10, 0.79, 1.02, exact=False),
        row(FREE, 11, 0.82, 1.04, exact=False),
        row(FREE, 12, 0.79, 1.03, exact=False),
        *(row(LATE, seed, accuracy, 1.15, sparsity=0.49) for seed, accuracy in ((10, 0.71), (11, 0.67), (12, 0.69))),
        *(row(EARLY, seed, 0.80, 1.97, sparsity=0.51) for seed in (10, 11, 12)),
        row("sgd", 0, 0.68, 1.0, phase="search", sparsity=1.0),
        row("sam:rho=0.1", 0, 0.78, 2.0, phase="search", sparsity=0.0),
        row(FREE, 0, 0.60, 1.3, phase="search"),
        row("ssam-d:rho=0.3", 0, 0.79, 2.02, phase="search"),
        row("ssam-d:rho=9", 0, 0.31, 2.02, phase="search"),
        row("sam:direction=momentum:rho=9", 0, None, None, phase="search", sparsity=0.0),
    ]


def write(file: Path, rows: list[dict]) -> Path:
    machine = {"cpu": "A made-up CPU", "cores": 2, "python": "3.11.7", "torch": "2.14.1"}
    tasks = {"noisy-labels": {"title": "Noisy labels", "spec": LESSON}}
    record = {"command": "python -m a.study", "date": "2026-01-02", "machine": machine, "tasks": tasks, "rows": rows}
    file.write_text(json.dumps(record), encoding="utf-8")
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "study.json", rows())


@pytest.fixture
def task(file: Path) -> Task:
    found = tradeoff_sources.study(file)
    assert found
    return found.tasks[0]


def point(task: Task, lane: str) -> Point:
    """The point whose setting starts like this; there must be one."""
    (found,) = (point for point in task.points if point.key.startswith(lane))
    return found


def made(lane: str, mean: float | None, ratio: float | None, **more: object) -> Point:
    values: dict = {"source": "final", "sparsity": 0.5, "plan": "", "predicted": 1.0, "exact": True, **more}
    trials = values.pop("trials", (Trial(0, mean, ratio, None),))
    return Point(lane=LaneSpec.parse(lane), trials=trials, **values)


# Points


def test_a_point_is_a_lane_with_all_its_seeds(task: Task) -> None:
    free = point(task, "ssam-f")
    assert [trial.seed for trial in free.trials] == [10, 11, 12]
    assert free.mean == pytest.approx(80.0)
    assert free.deviation == pytest.approx(3**0.5)
    assert free.ratio == pytest.approx(1.03)
    assert free.source == "final"
    assert [point.mean for point in task.points if point.mean is not None] == sorted(
        (point.mean for point in task.points if point.mean is not None), reverse=True
    )


def test_a_finalist_is_judged_by_the_seeds_it_was_not_chosen_by(task: Task) -> None:
    assert point(task, "ssam-f").mean > 78, "the 60% of the search must not count"
    assert point(task, "ssam-d:rho=0.3").source == "search"


def test_gains_are_paired_by_seed(tmp_path: Path) -> None:
    alone = [
        row(FREE, 11, 0.81, 1.0),
        *(found for found in rows() if found["phase"] == "final" and found["lane"] != FREE),
    ]
    study = tradeoff_sources.study(write(tmp_path / "study.json", alone))
    assert study
    free = point(study.tasks[0], "ssam-f")
    assert free.gain == pytest.approx(15.0), "over SGD's 66% of that seed, not over its mean of 68%"
    assert free.share == pytest.approx(15 / 14)


def test_no_share_is_told_of_a_gain_that_sam_does_not_have(tmp_path: Path) -> None:
    few = [row(lane, seed, accuracy, 1.0) for lane, accuracy in (("sgd", 0.7), ("sam", 0.8)) for seed in (0, 1)]
    lost = [row(lane, seed, accuracy, 1.0) for lane, accuracy in (("sgd", 0.86), ("sam", 0.85)) for seed in range(3)]
    unsure = [row("sgd", seed, 0.8, 1) for seed in range(3)]
    unsure += [row("sam", seed, accuracy, 2) for seed, accuracy in enumerate((0.84, 0.79, 0.83))]
    for number, found in enumerate((few, lost, unsure)):
        study = tradeoff_sources.study(write(tmp_path / f"{number}.json", found))
        assert study
        assert all(point.share is None for point in study.tasks[0].points)
        assert point(study.tasks[0], "sam").gain is not None


def test_a_share_of_searched_lanes_rests_on_the_gain_that_the_final_has_shown(task: Task) -> None:
    searched = point(task, "ssam-d:rho=0.3")
    assert len(searched.trials) == 1
    assert searched.share == pytest.approx(11 / 10)


def test_the_others_are_measured_against_sam_at_its_best_radius(tmp_path: Path) -> None:
    found = [row(f"sam:rho={rho}", 0, accuracy, 2.0) for rho, accuracy in ((0.1, 0.81), (0.2, 0.79), (0.3, 0.77))]
    study = tradeoff_sources.study(write(tmp_path / "study.json", [row("sgd", 0, 0.7, 1.0), *found]))
    assert study
    task = study.tasks[0]
    assert task.sam
    assert task.sam.lane.rho == 0.1
    assert all(trial.sam == pytest.approx(81.0) for point in task.points for trial in point.trials)


def test_what_is_not_known_is_neither_drawn_nor_lost(task: Task) -> None:
    failed = point(task, "sam:rho=9.0:direction=momentum")
    assert (failed.mean, failed.ratio, failed.diverged) == (None, None, 1)
    assert not drawable(failed)
    assert len(frontier_text.table(task)) == len(task.points)
    assert task.points[-1] is failed


def test_a_study_that_has_grown_is_read_again(file: Path) -> None:
    before = tradeoff_sources.study(file)
    write(file, [*rows(), row("ssam:rho=0.2", 10, 0.8, 2.0)])
    after = tradeoff_sources.study(file)
    assert before
    assert after
    assert after.trials == before.trials + 1
    assert len(after.tasks[0].points) == len(before.tasks[0].points) + 1


def test_a_lane_is_efficient_where_no_cheaper_one_beats_it() -> None:
    sgd, free, dear, sam = (made("sam", *place) for place in ((70, 1.0), (80, 1.1), (79, 1.5), (81, 2.0)))
    assert efficient([dear, sam, free, sgd]) == [sgd, free, sam]
    assert efficient([free, made("sam", 80.0, 1.2)]) == [free], "as good and dearer is not efficient"


def test_only_sound_lanes_make_the_frontier() -> None:
    sgd = made("sgd", 70, 1.0)
    lucky = made("sam", 99, 1.0, source="search")
    broken = made("sam", 0, 1.1, trials=(Trial(0, 95.0, 1.1, None), Trial(1, None, 1.1, None)))
    slow = made("sam", 0, 1.1, trials=(Trial(0, 95.0, 1.1, None, trusted=False),))
    assert efficient([sgd, lucky, broken, slow]) == [sgd]
    assert efficient([lucky]) == [lucky], "without finalists the searched ones do"


# The reader's own races


def race(store: Store, spec: RaceSpec, ratio: float = 2.0, shared: bool = False, state: str = "finished") -> str:
    """A race that has ended: 70% for SGD, 80% for the others."""
    run_id = store.runs.create(spec, f"request {len(store.runs.newest(limit=100))}", owner(ALICE))
    lanes = []
    for name, lane in zip(spec.lane_names, spec.lanes, strict=True):
        sgd = lane.method == "sgd"
        facts = (name, lane.method, spec.lane_sparsity(lane), spec.lane_rho(lane), 0.7 if sgd else 0.8, 0.6, 12.3)
        lanes.append(LaneResult(*facts, 1.0 if sgd else ratio, 2.0, False))
    with store.writer(run_id) as writer:
        writer.add(started(spec, 20))
        writer.add(Result("cpu", tuple(lanes)))
    assert store.queue.transition(run_id, ("queued",), state)
    if shared:
        store.queue.mark_shared([run_id])
    return run_id


def test_own_races_are_drawn_where_the_settings_are_equal(store: Store, task: Task) -> None:
    lesson = parse_spec({**LESSON, "lanes": "sgd,ssam-f"})
    race(store, lesson)
    race(store, lesson.model_copy(update={"seed": 1}))
    race(store, parse_spec({**LESSON, "rho": "0.3", "lanes": "sgd,ssam-f:rho=0.2:sparsity=0.5", "seed": "2"}))
    race(store, parse_spec({**LESSON, "epochs": "3"}))
    race(store, lesson.model_copy(update={"seed": 9}), state="stopped")
    known, other = tradeoff_sources.with_own([task], store.runs.newest())
    own = [point for point in known.points if point.source == "own"]
    assert sorted(point.lane.method for point in own) == ["sgd", "ssam-f"]
    for lane in own:
        assert [trial.seed for trial in lane.trials] == [0, 1, 2], (
            "a rho is the same whether its race or its lane says it"
        )
    assert other.spec.epochs == 3
    assert other.title.startswith("My races: CNN-8")
    assert "seed" not in other.title
    assert {point.source for point in other.points} == {"own"}


def test_a_race_without_sgd_has_no_cost_and_no_place(store: Store) -> None:
    spec = parse_spec({"lanes": "sam"})
    run_id = store.runs.create(spec, "request")
    with store.writer(run_id) as writer:
        writer.add(started(spec, 20))
        writer.add(Result("cpu", (LaneResult("sam", "sam", 0.0, 0.1, 0.8, 0.6, 12.3, None, 2.0, False),)))
    store.queue.transition(run_id, ("queued",), "finished")
    assert tradeoff_sources.with_own([], store.runs.newest()) == []


def test_times_of_a_shared_machine_do_not_count_where_there_are_others(store: Store) -> None:
    spec = parse_spec({**LESSON, "lanes": "sgd,sam"})
    race(store, spec, ratio=5.0, shared=True)
    (before,) = tradeoff_sources.with_own([], store.runs.newest())
    sam = point(before, "mine:cpu:sam")
    assert (sam.shared, sam.ratio) == (True, 5.0)
    assert charts.symbol_of("square", sam) == "square-open"
    assert "5.0" in frontier_text.hover(sam)
    race(store, spec.model_copy(update={"seed": 1}), ratio=2.0)
    race(store, spec, ratio=1.9)
    (after,) = tradeoff_sources.with_own([], store.runs.newest())
    sam = point(after, "mine:cpu:sam")
    assert (sam.shared, sam.ratio, len(sam.trials)) == (False, 1.95, 2)


# The figure


def test_each_method_keeps_its_colour_and_marker(task: Task) -> None:
    traces = [trace for trace in charts.figure(task, task.points, None)["data"] if "customdata" in trace]
    drawn = [key for trace in traces for key in trace["customdata"]]
    assert sorted(drawn) == sorted(point.key for point in task.points if drawable(point))
    methods = {point.key: point.lane.method for point in task.points}
    for trace in traces:
        (method,) = {methods[key] for key in trace["customdata"]}
        style = theme.METHOD_STYLES[method]
        assert trace["marker"]["color"] == style.color
        assert set(trace["marker"]["symbol"]) == {style.symbol}
    named = [name for _, _, name in legend.methods(set(methods.values()))]
    assert sorted(named) == sorted({trace["name"] for trace in traces}), "the legend names a method once"


def test_whiskers_are_drawn_for_two_seeds_or_more(task: Task) -> None:
    traces = [trace for trace in charts.figure(task, task.points, None)["data"] if "customdata" in trace]
    whiskers = {
        key: long for trace in traces for key, long in zip(trace["customdata"], trace["error_y"]["array"], strict=True)
    }
    assert whiskers[point(task, "ssam-f").key] == pytest.approx(3**0.5)
    assert whiskers[point(task, "ssam-d:rho=0.3").key] == 0


def test_sgd_and_sam_are_level_lines_and_failures_do_not_flatten_the_rest(task: Task) -> None:
    layout = charts.figure(task, task.points, None)["layout"]
    assert [shape["y0"] for shape in layout["shapes"] if shape.get("xref") == "paper"] == pytest.approx([68.0, 80.0])
    assert any("SGD<br>68.0%" in note["text"] for note in layout["annotations"])
    low, high = layout["yaxis"]["range"]
    assert 50 < low < 66
    assert 82 < high < 90
    assert charts.hidden(task, task.points) == 1
    close = [point for point in task.points if point.ratio is not None and point.ratio < 1.1]
    left, right = charts.figure(task, close, None)["layout"]["xaxis"]["range"]
    assert (left < 1, 1.05 < right < 1.2) == (True, True), "the chart comes closer where only cheap lanes are shown"


def test_the_tuned_sgd_of_the_lessons_is_a_line_on_its_task_and_on_no_other(task: Task) -> None:
    seeds = json.loads(evidence.FOLDER.joinpath("lessons.json").read_text())["races"]["tuned-sgd"]["seeds"].values()
    means = [
        statistics.fmean(
            100 * lane["test_accuracy"] for seed in seeds for lane in seed["lanes"] if lane["name"] == name
        )
        for name in ("sgd:epochs=6", "sgd:weight_decay=0.02")
    ]
    tuned = tradeoff_sources.tuned_sgd(task)
    assert tuned
    assert tuned.mean == pytest.approx(max(means))
    layout = charts.figure(task, task.points, None, tuned)["layout"]
    assert tuned.mean in [shape["y0"] for shape in layout["shapes"]]
    assert any(f"{tuned.mean:.1f}%" in note["text"] for note in layout["annotations"])
    assert f"{tuned.mean:.1f}%" in frontier_text.tuned(tuned)
    other = replace(task, spec=task.spec.model_copy(update={"train_size": 4001}))
    assert tradeoff_sources.tuned_sgd(other) is None


def test_a_figure_of_nothing_is_a_figure(task: Task) -> None:
    assert charts.figure(task, [], None)["layout"]
    assert charts.hidden(task, []) == 0


# Words


def test_a_lane_in_words(golden: Golden) -> None:
    told = {
        "sgd": 1.0,
        "ssam-f:rho=0.2:sparsity=0.8": 0.8,
        "ssam:rho=1.4:sparsity=0.5:region=early:direction=momentum:norm=masked": 0.51,
        "sam:rho=0.3:ascent_batch=16:ascent_interval=2": 0.0,
        "sam:rho=0.2:region=from-4:norm=masked": 0.3,
        "ssam-f:rho=0.2:sparsity=0.5:granularity=n-of-4": 0.5,
    }
    words = {lane: frontier_text.words(LaneSpec.parse(lane), sparsity) for lane, sparsity in told.items()}
    golden("frontier", "lanes in words", *(f"{lane}: {text}" for lane, text in words.items()))
    assert words["ssam-f:rho=0.2:sparsity=0.8"].count("20%") == 1, "perturbed is what is not sparse"


def test_the_late_half_is_told_with_its_numbers(task: Task, golden: Golden) -> None:
    text = frontier_text.late_half(task)
    golden("frontier", "late half", text)
    assert [number for number in ("1.15", "+1.0", "0.5", "+12.0", "1.97") if number not in text] == []
    early, late = point(task, EARLY), point(task, LATE)
    compared = compare(early.by_seed, late.by_seed)
    assert compared.verdict == "better"
    assert sentence("The early half", "the late half", compared) in text


def test_the_late_half_is_no_counter_example_where_it_helps(tmp_path: Path, golden: Golden) -> None:
    def told(name: str, found: list[dict]) -> str:
        study = tradeoff_sources.study(write(tmp_path / name, found))
        assert study
        return frontier_text.late_half(study.tasks[0])

    good = [found | {"accuracy": 0.8} if found["lane"] == LATE else found for found in rows()]
    golden("frontier", "late half that helps", told("good.json", good))
    assert told("none.json", [found for found in rows() if found["lane"] != LATE]) == ""
    clean = [found | {"accuracy": 0.85} for found in rows()]
    assert told("clean.json", clean) == "", "nothing to compare with where SAM gains nothing"


def test_what_was_tried_is_told_with_its_failures(file: Path, golden: Golden) -> None:
    study = tradeoff_sources.study(file)
    assert study
    text = frontier_text.tried(study, study.tasks[0])
    golden("frontier", "what was tried", text)
    assert f"{len(rows())} trainings (1 " in text


def test_the_chart_is_told_to_those_who_do_not_see_it(task: Task, golden: Golden) -> None:
    costs = [cost for cost, _, _ in frontier_text.on_the_line(task.points)]
    assert costs == ["1.00", "1.03"], "SGD and the free direction: SAM is as good and dearer"
    golden("frontier", "chart in words", frontier_text.summary(task, task.points))


def test_the_csv_has_every_point(task: Task) -> None:
    lines = list(csv.DictReader(io.StringIO(frontier_text.as_csv(task))))
    assert len(lines) == len(task.points)
    assert LaneSpec.parse(lines[0]["Setting"]) == task.points[0].lane
    assert float(lines[0]["Accuracy"]) == pytest.approx(task.points[0].mean)


# The page


def page(file: Path | None, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(tradeoff_sources, "STUDY", file or Path("nowhere.json"))
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = ALICE
    app.run()
    app.switch_page("../pages/frontier.py").run()
    assert not app.exception
    return app


def chart(app: AppTest) -> list[str]:
    """The keys of the points that are drawn."""
    figure = data_of(app, "plot")["figure"]
    return [key for trace in figure["data"] for key in trace.get("customdata", ())]


def link(app: AppTest) -> dict[str, str]:
    (element,) = app.get("page_link")
    return dict(parse_qsl(element.proto.query_string))


def test_without_a_study_and_races_the_page_says_how_to_get_there(
    store: Store, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    app = page(None, monkeypatch)
    golden("frontier", "without races", app.markdown[0].value)
    assert len(app.get("page_link")) == 1
    assert not every(app, "plot")


def test_a_chosen_point_leads_to_its_race(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(file, monkeypatch)
    free = next(key for key in chart(app) if key.startswith("ssam-f"))
    app.selectbox(key="point").set_value(free).run()
    assert not app.exception
    assert re.fullmatch(r"SSAM-F .*50%.*1\.4 .*", app.subheader[0].value)
    expected = parse_spec({**LESSON, "lanes": f"sgd,sam,{FREE}", "seed": "10"})
    assert parse_spec(link(app)) == expected
    figure = data_of(app, "plot")["figure"]
    assert any(trace.get("marker", {}).get("symbol") == "circle-open" for trace in figure["data"]), "a ring around it"
    address = link(app)
    app.switch_page("../pages/race.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    app.button(key="start_race").click().run()
    assert [run.spec for run in store.runs.newest()] == [expected]


@pytest.mark.parametrize("lane", ["sgd", "sam"])
def test_the_race_of_sgd_or_sam_has_each_lane_once(task: Task, lane: str) -> None:
    found = task.sgd if lane == "sgd" else task.sam
    assert found
    assert [str(lane) for lane in task.race(found).lanes] == ["sgd", "sam"]


def test_the_filters_leave_what_they_say(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(file, monkeypatch)
    every = chart(app)
    app.segmented_control(key="show").set_value("finalists").run()
    assert sorted(set(every) - set(chart(app))) == [
        "sam:rho=0.1",
        "ssam-d:rho=0.3:sparsity=0.5",
        "ssam-d:rho=9.0:sparsity=0.5",
    ]
    app.toggle(key="sparse").set_value(True).run()
    assert sorted(key.split(":")[0] for key in chart(app)) == ["sam", "sgd", "ssam-f"], "SGD to compare with"
    app.toggle(key="close").set_value(True).run()
    assert sorted(key.split(":")[0] for key in chart(app)) == ["sgd", "ssam-f"]


def test_own_races_have_tasks_of_their_own_and_are_opened_again(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = race(store, CLASSIC)
    app = page(file, monkeypatch)
    mine = next(option for option in app.selectbox(key="task").options if option.startswith("My races"))
    app.selectbox(key="point").set_value(next(key for key in chart(app) if key.startswith("ssam-f"))).run()
    app.selectbox(key="task").select(mine).run()
    assert not app.exception
    assert not app.subheader, "the point of another task is not shown"
    assert len(chart(app)) == 4
    app.selectbox(key="point").set_value("mine:cpu:ssam-d:rho=0.1:sparsity=0.5").run()
    assert link(app) == {"run": run_id}


def test_coming_back_from_the_frontier_finds_the_race_as_it_was(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tradeoff_sources, "STUDY", file)
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS).run()
    app.number_input(key="epochs").set_value(7).run()
    app.button(key="start_race").click().run()
    (run,) = store.runs.newest()
    app.query_params.clear()  # as a click on the name of a page does
    app.switch_page("../pages/frontier.py").run()
    app.run()
    app.switch_page("../pages/race.py").run()
    assert not app.exception
    assert app.number_input(key="epochs").value == 7
    assert app.query_params["run"] == run.id


def test_the_pages_modules_never_import_torch() -> None:
    check = "import app.frontier.point_card, app.frontier.charts, app.ui.tradeoff_sources, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_the_chart_waits_until_pandas_is_whole() -> None:
    """Plotly looks into a pandas that another thread is still importing; who imports it waits for that thread."""
    check = "import app.frontier.charts, sys; sys.exit(not hasattr(sys.modules.get('pandas'), 'Series'))"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


@pytest.mark.browser
@pytest.mark.slow
def test_a_click_on_a_point_shows_it_and_opens_its_race(tmp_path: Path, browser: Browser) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    run_id = race(store, CLASSIC)
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            page = watched.page
            page.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
            page.goto(address)
            page.get_by_role("button", name="Look inside").click()
            page.get_by_role("menuitem", name="Frontier").click()
            choice = page.locator(".st-key-task input")
            choice.click()
            page.get_by_role("option", name="My races").first.click()
            plot = page.locator(".st-key-frontier_chart .js-plotly-plot")
            expect(plot.locator(".scatterlayer path.point")).to_have_count(4)
            x, y = plot.evaluate(
                """(plot) => {
                    const trace = plot.data.find((trace) => trace.name === "SGD");
                    const { left, top } = plot.getBoundingClientRect(), { xaxis, yaxis } = plot._fullLayout;
                    return [left + xaxis._offset + xaxis.d2p(trace.x[0]), top + yaxis._offset + yaxis.d2p(trace.y[0])];
                }"""
            )
            page.mouse.move(x, y)
            expect(plot.locator(".hoverlayer")).to_contain_text("70.0%")
            page.mouse.click(x, y)
            card = page.locator(".st-key-frontier_card")
            expect(card.get_by_role("heading")).to_have_text("SGD")
            page.set_viewport_size({"width": 390, "height": 844})
            expect(card).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            card.get_by_role("link", name="Open this race").click()
            expect(page.locator("[data-testid=live-race]")).to_have_attribute("data-state", "finished")
            assert f"run={run_id}" in page.url
            page.context.close()
            assert watched.hosts == {address.removeprefix("http://")}, "the page must not ask another host"
            assert watched.problems == []
    finally:
        store.close()
