"""The masks page: what it counts, what it draws and says of it, its address, and the masks played in a browser."""

import base64
import csv
import io
import itertools
import json
import math
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from app.masks import charts as masks_charts
from app.masks import data, fisher, overlap, query, views
from app.masks import panel as masks_panel
from app.masks import text as masks_text
from app.masks.data import Lane
from app.shell.identity import COOKIE
from app.ui import recorded, step_plan, theme
from ssam.experiment import parse_spec
from ssam.experiment.analysis import AnalysisSpec
from ssam.store import Run, Store
from tests import fake_masks
from tests.browser import Watched, app_server
from tests.components import every
from tests.fake_masks import LAYERS, SIZES, mask
from tests.golden import Golden, assert_one_line_error
from tests.patience import SECONDS
from tests.people import ALICE, BOB, SESSION, address_of, open_page, owner

ROOT = Path(__file__).resolve().parents[1]
SPEC = parse_spec({"lanes": "sgd,sam,ssam-f,ssam-d"})
F, D = 2, 3  # places of the lanes with masks
TOLD = [{"name": layer.name, "stage": layer.stage, "shape": list(layer.shape)} for layer in LAYERS]


def race(store: Store, token: str = ALICE, lanes: str = "sgd,sam,ssam-f,ssam-d", **more: object) -> Run:
    return fake_masks.race(store, parse_spec({"lanes": lanes}), owner(token), **more)


def lanes(store: Store, run: Run) -> list[Lane]:
    window = store.curves.window(run.id)
    assert window
    return data.lanes(store.curves, run, window, step_plan.masked_lanes(run.spec))


# What is counted, against its slow definition


def test_overlap_is_intersection_over_union() -> None:
    draws = np.random.default_rng(0)
    for size in (1, 7, 8, 9, 1000):
        a, b = draws.random(size) < 0.3, draws.random(size) < 0.6
        both, either = sum(map(min, a, b)), sum(map(max, a, b))
        expected = both / either if either else 1.0
        assert overlap.iou(np.packbits(a), np.packbits(b)) == pytest.approx(expected)
    nothing = np.packbits(np.zeros(9, dtype=bool))
    assert overlap.iou(nothing, nothing) == 1.0


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.5), (0.2, 0.7), (1.0, 0.3), (0.0, 0.4)])
def test_chance_is_what_random_masks_overlap(first: float, second: float) -> None:
    draws = np.random.default_rng(1)
    a, b = draws.random(200_000) < first, draws.random(200_000) < second
    assert overlap.chance(first, second) == pytest.approx((a & b).sum() / (a | b).sum(), abs=0.005)


def test_chance_within_layers_knows_their_densities() -> None:
    draws = np.random.default_rng(2)
    first, second, each = (0.9, 0.1), (0.8, 0.3), (50_000, 150_000)
    a, b = (
        np.concatenate([draws.random(size) < share for size, share in zip(each, shares, strict=True)])
        for shares in (first, second)
    )
    expected = (a & b).sum() / (a | b).sum()
    assert overlap.chance_by_layer(first, second, each) == pytest.approx(expected, abs=0.005)
    assert overlap.chance_by_layer([0.5, 0.5], [0.5, 0.5], each) == pytest.approx(1 / 3)
    assert overlap.chance_by_layer([0.0], [0.0], [9]) == 1.0, "two empty masks overlap fully, as they do in fact"


@pytest.mark.parametrize(("size", "total", "on"), [(3, 8, 4), (5, 9, 2), (1, 6, 3), (6, 6, 3)])
def test_the_spread_of_a_layer_is_the_hypergeometric_one(size: int, total: int, on: int) -> None:
    """Against every mask that there is."""
    shares = [sum(place < size for place in chosen) / size for chosen in itertools.combinations(range(total), on)]
    density = on / total
    found = overlap.spread(size, total) * math.sqrt(density * (1 - density))
    assert found == pytest.approx(float(np.std(shares)))


def test_counts_are_sums_of_masks() -> None:
    masks_ = [mask(F, number) for number in range(6)]
    found = overlap.counts([np.packbits(one) for one in masks_], SIZES[0], SIZES[1] + 3)
    assert found.tolist() == np.sum(masks_, axis=0)[SIZES[0] : SIZES[0] + SIZES[1] + 3].tolist()


def test_how_often_by_chance_is_the_binomial_distribution() -> None:
    binomial = [math.comb(7, k) * 0.3**k * 0.7 ** (7 - k) for k in range(8)]
    assert overlap.by_chance([0.3] * 7) == pytest.approx(binomial)


def test_how_often_by_chance_with_unequal_densities() -> None:
    """Against every outcome that there is."""
    densities, slow = (0.1, 0.5, 0.9, 0.3), np.zeros(5)
    for outcome in itertools.product((0, 1), repeat=4):
        slow[sum(outcome)] += math.prod(d if on else 1 - d for d, on in zip(densities, outcome, strict=True))
    assert overlap.by_chance(densities) == pytest.approx(slow)


def test_pooling_keeps_the_mean_of_patches() -> None:
    values = np.random.default_rng(0).random((10, 7))
    pooled = overlap.pooled(values, 5)
    assert pooled.shape == (5, 5)
    assert pooled[0, 0] == pytest.approx(values[:2, :1].mean())
    assert overlap.pooled(values, 10) is values


# What is read


def test_densities_of_every_mask_are_read(store: Store) -> None:
    run = race(store)
    found = store.curves.mask_densities(run.id, SPEC.lane_names[F])
    assert [(step, epoch) for step, epoch, _ in found] == [(10 * n + 1, n) for n in range(5)]
    expected = {name: part.mean() for name, part in fake_masks.by_layer(mask(F, 3)).items()}
    assert found[3][2] == pytest.approx(expected)
    assert store.curves.mask_densities(run.id, "sgd") == store.curves.mask_densities("nowhere", "sgd") == []


def test_lanes_between_them(store: Store) -> None:
    run = race(store)
    (pair,) = data.pairs(store.curves, run.id, lanes(store, run), TOLD)
    assert pair.epochs == [0, 1, 2, 3, 4]
    for number, found in enumerate(pair.iou):
        a, b = mask(F, number), mask(D, number)
        assert found == pytest.approx((a & b).sum() / (a | b).sum())
    assert pair.chance[2] == pytest.approx(overlap.chance(mask(F, 2).mean(), mask(D, 2).mean()))
    assert pair.by_layer[2] > pair.chance[2], "both like the same layer"


def test_overlap_with_the_first_mask(store: Store) -> None:
    run = race(store)
    first = data.since_first(store.curves, run.id, lanes(store, run)[0], TOLD)
    a, b = mask(F, 0), mask(F, 4)
    assert first[0.0] == 1
    assert first[4.0] == pytest.approx((a & b).sum() / (a | b).sum())


def test_how_often_each_weight_of_a_layer(store: Store) -> None:
    run = race(store)
    found = data.often(store.curves, run.id, lanes(store, run)[1], TOLD, "head.linear.weight")
    assert found
    slow = sum(fake_masks.by_layer(mask(D, number))["head.linear.weight"].astype(int) for number in range(5))
    assert np.array_equal(found.counts, slow)
    assert found.shares == pytest.approx([(slow == times).mean() for times in range(6)])
    assert (found.shares.sum(), found.expected.sum()) == pytest.approx((1, 1))


def test_of_many_masks_some_are_looked_at_and_the_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MOST", 20)
    run = race(store, masks=50, lanes="ssam-f", bits=False)
    (lane,) = lanes(store, run)
    assert len(lane.refreshes) == 50
    assert [refresh.epoch for refresh in lane.some] == [*range(0, 50, 4), 49]
    assert data.at(lane, 9.5) == 2
    assert data.at(lane, None) == len(lane.some) - 1


def test_an_old_race_has_no_exact_masks(store: Store) -> None:
    run = race(store, bits=False)
    shown = lanes(store, run)
    assert data.pairs(store.curves, run.id, shown, TOLD) == []
    assert data.since_first(store.curves, run.id, shown[0], TOLD) == {}
    assert data.often(store.curves, run.id, shown[0], TOLD, LAYERS[0].name) is None
    assert not data.has_bits(store.curves, run.id, shown[0], TOLD)


# What the browser is told


def unpacked(lane: dict) -> np.ndarray:
    pixels = zlib.decompress(base64.b64decode(lane["pictures"]))
    return np.frombuffer(pixels, np.uint8).reshape(-1, lane["rows"], lane["columns"])


def test_all_that_is_played_is_sent_at_once(store: Store) -> None:
    run = race(store)
    window = store.curves.window(run.id)
    assert window
    told = masks_panel.network(store.curves, window, lanes(store, run), "stem.conv.weight", 2.0)
    json.dumps(told)
    assert (told["epochs"], told["epoch"]) == ([0, 1, 2, 3, 4], 2)
    for lane, place in zip(told["lanes"], (F, D), strict=True):
        assert lane["which"] == [0, 1, 2, 3, 4]
        densities = np.frombuffer(base64.b64decode(lane["densities"]), "<f4").reshape(5, len(LAYERS))
        for number in range(5):
            parts = fake_masks.by_layer(mask(place, number))
            assert np.array_equal(unpacked(lane)[number] == 255, parts["stem.conv.weight"].reshape(4, -1))
            assert densities[number] == pytest.approx([part.mean() for part in parts.values()])
    assert [layer["size"] for layer in told["layers"]] == list(SIZES)


def test_a_picture_that_is_gone_is_said_to_be(store: Store) -> None:
    run = race(store)
    for file in (store.run_folder(run.id) / "masks").glob(f"{F}-*"):
        if file.stem.endswith("-11"):
            file.unlink()
    window = store.curves.window(run.id)
    assert window
    told = masks_panel.network(store.curves, window, lanes(store, run), "stem.conv.weight", None)
    assert told["lanes"][0]["kept"] == [True, False, True, True, True]


def test_how_often_is_one_picture_a_lane(store: Store) -> None:
    run = race(store)
    found = [
        one for lane in lanes(store, run) if (one := data.often(store.curves, run.id, lane, TOLD, "head.linear.weight"))
    ]
    told = masks_panel.often(run.id, "head.linear.weight", found)
    assert np.array_equal(unpacked(told["lanes"][0])[0], np.round(255 * found[0].counts / 5))
    assert told["lanes"][0]["words"][1] == "5 masks"


# Charts, words and files


def test_charts_of_training_carry_chance(store: Store) -> None:
    run = race(store)
    shown = lanes(store, run)
    measured, chance = masks_charts.overlap(shown)["data"][:2]
    assert measured["y"] == [refresh.overlap for refresh in shown[0].refreshes[1:]]
    assert chance["line"]["dash"] == "dot"
    assert chance["y"][0] == pytest.approx(overlap.chance(mask(F, 0).mean(), mask(F, 1).mean()))
    between = masks_charts.between(data.pairs(store.curves, run.id, shown, TOLD))["data"]
    assert [trace["line"]["dash"] for trace in between] == ["solid", "dash", "dot"]
    assert between[0]["name"] == "SSAM-F and SSAM-D"
    assert masks_charts.changed(shown)["data"][1]["line"]["color"] == theme.METHOD_STYLES["ssam-d"].color


def test_a_histogram_counts_every_weight_and_is_not_too_fine(store: Store) -> None:
    run = race(store, masks=40, lanes="sgd,ssam-f")
    found = data.often(store.curves, run.id, lanes(store, run)[0], TOLD, LAYERS[0].name)
    assert found
    bars, chance = masks_charts.histogram(run.spec, found)["data"]
    assert len(bars["y"]) == masks_charts.BARS
    assert (sum(bars["y"]), sum(chance["y"])) == pytest.approx((100, 100))


def test_layers_beside_chance_are_named() -> None:
    big = [{"name": name, "shape": [100, 100]} for name in ("a", "b", "c")]
    assert masks_text.odd_layers(0.5, {"a": 0.6, "b": 0.5, "c": 0.4}, big) == (["a"], ["c"])
    assert masks_text.odd_layers(0.5, {"a": 0.505, "b": 0.5, "c": 0.495}, big) == ([], []), "within 2 sd of 0.0041"


def test_words_carry_the_numbers(store: Store, golden: Golden) -> None:
    run = race(store)
    shown = lanes(store, run)
    pairs = data.pairs(store.curves, run.id, shown, TOLD)
    first = {lane.name: data.since_first(store.curves, run.id, lane, TOLD) for lane in shown}
    words = masks_text.training(shown, pairs, first)
    golden("masks", "in words", words, masks_text.network(shown, TOLD))
    assert re.search(f"{pairs[0].iou[-1]:.3f}.*{pairs[0].chance[-1]:.3f}", words)
    assert f"{100 * mask(F, 4).mean():.1f}%" in masks_text.network(shown, TOLD)


def test_the_files_hold_the_masks(store: Store) -> None:
    run = race(store)
    shown = lanes(store, run)
    lines = list(csv.DictReader(io.StringIO(views.table_csv(shown))))
    assert len(lines) == 10
    assert lines[0]["changed"] == ""
    assert float(lines[-1]["density of stem.norm.weight"]) == pytest.approx(mask(D, 4)[SIZES[0] :][: SIZES[1]].mean())
    with np.load(io.BytesIO(views.npz(store.curves, run.id, shown[0], TOLD)), allow_pickle=False) as file:
        assert file["steps"].tolist() == [1, 11, 21, 31, 41]
        assert np.array_equal(file["stem.conv.weight"][3], fake_masks.by_layer(mask(F, 3))["stem.conv.weight"])


def fisher_rows(store: Store, run: Run, what: str) -> list[dict]:
    made = store.runs.get(fake_masks.measure(store, run, owner(ALICE)))
    assert made
    assert made.result
    return [row for row in made.result["rows"] if row["what"] == what]


def test_fisher_stages_pair_mass_with_compute(store: Store) -> None:
    run = race(store)
    shares, dense = masks_charts.fisher_stages(run.spec, fisher_rows(store, run, "stage"))
    weights, compute, *mass = shares["data"]
    assert (weights["y"], compute["y"]) == ([40, 60], [90, 10])
    assert [trace["y"] for trace in mass] == [[60, 40]] * 4
    assert [trace["name"] for trace in dense["data"]] == ["SSAM-F", "SSAM-D"]
    assert ["SGD, SAM" in note["text"] for note in dense["layout"]["annotations"]] == [True]


def test_fisher_patterns_show_the_density_made(store: Store) -> None:
    run = race(store)
    figure = masks_charts.fisher_patterns(run.spec, fisher_rows(store, run, "pattern"))
    bars = [trace for trace in figure["data"] if trace["type"] == "bar"]
    assert bars[0]["y"] == pytest.approx([90, 80, 70, 60, 50, None]), "SGD has no mask of its own"
    assert bars[2]["y"][-1] == pytest.approx(40)
    marks = figure["data"][-1]["y"][0::3]
    assert marks[:6] == [50, 50, 40, 50, 50, None]
    noted = {note["hovertext"] for note in figure["layout"]["annotations"]}
    assert len(noted) == 2
    assert {one.rpartition(", ")[2] for one in noted} == {"SGD: no mask", "SAM: no mask"}


def test_fisher_overlaps_stand_beside_chance(store: Store) -> None:
    run = race(store)
    figure = masks_charts.fisher_overlaps(run.spec, fisher_rows(store, run, "overlap"))
    exact, random = figure["data"][:2]
    assert (exact["y"], random["y"]) == ([0.7, 0.7], [0.34, 0.34])
    assert figure["data"][-1]["y"][0] == pytest.approx(1 / 3)


# The page


def page(token: str = ALICE, **address: str) -> AppTest:
    return open_page("masks", token, **address)


def plots(app: AppTest) -> list[dict]:
    return [chart["figure"] for chart in every(app, "plot")]


@pytest.mark.parametrize(("view", "charts"), [("network", 0), ("training", 2), ("often", 0), ("fisher", 0)])
def test_without_a_race_a_recorded_one_is_shown(store: Store, golden: Golden, view: str, charts: int) -> None:
    app = page(view=view)
    assert not app.warning
    assert address_of(app) == {"run": query.FIRST, "view": view}
    assert len(plots(app)) == charts
    assert not [button for button in app.button if button.key == "masks_measure"], "it has no weights"
    assert "not yours" in app.caption[0].value
    assert len(app.get("page_link")) == 1
    golden("masks", f"recorded, {view}", *(part.value for part in app.info))


def test_a_recorded_race_has_its_pictures_and_densities() -> None:
    for name in query.recordings():
        kept, source = recorded.read(name), data.of_recording(name)
        found = data.lanes(source, kept.run, kept.window, step_plan.masked_lanes(kept.run.spec))
        assert {lane.name for lane in found} == set(step_plan.masked_lanes(kept.run.spec))
        each = dict(zip((layer["name"] for layer in kept.window.layers), data.sizes(kept.window.layers), strict=True))
        for lane in found:
            newest = lane.refreshes[-1]
            whole = sum(newest.densities[layer] * size for layer, size in each.items()) / sum(each.values())
            assert whole == pytest.approx(newest.density, abs=1e-3), "the layers' densities make that of the network"
            assert data.picture(source, name, lane.name, next(iter(each)), newest.step)
        assert not data.has_bits(source, name, found[0], kept.window.layers)


def test_a_place_in_a_recorded_race_has_an_address(store: Store) -> None:
    (lane, *_) = step_plan.masked_lanes(recorded.read(query.FIRST).run.spec)
    address = {"run": query.FIRST, "view": "network", "lanes": lane, "epoch": "3"}
    app = page(**address)
    assert not app.warning
    assert address_of(app) == address
    (told,) = every(app, "masks")
    assert (told["run"], told["epoch"], [each["name"] for each in told["lanes"]]) == (query.FIRST, 3, [lane])


def test_a_race_of_ones_own_comes_first_and_a_recorded_one_can_be_chosen(store: Store) -> None:
    run = race(store)
    app = page()
    assert address_of(app)["run"] == run.id
    app.selectbox(key="masks_run").set_value(query.FIRST).run()
    assert not app.exception
    assert address_of(app)["run"] == query.FIRST


def test_a_recorded_race_gives_way_to_the_first_of_ones_own(store: Store) -> None:
    app = page()
    run = race(store)
    app.switch_page("../pages/race.py").run()
    app.switch_page("../pages/masks.py").run()
    assert not app.exception
    assert address_of(app)["run"] == run.id


@pytest.mark.parametrize(("view", "charts"), [("network", 0), ("training", 4), ("often", 2), ("fisher", 4)])
def test_every_view_is_drawn_and_told_in_words(store: Store, view: str, charts: int) -> None:
    run = race(store)
    fake_masks.measure(store, run, owner(ALICE))
    app = page(run=run.id, view=view)
    assert not app.warning
    assert len(plots(app)) == charts
    assert all(chart["words"] for chart in every(app, "plot"))
    (words,) = (expander for expander in app.expander if expander.label == "As text")
    assert "SSAM-F" in words.markdown[0].value
    assert "nan" not in words.markdown[0].value
    assert address_of(app) == {"run": run.id, "view": view}


@pytest.mark.parametrize("more", [{"layer": "stem.norm.weight", "epoch": "2"}, {"lanes": "ssam-d"}, {"epoch": "2.5"}])
def test_an_address_is_what_is_shown(store: Store, more: dict[str, str]) -> None:
    run = race(store)
    app = page(run=run.id, view="network", **more)
    assert not app.warning
    assert address_of(app) == {"run": run.id, "view": "network", **more}
    if "layer" in more:
        assert app.selectbox(key="masks_layer").value == more["layer"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"run": "nowhere"}, "There is no race 'nowhere' here."),
        ({"view": "magic"}, "view 'magic' must be one of network, training, often, fisher."),
        ({"layer": "nope"}, "layer 'nope' is none of this race's."),
        ({"lanes": "sgd"}, "lanes 'sgd' must be of ssam-f, ssam-d."),
        ({"epoch": "late"}, "epoch 'late' must be a number from 0."),
        ({"rho": "0.1"}, "'rho' is no setting here"),
    ],
)
def test_a_bad_address_gives_one_line_and_the_defaults(store: Store, address: dict[str, str], said: str) -> None:
    run = race(store)
    app = page(**{"run": run.id, **address})
    (warning,) = app.warning
    assert said in re.sub(r"\\(.)", r"\1", warning.value)
    assert "\n" not in warning.value
    assert address_of(app) == {"run": run.id, "view": "network"}


@pytest.mark.parametrize("epoch", ["nan", "-3", "1e400"])
def test_an_epoch_beyond_all_is_the_nearest_one(store: Store, epoch: str) -> None:
    run = race(store)
    assert not page(run=run.id, epoch=epoch).warning


def test_without_an_address_it_is_the_race_of_the_race_page(store: Store) -> None:
    shown, _ = race(store), race(store)
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION], app.session_state["run"] = ALICE, shown.id
    app.switch_page("../pages/masks.py").run()
    assert address_of(app)["run"] == shown.id


def test_an_analysis_is_no_race(store: Store) -> None:
    made = fake_masks.measure(store, race(store), owner(ALICE))
    assert_one_line_error(page(run=made).warning[0].value, [made])


def test_a_race_without_masks_says_so(store: Store) -> None:
    run = race(store, lanes="sgd,sam")
    app = page(run=run.id)
    assert any(text.value == masks_text.NO_MASKS for text in app.markdown)
    assert address_of(page())["run"] == query.FIRST, "one's own without masks are not offered"


@pytest.mark.parametrize("view", ["training", "often"])
def test_an_old_race_says_why_something_is_missing(store: Store, view: str) -> None:
    app = page(run=race(store, bits=False).id, view=view)
    assert "1,000,000 weights" in app.info[0].value
    assert len(plots(app)) == (2 if view == "training" else 0)
    assert not any(button.proto.label.endswith("(npz)") for button in app.get("download_button"))


@pytest.mark.parametrize(("state", "said"), [("running", masks_text.WAITS), ("failed", masks_text.NO_MASK_MADE)])
def test_a_race_without_a_first_mask_yet(store: Store, state: str, said: str) -> None:
    run = race(store, masks=0, state=state)
    assert any(text.value == said for text in page(run=run.id).markdown)


def test_a_running_race_shows_what_it_has(store: Store) -> None:
    run = race(store, masks=3, state="running")
    app = page(run=run.id, view="training")
    assert len(plots(app)[0]["data"][0]["x"]) == 2
    assert page(run=run.id, view="fisher").info[0].value == masks_text.LATER


def test_lanes_are_chosen_and_one_is_needed(store: Store) -> None:
    run = race(store)
    app = page(run=run.id, view="training")
    app.get("button_group")[1].set_value(["ssam-d"]).run()
    assert [trace["name"] for trace in plots(app)[0]["data"]] == ["SSAM-D"]
    assert address_of(app)["lanes"] == "ssam-d"
    app.get("button_group")[1].set_value([]).run()
    assert any(text.value == masks_text.NO_LANE for text in app.markdown)


def test_another_race_starts_afresh(store: Store) -> None:
    first, second = race(store), race(store, lanes="ssam-d,ssam:score=random")
    app = page(run=first.id, view="often", layer="stem.norm.weight", lanes="ssam-f")
    app.selectbox(key="masks_run").set_value(second.id).run()
    assert not app.exception
    assert address_of(app) == {"run": second.id, "view": "often"}


def test_measure_queues_the_fisher_information(store: Store) -> None:
    run = race(store)
    app = page(run=run.id, view="fisher")
    assert any("on this machine" in caption.value for caption in app.caption)
    app.button(key="masks_measure").click().run()
    assert not app.exception
    (made,) = store.analyses.of_race(run.id)
    assert made.analysis == AnalysisSpec(kind="fisher") == fisher.ANALYSIS
    assert not any(button.key == "masks_measure" for button in app.button)
    app.button(key="masks_stop").click().run()
    assert store.analyses.of_race(run.id)[0].state == "stopped"
    assert any(button.key == "masks_measure" for button in page(run=run.id, view="fisher").button)


def test_what_cannot_be_measured_is_said_in_one_line(store: Store) -> None:
    run = race(store)
    (store.run_folder(run.id) / "checkpoint.pt").unlink()
    app = page(run=run.id, view="fisher")
    app.button(key="masks_measure").click().run()
    assert "Not measured" in app.warning[0].value
    assert store.analyses.of_race(run.id) == []


def test_a_part_of_the_fisher_information_is_drawn_while_it_is_measured(store: Store) -> None:
    run = race(store)
    fake_masks.measure(store, run, owner(ALICE), state="running", lanes=1)
    app = page(run=run.id, view="fisher")
    assert len(plots(app)) == 2, "no mask of the first lane, so no overlap yet"
    assert not any(button.key == "masks_stop" for button in page(BOB, run=run.id, view="fisher").button)


def test_an_earlier_checkpoints_fisher_information_is_called_one(store: Store) -> None:
    run = race(store)
    fake_masks.measure(store, run, owner(ALICE))
    store.queue.record_checkpoint(run.id)
    app = page(run=run.id, view="fisher")
    assert "earlier checkpoint" in app.info[0].value
    assert any(button.key == "masks_measure" for button in app.button)


def test_a_shared_link_shows_somebody_elses_masks(store: Store) -> None:
    app = page(BOB, run=race(store).id, view="training")
    assert plots(app)
    assert any("omeone else's race" in caption.value for caption in app.caption)


@pytest.mark.parametrize(("lanes", "there"), [("sgd,ssam-f", True), ("sgd,sam", False)])
def test_a_race_with_masks_leads_here(store: Store, lanes: str, there: bool) -> None:
    run = race(store, lanes=lanes, state="stopped")
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = ALICE
    app.query_params["run"] = run.id
    app.run()
    assert not app.exception
    links = [link.proto for link in app.get("page_link") if link.proto.label == "Masks"]
    assert bool(links) == there
    assert all(run.id in link.query_string for link in links)


def test_the_pages_modules_import_neither_torch_nor_scipy() -> None:
    check = "import app.masks.query, app.masks.views, sys; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


@pytest.mark.browser
@pytest.mark.slow
def test_masks_are_played_without_asking_the_server(tmp_path: Path, browser: Browser) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    run = race(store, masks=6)
    fake_masks.measure(store, run, owner(ALICE))
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            page = watched.page
            page.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
            page.goto(f"{address}/?run={run.id}")
            page.get_by_role("link", name="Masks").last.click()
            panel = page.get_by_test_id("masks")
            expect(panel.locator("canvas")).to_have_count(2)
            expect(panel).to_have_attribute("data-frame", "5")
            panel.get_by_role("button", name="Play").click()
            page.evaluate(  # what is told while it plays, and every frame that was shown
                """() => {
                  const send = WebSocket.prototype.send;
                  window.told = 0;
                  WebSocket.prototype.send = function (...all) { window.told += 1; return send.apply(this, all); };
                  const panel = document.querySelector('[data-testid="masks"]');
                  window.frames_ = [];
                  new MutationObserver(() => window.frames_.push([panel.dataset.frame, window.told])).observe(
                    panel, { attributeFilter: ["data-frame"] });
                }"""
            )
            expect(panel).to_have_attribute("data-frame", "5")
            frames = page.evaluate("window.frames_")
            assert [frame for frame, _ in frames][-4:] == ["2", "3", "4", "5"]
            assert {told for _, told in frames} == {0}
            panel.locator("input").fill("2")
            expect(panel.locator("output")).to_contain_text("epoch 3")
            page.wait_for_url("**epoch=2**")
            panel.get_by_role("button", name="stem.norm.weight").click()
            expect(panel.locator("h3")).to_contain_text("stem.norm.weight")
            expect(panel).to_have_attribute("data-frame", "2")
            assert "layer=stem.norm.weight" in page.url
            charts = page.locator(".js-plotly-plot")
            for title, count in (("Over training", 4), ("Selection frequency", 2), ("Fisher information", 4)):
                page.get_by_text(title, exact=True).click()
                expect(charts).to_have_count(count)
            page.get_by_text("Network", exact=True).click()
            page.set_viewport_size({"width": 390, "height": 844})
            expect(panel.locator("canvas").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.context.close()
            assert watched.hosts == {address.removeprefix("http://")}, "the page must not ask another host"
            assert watched.problems == []
    finally:
        store.close()
