"""Several races side by side: what belongs together, what the seeds tell, the curves, and the page."""

import io
import random
import re
import statistics
from contextlib import closing
from pathlib import Path

import pandas
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from streamlit.testing.v1 import AppTest

from app.compare import charts, text, view
from app.compare import groups as compare_groups
from app.compare import query as compare_query
from app.compare.charts import DEVIATION, EACH, MINMAX
from app.compare.groups import Group
from app.flatness import query
from app.shell.identity import COOKIE
from app.ui import recorded, texts
from ssam.experiment import RaceSpec, parse_spec
from ssam.stats.paired import sentence
from ssam.store import Store
from ssam.store.compare_queries import of_window
from tests import fake_class, fake_flatness, fake_lab
from tests.browser import Watched, app_server
from tests.golden import Golden
from tests.patience import SECONDS
from tests.people import ALICE, BOB, SESSION, open_page, owner

ROOT = Path(__file__).resolve().parents[1]
LAST = fake_class.SPEC.epochs


@pytest.fixture
def kept(tmp_path: Path, database_url: str):
    with closing(Store(tmp_path / "home", database_url)) as store:
        yield store


def finished(store: Store, seed: int, spec: RaceSpec = fake_class.SPEC, who: str = "ada") -> str:
    return fake_class.finish(store, who, seed, None, spec)


def grouped(store: Store, ids: list[str]) -> dict[str, Group]:
    return {group.title: group for group in compare_groups.groups(store.curves.records(ids))}


# What belongs together


def test_lanes_are_grouped_by_what_they_were_trained_with() -> None:
    base = parse_spec({"lanes": "sgd,sam,ssam-f", "rho": 0.1, "sparsity": 0.5})

    def keys(**changed: object) -> list[str]:
        spec = parse_spec(changed, base)
        return [compare_groups.key_of(spec, place) for place in range(len(spec.lanes))]

    assert keys() == keys(seed=7)
    assert keys()[0] == keys(rho=0.3, sparsity=0.9, mask_interval=2)[0], "SGD has none of these"
    assert keys()[1] == keys(sparsity=0.9)[1] != keys(rho=0.3)[1]
    assert keys()[2] != keys(sparsity=0.9)[2]
    assert keys()[1] == keys(lanes="sam:rho=0.1", rho=0.4)[0], "wherever rho is said"
    assert keys()[0] != keys(epochs=9)[0]
    assert not set(keys()) & set(keys(lr=0.01))
    assert len(set(keys())) == 3
    budget = [
        compare_groups.key_of(parse_spec({"clock": "gradients", "lanes": lanes}), 0) for lanes in ("sgd", "sgd,sam")
    ]
    assert budget[0] != budget[1], "SGD gets twice as many steps beside SAM"


def test_a_seed_counts_once_and_only_what_has_finished(kept: Store) -> None:
    ids = [finished(kept, seed) for seed in (0, 1)]
    again = fake_class.begin(kept, "bob", 1, None)
    going = fake_class.begin(kept, "ada", 2, None)
    fake_class.advance(kept, going, range(1, 4))
    queued = kept.runs.create(fake_class.SPEC.model_copy(update={"seed": 3}), "q", "ada")
    groups = grouped(kept, [going, again, *ids, queued])
    assert list(groups) == ["SGD", "SAM", "SSAM-F", "SSAM-D"]
    sam = groups["SAM"]
    assert [member.run.id for member in sam.members] == [*ids, going, queued]
    assert (len(sam.finished), sam.repeated, re.findall(r"\d", text.seeds(sam))) == (2, 1, ["2", "2"])
    assert sam.accuracies == {
        seed: pytest.approx(100 * fake_class.accuracy("sam", seed, LAST, LAST)) for seed in (0, 1)
    }
    found = compare_groups.against(list(groups.values()), groups["SGD"])[sam.key]
    by_hand = [sam.accuracies[seed] - groups["SGD"].accuracies[seed] for seed in (0, 1)]
    assert (found.pairs, found.mean) == (2, pytest.approx(statistics.fmean(by_hand)))
    assert found.verdict == "too few pairs"


def test_all_lanes_that_are_shown_are_one_family(kept: Store) -> None:
    every = list(grouped(kept, [finished(kept, seed) for seed in range(3)]).values())
    sgd = every[0]
    three = compare_groups.against(every, sgd)
    alone = compare_groups.against(every[:2], sgd)
    assert list(three) == [group.key for group in every[1:]]
    assert {found.comparisons for found in three.values()} == {3}
    assert alone[every[1].key].adjusted == three[every[1].key].p
    rows = text.accuracy_rows(every, sgd)
    assert [row["Verdict"] for row in rows] == ["–", *(found.verdict for found in three.values())]
    said = text.summary(every, sgd)
    for group in every[1:]:
        assert sentence(f"**{texts.plain(group.title)}**", "**SGD**", three[group.key]) in said


def test_titles_say_what_sets_lanes_apart(kept: Store) -> None:
    ids = [finished(kept, 0), finished(kept, 1, parse_spec({"epochs": 3}, fake_class.SPEC))]
    titles = list(grouped(kept, ids))
    assert titles[:2] == [f"SGD, epochs {LAST}", "SGD, epochs 3"]
    rhos = [finished(kept, seed, parse_spec({"lanes": f"sgd,sam:rho={rho}"})) for seed, rho in ((2, 0.1), (3, 0.4))]
    assert list(grouped(kept, rhos)) == ["SGD", "SAM ρ 0.1", "SAM ρ 0.4"]
    assert len({group.style for group in grouped(kept, [*ids, *rhos]).values()}) == len(grouped(kept, [*ids, *rhos]))


def test_sharpness_is_shown_by_estimator_and_setting(store: Store) -> None:
    run = fake_lab.race(store, "ada")
    fake_flatness.measure(store, run, query.default("sharpness"), "ada")
    rows = text.sharpness_rows(list(grouped(store, [run.id]).values()))
    analysis = store.analyses.of_race(run.id)[0]
    assert len(rows) == len(analysis.result["rows"])
    assert {row["Seeds"] for row in rows} == {"1"}
    assert any(row["Measure"].startswith("m-sharpness (ρ 0.1") for row in rows)


# Curves


def test_smoothing_is_the_mean_of_the_last_points() -> None:
    values = [random.Random(3).random() for _ in range(20)]
    assert charts.smoothed(values, 1) == pytest.approx(values)
    for at, value in enumerate(charts.smoothed(values, 5)):
        window = values[max(0, at - 4) : at + 1]
        assert value == pytest.approx(sum(window) / len(window))


def test_a_band_is_what_it_says() -> None:
    curves = [{1.0: (10.0, 1.0), 2.0: (20.0, 3.0)}, {1.0: (14.0, 5.0), 2.0: (22.0, 3.0), 3.0: (30.0, 9.0)}]
    assert charts.band(curves, MINMAX) == [(12.0, 3.0, 1.0, 5.0), (21.0, 3.0, 3.0, 3.0)]
    half = statistics.stdev([1.0, 5.0])
    assert charts.band(curves, DEVIATION)[0] == (12.0, 3.0, 3.0 - half, 3.0 + half)


def test_the_heights_stay_whatever_is_chosen(kept: Store) -> None:
    every = list(grouped(kept, [finished(kept, seed) for seed in range(3)]).values())
    drawn = [
        charts.figure(every, shown, every[0], x, "test_accuracy", smooth, kind)
        for shown, x, smooth, kind in (
            (every, "epoch", 1, MINMAX),
            (every[2:3], "seconds", 5, DEVIATION),
            ([], "gradients", 3, EACH),
        )
    ]
    assert len({tuple(figure["layout"]["yaxis"]["autorangeoptions"]["include"]) for figure in drawn}) == 1
    assert len({figure["layout"]["yaxis"]["uirevision"] for figure in drawn}) == 1
    named = [[trace["name"] for trace in figure["data"] if "name" in trace] for figure in drawn]
    first = [[name.split(", ")[0] for name in names] for names in named]
    assert first[0][-1] == "SGD (baseline)", "the baseline lies on top"
    assert first[1:] == [["SSAM-F", "SGD (baseline)"], ["SGD (baseline)"] * 3]
    assert [name[-1] for name in named[2]] == ["0", "1", "2"], "one seed each"
    faint = [trace for trace in drawn[1]["data"] if trace.get("opacity") == 0.35]
    assert len(faint) == 2, "what was smoothed lies faint behind"
    mean = statistics.fmean(member.record.course[0].test_accuracy for member in every[2].members)
    assert faint[0]["y"][0] == pytest.approx(100 * mean)


# The page


def page(token: str = ALICE, **address: str) -> AppTest:
    return open_page("compare", token, **address)


def said(app: AppTest) -> str:
    return "\n".join(part.value for part in app.markdown)


def test_races_of_an_address_are_compared(store: Store) -> None:
    ids = [finished(store, seed, who=owner(ALICE)) for seed in range(3)]
    app = page(runs=",".join(ids), smooth="3", x="gradients", band="sd")
    assert "**SAM**" in said(app)
    assert "3 seeds" in said(app)
    table = app.table[1].value
    assert list(table["Pairs"]) == ["–", "3", "3", "3"]
    assert list(table["Seeds"]) == ["3"] * 4
    assert app.selectbox(key="cmp_x").value == "gradients"
    app.selectbox(key="cmp_x").set_value("epoch").run()
    keys = [group.key for group in compare_groups.groups(store.curves.records(ids))]
    app.multiselect(key="cmp_lanes").set_value(keys[1:2]).run()
    app.selectbox(key="cmp_baseline").set_value(keys[2]).run()
    assert not app.exception
    assert dict(app.query_params) == {
        "runs": ",".join(ids),
        "lanes": keys[1],
        "baseline": keys[2],
        "smooth": "3",
        "band": "sd",
    }
    assert "Against **SSAM-F**" in said(app)
    assert "SSAM-D" not in said(app)


def test_without_a_race_a_recorded_one_is_compared(store: Store) -> None:
    app = page()
    assert not app.warning
    assert app.query_params["runs"] == compare_query.FIRST
    spec, ends = recorded.read(compare_query.FIRST).run.spec, recorded.read(compare_query.FIRST).run.result
    assert ends
    assert list(app.table[1].value["Seeds"]) == ["1"] * len(spec.lanes)
    finals = {f"{100 * lane['test_accuracy']:.2f}" for lane in ends["lanes"]}
    assert set(app.table[1].value["Final accuracy, %"]) == finals
    assert "not yours" in app.caption[0].value
    app.multiselect(key="cmp_runs").set_value(recorded.names()[:2]).run()
    assert not app.exception
    assert app.query_params["runs"] == ",".join(recorded.names()[:2])
    assert len([caption for caption in app.caption if "not yours" in caption.value]) == 2
    finished(store, 0, who=owner(ALICE))
    assert not page().multiselect(key="cmp_runs").value, "one has one's own to choose from"
    assert len(page().multiselect(key="cmp_runs").options) == 1


def test_a_recorded_race_is_read_as_one_of_the_store(kept: Store) -> None:
    run = kept.runs.get(finished(kept, 0))
    assert run
    (record,) = kept.curves.records([run.id])
    window = kept.curves.window(run.id)
    assert window
    again = of_window(run, window)
    assert [(lane.state, lane.course, lane.result) for lane in again.lanes] == [
        (lane.state, lane.course, lane.result) for lane in record.lanes
    ]


def test_too_few_seeds_are_said_to_be_too_few(store: Store, golden: Golden) -> None:
    app = page(runs=",".join(finished(store, seed, who=owner(ALICE)) for seed in range(2)))
    golden("compare", "too few seeds", said(app))
    assert set(app.table[1].value["Verdict"][1:]) == {"too few pairs"}


def test_who_has_the_address_of_a_race_may_compare_it_and_nobody_else_is_offered_it(store: Store) -> None:
    own, other = finished(store, 0, who=owner(ALICE)), finished(store, 1, who=owner(BOB))
    assert len(page().multiselect(key="cmp_runs").options) == 1
    app = page(runs=f"{own},{other}")
    assert len(app.multiselect(key="cmp_runs").value) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"runs": "nothing,nowhere"}, "2 of 2 races"),
        ({"x": "miles"}, "x 'miles' must be one of epoch, gradients, seconds"),
        ({"smooth": "4"}, "smooth '4' must be one of 1, 3, 5, 10"),
        ({"color": "red"}, "'color' is no setting here; allowed: runs, lanes, baseline"),
        ({"runs": ",".join(map(str, range(61)))}, "runs: 61 races are too many; at most 60"),
        ({"baseline": "<b>"}, "must be keys of lanes, as this page writes them"),
    ],
)
def test_a_bad_address_is_one_line(store: Store, words: dict[str, str], says: str) -> None:
    app = page(**words)
    assert says in app.warning[0].value.replace("\\", "")


def test_an_analysis_and_a_deleted_race_are_not_here(store: Store) -> None:
    run = fake_lab.race(store, owner(ALICE))
    fake_flatness.measure(store, run, query.default("sharpness"), owner(ALICE))
    gone = finished(store, 0, who=owner(ALICE))
    store.runs.soft_delete(gone)
    assert store.curves.records([gone, store.analyses.of_race(run.id)[0].id]) == []
    app = page(runs=f"{run.id},{gone}")
    assert "1 of 2 " in app.warning[0].value


def test_the_file_holds_the_numbers_of_the_table(kept: Store) -> None:
    every = list(grouped(kept, [finished(kept, seed) for seed in range(4)]).values())
    told = pandas.read_csv(io.StringIO(view.csv(every, every[0]))).set_index("lane")
    found = compare_groups.against(every, every[0])[every[1].key]
    assert told.loc["SAM", "test_accuracy_percent_mean"] == pytest.approx(
        statistics.fmean(every[1].accuracies.values())
    )
    assert told.loc["SAM", "test_accuracy_percent_sd"] == pytest.approx(statistics.stdev(every[1].accuracies.values()))
    row = told.loc["SAM", ["pairs", "difference_points", "interval_low", "interval_high", "p_of_this_pair", "p_holm"]]
    assert list(row) == pytest.approx([found.pairs, found.mean, *found.interval, found.p, found.adjusted])
    assert told.loc["SAM", "verdict"] == found.verdict
    assert told.loc["SGD", ["pairs", "difference_points"]].isna().all()


def test_the_chosen_runs_go_to_compare(store: Store) -> None:
    ids = [finished(store, seed, who=owner(ALICE)) for seed in range(2)]
    app = AppTest.from_file(str(ROOT / "pages" / "runs.py"), default_timeout=SECONDS)
    app.session_state[SESSION], app.session_state["runs_chosen"] = ALICE, ids
    app.run()
    assert app.button(key="runs_compare").label == "Compare"


def choose(page: Page, select: str, option: str) -> None:
    page.get_by_role("combobox", name=select).click()
    page.get_by_role("option", name=option).click()


def zoom(page: Page, plot: Locator) -> None:
    """Draws a box around the middle of it."""
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"], steps=5)
    page.mouse.up()


@pytest.mark.browser
@pytest.mark.slow
def test_in_a_browser_runs_are_compared_and_the_heights_stay(tmp_path: Path, browser: Browser) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    for seed in range(3):
        finished(store, seed, who=owner(ALICE))
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            page = watched.page
            page.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
            page.goto(f"{address}/runs")
            page.get_by_role("checkbox", name="Select all").check()
            page.get_by_role("button", name="Compare", exact=True).click()
            expect(page.get_by_role("heading", name="seeds")).to_be_visible()
            assert page.url.partition("runs=")[2].count("%2C") == 2
            plot = page.locator(".st-key-cmp_chart .js-plotly-plot")
            expect(plot.locator(".scatterlayer .trace").first).to_be_attached()
            read = "document.querySelector('.st-key-cmp_chart .js-plotly-plot')._fullLayout.yaxis.range"
            whole = page.evaluate(read)
            choose(page, "Smoothing", "Mean of the last 3")
            expect(page.get_by_text("last 3 evaluations")).to_be_visible()
            assert page.evaluate(read) == whole
            zoom(page, plot)
            near = page.evaluate(read)
            assert near[1] - near[0] < 0.7 * (whole[1] - whole[0])
            choose(page, "Smoothing", "Mean of the last 5")
            expect(page.get_by_text("last 5 evaluations")).to_be_visible()
            choose(page, "x-axis", "Gradient evaluations")
            expect(plot.get_by_text(re.compile("^gradient"))).to_be_visible()
            assert page.evaluate(read) == near, "the heights stay where the reader has zoomed to"
            choose(page, "Metric", "Test loss")
            expect(plot.get_by_text("Test loss")).to_be_visible()
            assert page.evaluate(read) != near, "which says nothing of another curve"
            assert "smooth=5" in page.url
            page.set_viewport_size({"width": 390, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.context.close()
            assert [
                said for said in watched.problems if "404" not in said
            ] == []  # Streamlit looks for its server under the page first
    finally:
        store.close()


def test_keys_that_addresses_hold_stay_and_own_epochs_are_those_of_a_shorter_race() -> None:
    spec = parse_spec({"lanes": "sgd,sam:rho=0.3,ssam-f:region=late:norm=masked", "epochs": 7, "lr": 0.03})
    spec = parse_spec({"label_noise": 0.4}, spec)
    assert [compare_groups.key_of(spec, place) for place in range(3)] == ["ae5b5343", "fb40df4e", "b33d1171"]
    own = parse_spec({"lanes": "sgd:epochs=7:lr=0.03,sam", "epochs": 12, "lr": 0.1}, spec)
    assert compare_groups.key_of(own, 0) == compare_groups.key_of(spec, 0)
    assert compare_groups.key_of(parse_spec({"lanes": "sgd:ema=0.9"}, spec), 0) != compare_groups.key_of(spec, 0)
    assert compare_groups.key_of(parse_spec({"lanes": "sgd:base=adamw"}, spec), 0) != compare_groups.key_of(spec, 0)
