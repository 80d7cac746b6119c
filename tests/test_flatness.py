"""The flatness page: what is measured and linked, what is drawn and said of it, and whether flatter is better."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from app.flatness import charts as flatness_charts
from app.flatness import correlation, disturbed, maps, query, subjects, view
from app.flatness import measured as recorded_points
from app.flatness import text as flatness_text
from app.flatness.correlation import Correlation, comparable, correlate, spearman
from app.shell.identity import COOKIE
from app.ui import alt_text, estimators, theme
from ssam.catalogue import DISTURBANCES, WEIGHT_DISTURBANCES
from ssam.experiment import parse_spec
from ssam.experiment.analysis import AnalysisSpec, parse_analysis
from ssam.store import Run, Store
from tests import fake_flatness
from tests.browser import Watched, app_server
from tests.components import every
from tests.golden import Golden, assert_one_line_error
from tests.patience import SECONDS
from tests.people import ALICE, BOB, SESSION, address_of, open_page, owner

ROOT = Path(__file__).resolve().parents[1]
SPEC = parse_spec({"lanes": "sgd,sam,ssam-f,ssam-d"})
MEASURED = ("surface", "profile", "curvature", "spectrum", "sharpness", "robustness", "disturbed_weights")


def race(store: Store, seed: int = 0, token: str = ALICE, **more: float | str) -> Run:
    return fake_flatness.race(store, SPEC.model_copy(update={"seed": seed}), owner(token), **more)


def measure(store: Store, run: Run, analysis: AnalysisSpec, **more: float | str | None) -> Run:
    made = store.runs.get(fake_flatness.measure(store, run, analysis, owner(ALICE), **more))
    assert made
    return made


# Rank correlation


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 400], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),  # 1 − 6 Σd² / n(n² − 1) = 1 − 24 / 120
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9486832980505138),  # ties have their mean rank: 4.5 / √(4.5 · 5)
    ],
)
def test_spearmans_correlation_has_its_known_values(x: list[float], y: list[float], expected: float) -> None:
    assert spearman(np.array(x), np.array(y)) == pytest.approx(expected)


def test_a_constant_has_no_correlation() -> None:
    assert np.isnan(correlate([1, 1, 1, 1], [1, 2, 3, 4]).value)
    assert np.isnan(correlate([1], [2]).value)


def test_spearman_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    draws = np.random.default_rng(0)
    for n in (5, 12, 40):
        x, y = draws.integers(0, 8, n).astype(float), draws.normal(size=n)
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_the_interval_is_a_resampling_of_pairs() -> None:
    """Against the slow way: draw pairs, rank them, correlate."""
    draws = np.random.default_rng(3)
    x = draws.normal(size=15)
    y = x + draws.normal(size=15)
    found = correlate(x, y)
    slow = []
    for _ in range(1500):
        picked = draws.integers(0, 15, 15)
        slow.append(spearman(x[picked], y[picked]))
    assert (found.low, found.high) == pytest.approx(np.percentile(slow, (2.5, 97.5)), abs=0.06)
    assert found.low < found.value < found.high
    assert found == correlate(x, y), "the same figures at every look"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Correlation(-1.0, -1.0, -0.9, 7), "Not enough data: 7 lanes, at least 8 are needed."),
        (Correlation(-0.5, -0.9, 0.1, 20), "Inconclusive: the interval contains 0."),
        (Correlation(-0.5, -0.9, -0.1, 20), "Flatter lanes were more accurate."),
        (Correlation(0.5, 0.1, 0.9, 20), "Flatter lanes were less accurate."),
        (Correlation(float("nan"), float("nan"), float("nan"), 20), "No correlation: all lanes have the same value."),
    ],
)
def test_a_verdict_is_given_only_where_there_is_one(found: Correlation, said: str) -> None:
    assert flatness_text.verdict(found) == said


def test_only_ends_of_finished_races_measured_alike_are_compared(store: Store) -> None:
    first, second, stopped = race(store), race(store, 1), race(store, 2, state="stopped")
    usual = query.default("sharpness")
    for run in (first, second, stopped):
        measure(store, run, usual)
    measure(store, first, usual.model_copy(update={"rho": 0.5}))
    measure(store, first, usual.model_copy(update={"epochs": (0, 1)}))
    measure(store, first, usual.model_copy(update={"seed": 1}), state="failed")
    points = correlation.points((run, store.analyses.of_race(run.id)) for run in store.runs.newest())
    gaps = comparable(points, "ascent_gap")
    assert sorted((point.run, point.lane) for point in gaps) == sorted(
        (run.id, lane) for run in (first, second) for lane in range(4)
    )
    (setting,) = {point.setting for point in gaps}
    assert_one_line_error(setting, ["0.1", "1,000", "evaluation"])
    assert len({point.task for point in gaps}) == 1, "a seed is no task"
    assert next(point.accuracy for point in gaps if point.run == first.id) == pytest.approx(65.0)
    assert comparable(points, "trace") == []


# Figures


def figures(store: Store, kind: str, **changed: object) -> tuple[Run, dict[str, np.ndarray]]:
    run = measure(store, race(store), query.default(kind).model_copy(update=changed))
    return run, store.analyses.arrays(run.id)


@pytest.mark.parametrize("what", ["loss", "accuracy"])
@pytest.mark.parametrize("deep", [False, True])
def test_surfaces_share_axes_and_colours(store: Store, what: str, deep: bool) -> None:
    run, arrays = figures(store, "surface")
    drawn = maps.surfaces(run, arrays, what, deep)
    assert len(drawn) == 4
    low, high = ("cmin", "cmax") if deep else ("zmin", "zmax")
    assert len({(figure["data"][0][low], figure["data"][0][high]) for figure in drawn}) == 1
    axes = [figure["layout"]["scene"] if deep else figure["layout"] for figure in drawn]
    assert all(axis["xaxis"]["range"] == axes[0]["xaxis"]["range"] for axis in axes)
    assert all(axis["yaxis"]["range"] == axes[0]["yaxis"]["range"] for axis in axes)
    values = [100 * arrays["accuracy/0"], np.log10(arrays["loss/0"])][what == "loss"]
    assert np.allclose(drawn[0]["data"][0]["z"], values)
    if deep:
        assert len({json.dumps([axis["camera"], axis["zaxis"]["range"]]) for axis in axes}) == 1


def test_a_coarse_surface_is_drawn_as_far_as_it_is_complete() -> None:
    ticks, values = np.linspace(-1, 1, 21), np.full((21, 21), np.nan)
    values[::4, ::4] = 1.0
    values[2, 2] = 1.0
    xs, ys, part = maps.finest(ticks, ticks, values)
    assert (part.shape, xs[0], ys[-1]) == ((6, 6), -1, 1)
    values[:] = 2.0
    assert maps.finest(ticks, ticks, values)[2].shape == (21, 21)
    values[3, 3] = np.inf
    values[0, 0] = np.nan
    assert maps.finest(ticks, ticks, values)[2].shape == (21, 21), "a loss that is none stays a gap"


@pytest.mark.parametrize(("low", "high"), [(0.05, 8.8), (2.3001, 2.3009)])
def test_the_colour_bar_tells_its_places_apart(low: float, high: float) -> None:
    _, said = maps.Colours(np.log10(low), np.log10(high), "loss").ticks()
    assert len(set(said)) == 5
    assert float(said[-1]) == pytest.approx(high, rel=0.01)


def test_nothing_is_drawn_of_an_empty_surface(store: Store) -> None:
    run, arrays = figures(store, "surface")
    empty = {name: np.full_like(array, np.nan) if "/" in name else array for name, array in arrays.items()}
    assert maps.surfaces(run, empty, "loss", False) == []
    assert maps.colour_bar(empty, "loss") is None


def test_the_common_plane_shows_where_each_lane_went(store: Store) -> None:
    run, arrays = figures(store, "surface", plane="lanes")
    figure = maps.common_plane(run, arrays, "loss")
    assert figure
    paths = [trace for trace in figure["data"] if trace.get("mode") == "lines+markers"]
    styles = theme.lane_styles(run.spec)
    assert [(path["marker"]["color"], path["marker"]["symbol"]) for path in paths] == [
        (s.color, s.symbol) for s in styles
    ]
    for lane, path in enumerate(paths):
        assert path["x"] == arrays[f"path/{lane}"][:, 0].tolist()
        assert path["text"][-1].endswith("epoch 5")


def test_a_profile_is_the_mean_and_its_band(store: Store) -> None:
    run, arrays = figures(store, "profile")
    low, high, mean = flatness_charts.profile(run, arrays, "accuracy")["data"][:3]
    lines = 100 * arrays["accuracy/0"]
    assert (low["y"], high["y"]) == (lines.min(0).tolist(), lines.max(0).tolist())
    assert mean["y"] == pytest.approx(lines.mean(0))
    assert mean["line"]["color"] == theme.METHOD_STYLES["sgd"].color
    arrays["loss/0"][0, 3] = np.nan
    assert len(flatness_charts.profile(run, arrays, "loss")["data"]) == 12, "a line that is not whole yet is left out"


def test_spectra_share_their_axes(store: Store) -> None:
    run, arrays = figures(store, "spectrum")
    layouts = [figure["layout"] for figure in flatness_charts.spectra(run, arrays)]
    assert len(layouts) == 4
    assert len({json.dumps([layout["xaxis"]["range"], layout["yaxis"]["range"]]) for layout in layouts}) == 1


def test_numbers_are_bars_of_one_moment_and_lines_of_several(store: Store) -> None:
    once, _ = figures(store, "curvature")
    bars = flatness_charts.curvature(once, None)
    assert [figure["data"][0]["type"] for figure in bars] == ["bar", "bar", "bar", "scatter"]
    assert bars[2]["data"][0]["error_y"]["visible"] is True
    several, _ = figures(store, "curvature", epochs=(0, 1, 2))
    lines = flatness_charts.curvature(several, None)
    assert [trace["x"] for trace in lines[0]["data"]] == [[0.0, 1.0, 2.0]] * 4


def test_a_masked_gap_is_told_of_masked_lanes_only(store: Store) -> None:
    run, _ = figures(store, "sharpness")
    titles = [figure["layout"]["title"]["text"] for figure in flatness_charts.sharpness(run)]
    assert len(titles) == 6
    assert re.fullmatch("Ascent gap .*mask.* 0.1", titles[1])
    masked = flatness_charts.sharpness(run)[1]
    assert masked["data"][0]["x"] == [2, 3]
    assert {note["x"]: note["hovertext"] for note in masked["layout"]["annotations"]} == {
        0: "SGD: no mask",
        1: "SAM: no mask",
    }
    assert "SGD no mask" in alt_text.summary(masked)
    table = alt_text.table(masked)
    assert [list(row.values())[1] for row in table if "SGD" in row.values()] == ["no mask"]
    assert "SGD, SAM" in flatness_text.summary(run, {})


def test_every_lane_has_a_bar_or_a_reason(store: Store) -> None:
    """A place that is left empty would read as a zero, the flattest of all."""
    run, _ = figures(store, "sharpness")
    rows = [row for row in run.result["rows"] if row["estimator"] == "ascent_gap" and row["lane"] != 3]
    rows = [row | {"value": None} if row["lane"] == 1 else row for row in rows]
    figure = flatness_charts.values(SPEC, rows, "Ascent gap")
    reasons = {note["x"]: note["hovertext"].rpartition(": ")[2] for note in figure["layout"]["annotations"]}
    assert reasons == {1: "not finite", 3: "not measured"}
    drawn = [x for x, y in zip(figure["data"][0]["x"], figure["data"][0]["y"], strict=True) if y is not None]
    assert sorted([*drawn, *reasons]) == list(range(len(SPEC.lanes)))


def disturbed_figure(store: Store, kind: str, name: str) -> tuple[Run, dict]:
    run, _ = figures(store, kind)
    return run, disturbed.by_level(run, run.result["rows"], subjects.SUBJECTS[kind], name)


def lines_of(figure: dict) -> list[dict]:
    return [trace for trace in figure["data"] if trace["mode"] == "lines+markers"]


@pytest.mark.parametrize(
    ("kind", "name", "each"),
    [("robustness", name, each) for name, each in DISTURBANCES.items()]
    + [("disturbed_weights", name, each) for name, each in WEIGHT_DISTURBANCES.items()],
)
def test_every_curve_goes_from_no_disturbance_to_the_strongest(store: Store, kind: str, name: str, each) -> None:
    run, figure = disturbed_figure(store, kind, name)
    assert [line["x"] for line in lines_of(figure)] == [[each.none, *each.levels]] * len(SPEC.lanes)
    for lane, line in enumerate(lines_of(figure)):
        own = [row for row in run.result["rows"] if row["lane"] == lane and row["disturbance"] == name]
        assert line["y"] == pytest.approx([90.0, *(100 * row["accuracy"] for row in own)])
    assert len(alt_text.table(figure)) == 1 + len(each.levels)


def test_noise_has_a_band_and_bits_fall_on_a_log_axis(store: Store) -> None:
    run, noise = disturbed_figure(store, "disturbed_weights", "noise")
    low, high, *_ = noise["data"]
    own = [row for row in run.result["rows"] if (row["lane"], row["disturbance"]) == (0, "noise")]
    assert low["y"] == pytest.approx([90.0, *(100 * row["lowest"] for row in own)])
    assert high["y"] == pytest.approx([90.0, *(100 * row["highest"] for row in own)])
    assert len(noise["data"]) == 3 * len(SPEC.lanes)
    _, bits = disturbed_figure(store, "disturbed_weights", "quantisation")
    assert len(bits["data"]) == len(SPEC.lanes)
    assert bits["layout"]["xaxis"]["tickvals"] == [32, 8, 6, 4, 3, 2]
    assert bits["layout"]["xaxis"]["autorange"] == "reversed"


def test_disturbed_weights_are_told_in_words(store: Store, golden: Golden) -> None:
    run, _ = figures(store, "disturbed_weights")
    golden("flatness", "disturbed weights in words", flatness_text.summary(run, {}))


@pytest.mark.parametrize("kind", subjects.SUBJECTS)
def test_a_lane_is_a_point_without_and_with_a_disturbance(store: Store, kind: str) -> None:
    run, _ = figures(store, kind, epochs=(0, 1))
    subject, rows = subjects.SUBJECTS[kind], run.result["rows"]
    for name, each in subject.disturbances.items():
        points = disturbed.tradeoff(run, rows, subject, name, each.shown)
        found = {
            row["lane"]: 100 * row["accuracy"]
            for row in rows
            if (row["disturbance"], row["level"], row["epoch"]) == (name, each.shown, 1.0)
        }
        assert [(trace["x"], trace["y"]) for trace in points["data"]] == [([90.0], [found[lane]]) for lane in range(4)]
        epochs = disturbed.over_epochs(run, rows, subject, name, each.shown)
        assert [trace["x"] for figure in epochs for trace in figure["data"]] == [[0.0, 1.0]] * 8
        assert epochs[1]["data"][0]["y"][-1] == pytest.approx(found[0])


# Words and files


@pytest.mark.parametrize("kind", MEASURED)
def test_every_result_is_told_in_words(store: Store, kind: str) -> None:
    run, arrays = figures(store, kind)
    words = flatness_text.summary(run, arrays)
    for title in theme.lane_titles(run.spec):
        assert title in words
    assert "nan" not in words
    assert re.match(f"{run.analysis.images:,} .*float32", estimators.caveats(run))


def test_words_carry_the_numbers(store: Store, golden: Golden) -> None:
    run, _ = figures(store, "curvature")
    golden("flatness", "curvature in words", flatness_text.summary(run, {}))
    assert re.match("SGD, .* 2: λ₁ 40, λ₁/λ₅ 3, .* 360 ± 13.3", flatness_text.summary(run, {}))


def test_the_files_hold_what_was_found(store: Store) -> None:
    run, _ = figures(store, "curvature")
    lines = list(csv.DictReader(io.StringIO(view.table_csv(run))))
    assert [line["lane"] for line in lines] == list(SPEC.lane_names)
    assert float(lines[0]["eigenvalue_1"]) == pytest.approx(40)
    run, arrays = figures(store, "profile")
    with np.load(io.BytesIO(view.npz(arrays)), allow_pickle=False) as file:
        assert np.array_equal(file["loss_3"], arrays["loss/3"])


# The page


def page(token: str = ALICE, **address: str) -> AppTest:
    return open_page("flatness", token, **address)


def plots(app: AppTest) -> list[dict]:
    return [chart["figure"] for chart in every(app, "plot")]


def test_without_a_race_recorded_measurements_are_shown(store: Store) -> None:
    app = page()
    record = json.loads(recorded_points.FILE.read_text(encoding="utf-8"))
    assert "not yours" in app.caption[0].value
    assert len(app.get("page_link")) == 1
    known = {title for title, _ in estimators.ESTIMATORS.values()}
    assert set(app.table[-1].value["Estimator"]) == known, "every estimator was measured"
    (trace,) = (
        figure for figure in plots(app) if figure["layout"]["title"]["text"] == estimators.ESTIMATORS["trace"][0]
    )
    drawn = {(x, y) for line in trace["data"] for x, y in zip(line["x"], line["y"], strict=True)}
    lanes = [lane for seed in record["seeds"].values() for lane in seed.values()]
    assert drawn == {(lane["trace"], 100 * lane["test_accuracy"]) for lane in lanes}
    run = race(store)
    assert address_of(page())["run"] == run.id, "it gives way to the first of one's own"


@pytest.mark.parametrize("kind", [*MEASURED, "better"])
def test_what_has_been_measured_is_there_at_once(store: Store, kind: str) -> None:
    run = race(store)
    for each in MEASURED:
        measure(store, run, query.default(each))
    app = page(run=run.id, kind=kind)
    assert not app.warning
    assert plots(app)
    assert all(chart["words"] for chart in every(app, "plot"))
    if kind != "better":
        assert app.button(key="flat_measure").disabled


@pytest.mark.parametrize(
    "address",
    [
        {"kind": "surface", "plane": "lanes", "points": "31", "span": "0.5"},
        {"kind": "profile", "directions": "9", "images": "64", "seed": "3"},
        {"kind": "sharpness", "rho": "0.25", "batchnorm": "batch", "epochs": "0,1"},
        {"kind": "spectrum", "epochs": "1"},
    ],
)
def test_an_address_is_a_measurement(store: Store, address: dict[str, str]) -> None:
    run = race(store)
    app = page(run=run.id, **address)
    assert not app.warning
    values: dict[str, object] = {**query.DEFAULTS[address["kind"]], **address}
    if "epochs" in address:
        values["epochs"] = address["epochs"].split(",")
    expected = parse_analysis(values)
    assert query.of(run.id, expected.kind, expected) == {"run": run.id, **address}
    assert any(caption.value.startswith(f"With {query.describe(expected)}.") for caption in app.caption)
    assert address_of(app) == {"run": run.id, **address}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"kind": "magic"}, "kind 'magic' must be one of surface, profile"),
        ({"kind": "surface", "points": "20"}, "20 must be odd"),
        ({"kind": "surface", "rho": "0.1"}, "'rho' is no setting here"),
        ({"kind": "sharpness", "images": "9e9"}, "images"),
        ({"kind": "sharpness", "epochs": "2,1"}, "epochs"),
        ({"run": "nowhere"}, "There is no race 'nowhere' here."),
    ],
)
def test_a_bad_address_gives_one_line_and_the_defaults(store: Store, address: dict[str, str], said: str) -> None:
    race(store)
    app = page(**address)
    (warning,) = app.warning
    assert said in warning.value.replace("\\", "")
    assert not app.error
    assert not app.button(key="flat_measure").disabled


def test_an_analysis_is_no_race(store: Store) -> None:
    run = measure(store, race(store), query.default("surface"))
    assert_one_line_error(page(run=run.id).warning[0].value, [run.id])


def test_a_disturbance_of_the_weights_and_its_level_are_chosen(store: Store) -> None:
    run = race(store)
    measure(store, run, query.default("disturbed_weights"))
    app = page(run=run.id, kind="disturbed_weights")
    assert alt_text.title(plots(app)[0]).startswith("Noise 0.3")
    app.selectbox(key="flat_disturbance_disturbed_weights").select("quantisation").run()
    assert alt_text.title(plots(app)[0]).startswith("Quantisation 4 bits")
    app.select_slider(key="flat_level_disturbed_weights_quantisation").set_value(2).run()
    assert not app.exception
    titles = [alt_text.title(figure) for figure in plots(app)]
    assert titles[0].startswith("Quantisation 2 bits")
    assert titles[1:] == [each.title for each in WEIGHT_DISTURBANCES.values()]


def test_measure_queues_what_the_controls_show(store: Store) -> None:
    run = race(store)
    app = page(run=run.id, kind="sharpness", rho="0.3")
    assert any("on this machine" in caption.value for caption in app.caption)
    app.button(key="flat_measure").click().run()
    assert not app.exception
    (made,) = store.analyses.of_race(run.id)
    assert made.analysis == parse_analysis({"kind": "sharpness", "rho": 0.3})
    assert app.button(key="flat_measure").disabled
    app.button(key="flat_stop").click().run()
    assert not app.exception
    assert store.analyses.of_race(run.id)[0].state == "stopped"
    assert not app.button(key="flat_measure").disabled


def test_what_cannot_be_measured_is_said_in_one_line(store: Store) -> None:
    run = race(store)
    for file in store.run_folder(run.id).glob("checkpoint*"):
        file.unlink()
    app = page(run=run.id, kind="curvature")
    app.button(key="flat_measure").click().run()
    assert "Not measured" in app.warning[0].value
    assert store.analyses.of_race(run.id) == []


def test_a_failed_one_says_why_and_can_be_tried_again(store: Store) -> None:
    run = race(store)
    made = measure(store, run, query.default("spectrum"), state="failed")
    assert made.state == "failed"
    app = page(run=run.id, kind="spectrum")
    assert "made up" in app.error[0].value
    assert not app.button(key="flat_measure").disabled


def test_a_coarse_one_is_drawn_while_it_runs(store: Store) -> None:
    run = race(store)
    measure(store, run, query.default("surface"), done=0.1, state="running")
    app = page(run=run.id)
    assert np.array(plots(app)[0]["data"][0]["z"]).shape == (6, 6)
    assert app.button(key="flat_stop").label == "Stop"
    assert not any(button.key == "flat_stop" for button in page(BOB, run=run.id).button), "it is Alice's"


def test_an_earlier_checkpoints_result_is_called_one(store: Store) -> None:
    run = race(store)
    measure(store, run, query.default("profile"))
    store.queue.record_checkpoint(run.id)
    app = page(run=run.id, kind="profile")
    assert "earlier checkpoint" in app.info[0].value
    assert not app.button(key="flat_measure").disabled


def test_an_emptied_setting_is_named(store: Store) -> None:
    app = page(run=race(store).id, kind="surface")
    app.number_input(key="flat_surface_points").set_value(None).run()
    assert_one_line_error(app.error[0].value, ["Points per side", "empty"])
    assert app.button(key="flat_measure").disabled


def test_a_shared_link_shows_somebody_elses_race(store: Store) -> None:
    run = race(store)
    measure(store, run, query.default("sharpness"))
    app = page(BOB, run=run.id, kind="sharpness")
    assert plots(app)
    assert any("omeone else's race" in caption.value for caption in app.caption)


def test_without_measurements_nothing_is_claimed(store: Store, golden: Golden) -> None:
    race(store)
    app = page(kind="better")
    golden("flatness", "nothing measured", *(text.value for text in app.markdown))
    assert any("1703.04933" in text.value for text in app.markdown)


def test_a_finished_race_leads_here(store: Store) -> None:
    run = race(store)
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = ALICE
    app.query_params["run"] = run.id
    app.run()
    assert not app.exception
    assert any(link.proto.label == "Flatness" and run.id in link.proto.query_string for link in app.get("page_link"))


def test_the_pages_modules_import_neither_torch_nor_scipy() -> None:
    names = "app.flatness.versus_accuracy, app.flatness.maps, app.flatness.view"
    check = f"import {names}, sys; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


@pytest.mark.browser
@pytest.mark.slow
def test_every_tab_draws_its_charts_in_a_browser(tmp_path: Path, browser: Browser) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    run = race(store)
    for kind in MEASURED:
        measure(store, run, query.default(kind))
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            page = watched.page
            page.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
            page.goto(f"{address}/?run={run.id}")
            page.get_by_role("link", name="Flatness").last.click()
            charts = page.locator(".js-plotly-plot")
            for title, count in (
                ("Surface", 5),
                ("Profiles", 2),
                ("Curvature", 4),
                ("Spectrum", 4),
                ("Sharpness", 6),
                ("Disturbed images", 6),
                ("Disturbed weights", 4),
            ):
                page.get_by_role("radio", name=title).or_(
                    page.get_by_role("button", name=title, exact=True)
                ).first.click()
                expect(charts).to_have_count(count)
                expect(charts.first.locator(".main-svg").first).to_be_visible()
            page.get_by_text("Flatness vs accuracy").click()
            expect(page.locator("a[href*='1703.04933']").first).to_be_visible()
            page.set_viewport_size({"width": 390, "height": 844})
            expect(charts.first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert f"run={run.id}&kind=better" in page.url
            page.context.close()
            assert watched.hosts == {address.removeprefix("http://")}, "the page must not ask another host"
            assert watched.problems == []
    finally:
        store.close()


def test_a_lane_with_training_settings_of_its_own_has_an_open_marker() -> None:
    own = [point for point in recorded_points.points() if point.estimator == "largest_eigenvalue"]
    drawn = flatness_charts.scatter(own, "λ₁")["data"]
    assert len(own) == 5 * len(drawn) + 5, "SGD has two lanes"
    for trace in drawn:
        (symbol, *others) = sorted(set(trace["marker"]["symbol"]))
        assert others == ([f"{symbol}-open"] if trace["name"] == "SGD" else [])
