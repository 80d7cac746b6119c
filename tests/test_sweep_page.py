"""The sweeps page: the form, the way of a sweep from its start to a finding, its figures, its address."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from app.shell.identity import COOKIE
from app.sweeps import charts, query, text
from ssam.cli import sweep as command
from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.choosing import VALIDATION, new_sweep
from ssam.experiment.sweep import SweepSpec, parse_sweep
from ssam.stats.paired import compare, family, sentence
from ssam.store import Person, Store, Trial
from ssam.store.sweep_scores import Fresh, fresh, front, points, ranked
from ssam.store.sweeps import STANDARD
from ssam.styles import luminance
from tests import fake_sweep
from tests.browser import Watched, app_server
from tests.components import every
from tests.fake_sweep import BASE, GRID
from tests.golden import Golden
from tests.people import ALICE, BOB, open_page, owner

ROOT = Path(__file__).resolve().parents[1]
SEARCH = parse_sweep(
    {
        "base": BASE,
        "vary": ["lane1.rho=0.02..1:log", "lane1.sparsity=0.5..0.98", "lane1.norm=full,masked"],
        "method": "tpe",
    }
    | {"races": 24, "cost": "gradients"}
)


def page(token: str = ALICE, **words: str) -> AppTest:
    app = open_page("sweeps", token, **words)
    assert not app.exception
    return app


def text_of(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.info, *app.success, *app.warning, *app.error]
    return "\n".join(part.value for part in parts if part.value != text.SEEING.strip()).replace("\\", "")


def figures(app: AppTest) -> list[dict]:
    return [plot["figure"] for plot in every(app, "plot")]


# The form


def test_a_newcomer_starts_a_search_over_rho_and_sparsity_with_one_click(store: Store, golden: Golden) -> None:
    app = page()
    assert app.session_state["sweep_fields"] == ["lane1.rho", "lane1.sparsity"]
    app.button(key="start_sweep").click().run()
    assert not app.exception
    (made,) = store.sweeps.of(owner(ALICE))
    assert (made.state, made.spec.method, made.spec.most_races) == ("running", "tpe", 24)
    assert [lane.method for lane in made.spec.base.lanes] == ["ssam-f"]
    assert [str(vary) for vary in made.spec.vary] == ["lane1.rho=0.02..1:log", "lane1.sparsity=0.5..0.98"]
    assert made.spec.base.label_noise == 0.4  # the race that the race page opens with
    assert made.spec.base.validation == VALIDATION
    golden("sweeps", "just begun", text_of(app))
    golden("sweeps", "explained", text.SEEING)
    assert app.query_params["sweep"] == made.id


def test_a_grid_begins_with_what_the_lane_has_among_its_values(store: Store) -> None:
    app = page(lanes="sgd,ssam-f:sparsity=0.8:rho=0.25", method="grid")
    assert app.text_input(key="sweep_vary_lane1.rho_grid").value.split(", ") == [
        "0.05",
        "0.1",
        "0.2",
        "0.25",
        "0.4",
        "0.8",
    ]
    assert re.search("SSAM-F, .*0.25, .*80", text_of(app))


@pytest.mark.parametrize("method", ["grid", "tpe"])
def test_a_lane_that_is_not_raced_cannot_be_varied(store: Store, method: str) -> None:
    app = page(vary="lane2.rho=0.1,0.2", method=method)
    (error,) = app.error
    assert "lane" in error.value
    assert len(error.value.splitlines()) == 1
    app.selectbox(key="sweep_method").set_value("tpe" if method == "grid" else "grid").run()
    assert not app.exception


def test_the_race_is_the_one_of_the_address(store: Store) -> None:
    app = page(lanes="sam:rho=0.3,sgd", epochs="2", vary="lane1.rho=0.1,0.3", method="grid", races="none", seeds="2")
    app.button(key="start_sweep").click().run()
    (made,) = store.sweeps.of(owner(ALICE))
    assert made.spec == new_sweep(
        {"base": parse_spec({"lanes": "sam:rho=0.3", "epochs": 2}), "vary": ["lane1.rho=0.1,0.3"], "seeds": 2}
    )
    assert made.spec.standard == {"lane1.rho": 0.3}


def test_what_is_wrong_is_said_in_one_line_and_cannot_be_started(store: Store) -> None:
    app = page()
    app.text_input(key="sweep_vary_lane1.rho_tpe").set_value("0.1..99").run()
    assert app.button(key="start_sweep").disabled
    assert "0 to 10" in text_of(app)
    app.text_input(key="sweep_vary_lane1.rho_tpe").set_value("0.1..1").run()
    app.number_input(key="sweep_races").set_value(None).run()
    assert app.button(key="start_sweep").disabled
    app.selectbox(key="sweep_method").set_value("grid").run()
    assert not app.button(key="start_sweep").disabled
    assert "24 trials" in text_of(app)


def test_another_lane_takes_back_what_it_does_not_have(store: Store) -> None:
    app = page()
    app.selectbox(key="sweep_lane").set_value(0).run()  # SGD
    assert app.session_state["sweep_fields"] == ["lr"]
    app.selectbox(key="sweep_lane").set_value(1).run()
    assert "lane1.sparsity" not in app.multiselect(key="sweep_fields").options


@pytest.mark.parametrize("words", [{"vary": "seed=1"}, {"method": "x"}, {"races": "many"}, {"rho": "99"}])
def test_a_bad_address_is_one_line(store: Store, words: dict[str, str]) -> None:
    app = page(**words)
    assert app.warning[0].value.startswith("Address: ")


def test_the_address_brings_the_same_form_back(store: Store) -> None:
    first = page()
    first.selectbox(key="sweep_method").set_value("grid").run()
    first.text_input(key="sweep_vary_lane1.rho_grid").set_value("0.1, 0.3").run()
    first.number_input(key="sweep_minutes").set_value(5.0).run()
    second = page(
        **{name: value[0] if isinstance(value, list) else value for name, value in first.query_params.items()}
    )
    assert second.text_input(key="sweep_vary_lane1.rho_grid").value == "0.1,0.3"
    assert (second.session_state["sweep_method"], second.session_state["sweep_minutes"]) == ("grid", 5.0)


# A sweep


def test_only_fresh_seeds_make_a_finding(store: Store, golden: Golden) -> None:
    """The winner's curse, step by step: chosen, re-run, and only then called better."""
    sweep_id = fake_sweep.fill(store, owner(ALICE), GRID)
    app = page(sweep=sweep_id)
    said = text_of(app)
    best = ranked(GRID, store.sweeps.trials(sweep_id))[0]
    assert best.values == {"lane1.rho": 0.2, "lane1.sparsity": 0.8}
    golden("sweeps", "best so far", said)
    assert "**A finding" not in said
    app.number_input(key="sweep_fresh_seeds").set_value(4).run()
    app.button(key="sweep_fresh_now").click().run()
    begun = [trial for trial in store.sweeps.trials(sweep_id) if trial.fresh]
    assert sorted((trial.number, trial.seed) for trial in begun) == [
        (number, seed) for number in sorted((STANDARD, best.number)) for seed in (1, 2, 3, 4)
    ]
    assert "0 of 8" in text_of(app)
    for trial in begun:
        score = {STANDARD: 0.75, best.number: 0.78}[trial.number] + 0.001 * trial.seed**2
        store.sweeps.close(sweep_id, trial, "done", score + 0.0001 * trial.number)
    said = text_of(page(sweep=sweep_id))
    assert f"{100 * (best.score or 0):.1f}%" in said
    golden("sweeps", "repeated on fresh seeds", said)
    assert "4 fresh seeds" in said
    assert "**A finding" in said


def test_the_test_accuracy_of_the_chosen_settings_alone_is_shown_and_only_at_the_end(store: Store) -> None:
    sweep_id = fake_sweep.fill(store, owner(ALICE), GRID, state="running")
    trials = store.sweeps.trials(sweep_id)
    best = ranked(GRID, trials)[0]
    assert best.test is not None
    assert best.gap == pytest.approx(0.02)
    shown = charts.percent(best.test)
    assert shown not in text_of(page(sweep=sweep_id)), "the search is not over"
    store.sweeps.transition(sweep_id, ("running",), "finished")
    app = page(sweep=sweep_id)
    assert re.search(f"{shown}.* \\+2.0", text_of(app))
    table = app.dataframe[0].value
    assert table["Test accuracy"].isna().all()
    assert sorted(table["Validation accuracy"]) == pytest.approx(sorted(100 * (trial.score or 0) for trial in trials))


def test_what_settings_are_chosen_by_is_said_with_the_number_of_images(store: Store) -> None:
    said = text_of(page(train_size="1000", label_noise="0.4"))
    assert "20%" in said
    assert re.search("800 .*200", said)
    assert "60%" in said, "what a network that is always right reaches on labels of which 40% are wrong"
    assert "60%" not in text_of(page(train_size="1000", label_noise="0"))
    assert "30%" in text_of(page(validation="0.3"))


def test_a_sweep_of_an_earlier_version_says_that_it_was_chosen_by_test_accuracy(store: Store, golden: Golden) -> None:
    old = BASE.model_copy(update={"validation": 0.0})
    sweep_id = fake_sweep.fill(store, owner(ALICE), parse_sweep({"base": old, "vary": ["lane1.rho=0.1,0.2"]}))
    app = page(sweep=sweep_id)
    golden("sweeps", "of an earlier version", text_of(app))
    assert "gap (validation" not in text_of(app)
    assert app.dataframe[0].value["Test accuracy"].notna().all()


def test_what_was_found_has_its_race_beside_it_and_what_was_kept(store: Store, golden: Golden) -> None:
    spec = parse_sweep({"base": BASE, "vary": ["lane1.rho=0.05,0.1,0.2"]})
    sweep_id = fake_sweep.fill(store, owner(ALICE), spec)
    app = page(sweep=sweep_id)
    best = ranked(spec, store.sweeps.trials(sweep_id))[0]
    (link,) = app.get("page_link")
    assert link.proto.query_string == f"run={best.trials[0].run}"
    golden("sweeps", "a grid without the baseline", text_of(app))
    assert app.session_state["sweep_figure"] == "slice"
    same = fake_sweep.fill(store, owner(ALICE), parse_sweep({"base": BASE, "vary": ["lane1.rho=0.01,0.1"]}))
    golden("sweeps", "the baseline is best", text_of(page(sweep=same)))


def test_a_stranger_can_look_and_not_touch(store: Store) -> None:
    sweep_id = fake_sweep.fill(store, owner(ALICE), GRID, state="running")
    app = page(BOB, sweep=sweep_id)
    assert "Best so far" in text_of(app)
    assert not {"sweep_pause", "sweep_stop", "sweep_fresh_now"} & {button.key for button in app.button}


def test_pause_resume_stop_extend_and_delete_have_their_buttons(store: Store) -> None:
    sweep_id = fake_sweep.fill(store, owner(ALICE), SEARCH, 10, "running")
    app = page(sweep=sweep_id)
    for button, state in (("sweep_pause", "paused"), ("sweep_resume", "running"), ("sweep_stop", "stopped")):
        app.button(key=button).click().run()
        assert not app.exception
        assert store.sweeps.get(sweep_id).state == state  # type: ignore[union-attr]
    app.number_input(key="sweep_more_races").set_value(6)
    next(button for button in app.button if button.label == "Extend").click().run()
    assert store.sweeps.get(sweep_id).spec.races == 30  # type: ignore[union-attr]
    app.button(key="sweep_stop").click().run()
    app.button(key="sweep_delete_now").click().run()
    assert store.sweeps.of(owner(ALICE)) == []
    assert len(store.runs.newest(owner=owner(ALICE))) == 10


@pytest.mark.parametrize("spec", [GRID, SEARCH], ids=["grid", "search"])
def test_every_figure_has_its_sentence_and_its_table(store: Store, spec: SweepSpec) -> None:
    sweep_id = fake_sweep.fill(store, owner(ALICE), spec, 24)
    known = points(spec, store.sweeps.trials(sweep_id))
    best = ranked(spec, store.sweeps.trials(sweep_id))[0]
    for name in query.FIGURES:
        if name == "front" and not spec.cost:
            continue
        app = page(sweep=sweep_id, figure=name)
        drawn = figures(app)
        assert len(drawn) == (len(spec.vary) if name == "slice" else 1), name
        assert len(app.table) == len(drawn), name
    pair = charts.map_fields(spec)
    assert pair is not None
    assert [vary.setting for vary in pair] == ["rho", "sparsity"]
    for shown in (charts.heatmap(spec, known, *pair), charts.parallel(spec, known)):
        assert charts.settings(best.values) in shown.words
        assert shown.rows[0]["Validation accuracy"] == charts.percent(best.score)


def test_cells_of_the_map_are_means_over_what_else_varies() -> None:
    spec = parse_sweep({"base": BASE, "vary": ["lane1.rho=0.1,0.2", "lane1.sparsity=0.5,0.8", "epochs=1,2"]})
    made = [Trial(number, 0, values, state="done", score=0.1 * number) for number, values in enumerate(spec.points)]
    known = points(spec, made[:-1])  # the last one has not come to an end
    pair = charts.map_fields(spec)
    assert pair
    (trace,) = charts.heatmap(spec, known, *pair).figure["data"]
    assert (trace["x"], trace["y"]) == (["0.1", "0.2"], ["50%", "80%"])
    assert trace["z"] == [[pytest.approx(5.0), pytest.approx(45.0)], [pytest.approx(25.0), pytest.approx(60.0)]]


def test_the_numbers_in_the_cells_can_be_read_on_every_colour() -> None:
    for _, color in charts.CELL_SCALE:
        light, dark = luminance(color), luminance(charts.INK)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, color


def test_figures_of_a_sweep_without_an_end_are_drawn_and_say_so(store: Store, golden: Golden) -> None:
    sweep_id = store.sweeps.create(SEARCH, "new", owner(ALICE))
    for name in query.FIGURES:
        app = page(sweep=sweep_id, figure=name)
        assert not app.exception
    golden("sweeps", "empty parallel chart", charts.parallel(SEARCH, []).words)


# What is said


def scores(*values: float) -> dict[int, float]:
    return dict(enumerate(values, 5))


def fresh_seeds(own: dict[int, float], begun: dict[int, float], lost: int = 0) -> Fresh:
    (best, standard) = ({seed: 100 * score for seed, score in scores.items()} for scores in (own, begun))
    return Fresh({"lane1.rho": 0.2}, 0.9, own, begun, 0, lost, compare(best, standard))


@pytest.mark.parametrize(
    ("own", "begun", "finding"),
    [
        (scores(0.80, 0.81, 0.83), scores(0.70, 0.71, 0.72), True),
        (scores(0.80, 0.70, 0.82), scores(0.75, 0.75, 0.75), False),
        (scores(0.80, 0.81), scores(0.70, 0.72), False),
        (scores(0.60, 0.61, 0.63), scores(0.70, 0.71, 0.72), False),
    ],
)
def test_a_finding_follows_from_the_paired_comparison(
    own: dict[int, float], begun: dict[int, float], finding: bool
) -> None:
    found = fresh_seeds(own, begun)
    assert found.is_finding == finding == (found.compared.verdict == "better")
    said = text.fresh(found)
    assert ("finding" in said) == finding
    assert sentence("The chosen setting", "the starting point", found.compared) in said
    assert "90.0%" in said


def test_a_race_that_was_lost_forbids_a_finding() -> None:
    found = fresh_seeds(scores(0.80, 0.81, 0.83), scores(0.70, 0.71, 0.72), lost=1)
    assert not found.is_finding
    assert "**A finding" not in text.fresh(found)


def test_settings_that_were_confirmed_together_are_one_family() -> None:
    best, second = ({0: 0.80, 1: 0.81, 2: 0.83}, {0: 0.74, 1: 0.76, 2: 0.77})
    begun = {0: 0.70, 1: 0.71, 2: 0.72}
    trials = [
        Trial(number, seed, {}, fresh=True, state="done", score=score)
        for number, own in ((STANDARD, begun), (4, best), (7, second))
        for seed, score in own.items()
    ]
    searched = [Trial(number, 9, {}, state="done", score=0.9) for number in (4, 7)]
    found = fresh([*searched, *trials])
    assert [one.compared for one in found] == family(
        [
            compare({s: 100 * v for s, v in own.items()}, {s: 100 * v for s, v in begun.items()})
            for own in (best, second)
        ]
    )
    assert {one.compared.comparisons for one in found} == {2}


def test_a_pareto_front_is_what_nothing_beats_in_both() -> None:
    spec = parse_sweep({"base": RaceSpec(lanes="sam"), "vary": ["epochs=1,2,3,4,5"], "cost": "seconds"})
    prices = [(0.7, 5.0), (0.8, 9.0), (0.6, 6.0), (0.8, 8.0), (0.9, 20.0)]
    made = [
        Trial(number, 0, {"epochs": number + 1}, state="done", score=score, cost=cost)
        for number, (score, cost) in enumerate(prices)
    ]
    found = front(points(spec, made))
    assert [point.number for point in found] == [0, 3, 4]
    for point in points(spec, made):
        beaten = any(
            (other.score or 0) >= (point.score or 0)
            and (other.cost or 0) <= (point.cost or 0)
            and other.number != point.number
            for other in points(spec, made)
        )
        assert beaten == (point.number not in {0, 3, 4})


def test_the_newest_fresh_races_do_not_change_what_was_searched(store: Store) -> None:
    sweep_id = fake_sweep.fill(store, owner(ALICE), GRID)
    before = ranked(GRID, store.sweeps.trials(sweep_id))
    store.sweeps.transition(sweep_id, ("finished",), "finished")
    from ssam.jobs.sweep_client import SweepClient

    SweepClient(store, lambda: None).fresh(sweep_id, Person(owner(ALICE)), 3)
    for trial in store.sweeps.trials(sweep_id):
        if trial.fresh:
            store.sweeps.close(sweep_id, trial, "done", 0.99)
    after = ranked(GRID, store.sweeps.trials(sweep_id))
    assert [point.score for point in after] == [point.score for point in before]
    (found,) = fresh(store.sweeps.trials(sweep_id))
    assert set(found.scores.values()) == {0.99}


@pytest.mark.browser
@pytest.mark.slow
def test_in_a_browser_a_running_sweep_is_watched(tmp_path: Path, browser: Browser) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    sweep_id = fake_sweep.fill(store, owner(ALICE), GRID, 6, "paused")
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            shown = watched.page
            shown.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
            shown.goto(address)
            shown.get_by_role("link", name="Sweeps", exact=True).first.click()
            expect(shown.get_by_text("6 of 15")).to_be_visible()
            expect(shown.locator(".js-plotly-plot .heatmaplayer")).to_be_visible()
            shown.set_viewport_size({"width": 390, "height": 844})
            assert shown.evaluate("document.documentElement.scrollWidth") <= 390
            assert sweep_id in shown.url
            shown.context.close()
            assert watched.problems == []
    finally:
        store.close()


def test_the_page_never_imports_optuna() -> None:
    check = "import app.sweeps.view, app.sweeps.form, ssam.jobs.client; import sys; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


# What diverged


@pytest.fixture
def two_rates(store: Store) -> str:
    """A grid of lr = 0.01, 100, whose second setting diverged; and two sparsities, so that there is a map."""
    spec = parse_sweep({"base": BASE, "vary": ["lr=0.01,100", "lane1.sparsity=0.5,0.8"]})
    sweep_id = store.sweeps.create(spec, "two rates", owner(ALICE))
    for number, values in enumerate(spec.points):
        trial = Trial(number, 0, values)
        if values["lr"] == 0.01:
            fake_sweep.add(store, owner(ALICE), sweep_id, trial)
        else:
            store.sweeps.add(sweep_id, [trial])
            store.sweeps.close(sweep_id, trial, "diverged")
    store.sweeps.transition(sweep_id, ("running",), "finished")
    return sweep_id


def test_the_command_lists_what_diverged_too(store: Store, two_rates: str) -> None:
    found, trials = store.sweeps.get(two_rates), store.sweeps.trials(two_rates)
    assert found
    rows = [line.split() for line in command.trial_table(found, trials)]
    assert [float(row[0]) for row in rows if "diverged" in row] == [100.0, 100.0]
    told = command.result_of(store, found, trials)["settings"]
    assert [(one["values"]["lr"], one["state"], one["score"] is None) for one in told] == [
        (0.01, "done", False),
        (0.01, "done", False),
        (100, "diverged", True),
        (100, "diverged", True),
    ]


def test_every_table_of_settings_lists_what_diverged(store: Store, two_rates: str) -> None:
    found = store.sweeps.get(two_rates)
    assert found
    known = points(found.spec, store.sweeps.trials(two_rates))
    pair = charts.map_fields(found.spec)
    assert pair
    heatmap = charts.heatmap(found.spec, known, *pair)
    for shown, count in (
        (heatmap, 2),
        (charts.parallel(found.spec, known), 2),
        (charts.slices(found.spec, known)[0], 1),
    ):
        assert sum("diverged" in row.values() for row in shown.rows) == count
        assert len(shown.rows) - count >= 1
    assert heatmap.figure["data"][1]["text"] == ["diverged", "diverged"]
    crosses = charts.slices(found.spec, known)[0].figure["data"][1]
    assert crosses["x"] == [100, 100]
