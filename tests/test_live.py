"""The live panel: what a lane does in a step, as it is told and as it is drawn."""

import base64
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from torch import Tensor

from app.ui import live_payload as panel
from app.ui.step_plan import lane_steps, strip
from ssam.engine.plan import choose_plan
from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.events import EpochEvent, Event, LaneEnded, Layer, MaskEvent, Stage, Started
from ssam.masks import group_mask
from ssam.models import StagedModel, build_model, parameters_in, stage_shares
from ssam.planning.cost import Plan
from ssam.store import Store
from tests.browser import LIVE, Watched, app_server
from tests.components import data_of
from tests.fake_race import evaluation, started, step
from tests.race_page import page

ROOT = Path(__file__).resolve().parents[1]

# A network of three stages: half of the weights in the last, most of the compute in the first.
STAGES = (Stage("stem", 0.6), Stage("body", 0.3), Stage("head", 0.1))
LAYERS = (
    Layer("stem.conv.weight", "stem", (4, 10)),
    Layer("body.norm.weight", "body", (10,)),
    Layer("body.conv.weight", "body", (5, 10)),
    Layer("head.linear.weight", "head", (10, 10)),
)


def network(name: str) -> tuple[StagedModel, dict[str, Tensor], dict]:
    """A model, its parameters by layer, and what Started would tell of it."""
    model = build_model(name, channels=1, classes=10, size=28, seed=0)
    parameters = dict(model.stages.named_parameters())
    layers = [{"name": layer, "stage": layer.split(".")[0], "shape": list(p.shape)} for layer, p in parameters.items()]
    shares = zip(model.stages, stage_shares(model, (1, 28, 28)), strict=True)
    return model, parameters, {"layers": layers, "stages": [{"name": stage, "share": share} for stage, share in shares]}


def the_plan(spec: RaceSpec, info: dict, densities: dict[str, float]) -> Plan:
    steps = lane_steps(spec, spec.lanes[0], info, densities)
    assert steps is not None
    return steps.plan


# What is told


@pytest.mark.parametrize("model", ["cnn8", "resnet20", "vgg11-bn", "vit-tiny", "wrn-16-4"])
def test_before_the_first_mask_the_plan_is_the_engines(model: str) -> None:
    net, _, info = network(model)
    for settings in ("", ":norm=masked", ":ascent_interval=3", ":ascent_batch=32", ":direction=momentum"):
        for region in ("all", "early", "late", "norm", "from-0", "from-3"):
            for method in ("sam", "ssam-f"):
                spec = parse_spec({"model": model, "lanes": f"{method}:region={region}{settings}"})
                shares = [stage["share"] for stage in info["stages"]]
                expected = choose_plan(spec, spec.lanes[0], net, parameters_in(net, region), shares)
                assert the_plan(spec, info, {}) == expected, spec.lanes[0]


def test_a_mask_of_whole_groups_changes_the_plan_as_in_the_engine() -> None:
    net, parameters, info = network("cnn8")
    shares = [stage["share"] for stage in info["stages"]]
    blocks = [list(stage.parameters()) for stage in net.stages.values() if list(stage.parameters())]
    for granularity, groups in (("block", blocks), ("tensor", [[p] for p in parameters.values()])):
        spec = parse_spec({"lanes": f"ssam:granularity={granularity}:norm=masked"})
        for seed in range(4):
            scores = np.random.default_rng(seed).random(len(groups)).tolist()
            mask = group_mask(groups, scores, sum(p.numel() for p in parameters.values()) // 2)
            taken = [p for p, chosen in mask.items() if chosen.any()]
            densities = {name: float(mask[p].float().mean()) for name, p in parameters.items()}
            assert the_plan(spec, info, densities) == choose_plan(spec, spec.lanes[0], net, taken, shares)


def test_a_ranked_mask_of_single_weights_changes_the_plan_and_a_dynamic_one_does_not() -> None:
    """A dynamic mask may grow anywhere: its first pass always begins at the first stage of the region."""
    info = {"layers": [asdict(layer) for layer in LAYERS], "stages": [asdict(stage) for stage in STAGES]}
    for method, ratio in (("ssam-f", 1.1), ("ssam-d", 2.0)):
        spec = parse_spec({"lanes": f"{method}:norm=masked"})
        assert the_plan(spec, info, {}).predicted_ratio == 2.0
        assert the_plan(spec, info, {"head.linear.weight": 0.1}).predicted_ratio == pytest.approx(ratio)
    spec = parse_spec({"lanes": "ssam-f"})
    assert the_plan(spec, info, dict.fromkeys((layer.name for layer in LAYERS), 0.0)).predicted_ratio == 1.0


@pytest.mark.parametrize(
    ("lane", "densities", "kinds", "words"),
    [
        ("sam", {}, "twice twice twice", "10% of the compute, runs twice; perturbed 100%"),
        ("ssam-d", {}, "twice twice twice", "10% of the compute, runs twice"),
        ("sam:direction=last", {}, "once once once", "10% of the compute, runs once; perturbed 100%"),
        ("sam:region=late:norm=masked", {}, "once once twice", "10% of the compute, runs twice; perturbed 100%"),
        ("sam:region=early:norm=masked", {}, "twice twice light",
         "10% of the compute, runs twice, the first time without weight gradients; not perturbed"),
        ("sam:region=norm:norm=masked", {}, "once light light",
         "10% of the compute, runs twice, the first time without weight gradients; not perturbed"),
        ("ssam:granularity=block:norm=masked", {"head.linear.weight": 1.0}, "once once twice",
         "10% of the compute, runs twice; perturbed 100%"),
        ("ssam-f", {"head.linear.weight": 0.25}, "twice twice twice", "10% of the compute, runs twice; perturbed 25%"),
        ("sam:ascent_batch=32:ascent_interval=2", {}, "part part part",
         "10% of the compute, runs twice, the first time on 32 of 128 images, only in every 2nd step; perturbed 100%"),
    ],
)  # fmt: skip
def test_the_strip_says_how_often_each_stage_runs(lane: str, densities: dict, kinds: str, words: str) -> None:
    info = {"layers": [asdict(layer) for layer in LAYERS], "stages": [asdict(stage) for stage in STAGES]}
    spec = parse_spec({"lanes": lane})
    steps = lane_steps(spec, spec.lanes[0], info, densities)
    assert steps is not None
    drawn = strip(spec, spec.lanes[0], steps)
    assert " ".join(stage["kind"] for stage in drawn["stages"]) == kinds
    assert drawn["stages"][-1]["words"] == words
    area = sum(stage["share"] * stage["ascent"] for stage in drawn["stages"]) / drawn["every"]
    assert steps.plan.predicted_ratio == pytest.approx(1 + area)  # the coloured area is the price


def begun(spec: RaceSpec, stages: tuple[Stage, ...] = STAGES) -> Started:
    return replace(started(spec, 20), stages=stages, layers=LAYERS)


def mask(lane: str, number: int, **densities: float) -> MaskEvent:
    """A mask that perturbs these shares of the layers ``stem``, ``norm``, ``body`` and ``head``."""
    shares = dict(zip((layer.name for layer in LAYERS), (0.0,) * 4, strict=True))
    names = dict(zip(("stem", "norm", "body", "head"), shares, strict=True))
    shares |= {names[short]: share for short, share in densities.items()}
    size = {layer.name: int(np.prod(layer.shape)) for layer in LAYERS}
    density = sum(size[name] * share for name, share in shares.items()) / sum(size.values())
    pictures = {name: np.full((4, 4), round(255 * share), dtype=np.uint8) for name, share in shares.items()}
    return MaskEvent(lane, number, (number - 1) / 10, density, None, None, shares, pictures)


def told(store: Store, spec: RaceSpec, *events: Event) -> list[dict]:
    """The lanes as the live panel is sent them after these events, the first of which is Started."""
    return sent(store, spec, *events)["lanes"]


def sent(store: Store, spec: RaceSpec, *events: Event) -> dict:
    """All that the live panel is sent."""
    run_id = store.runs.create(spec, "a")
    with store.writer(run_id) as writer:
        for event in events:
            writer.add(event)
    return data_of(page(run=run_id), "live")


@pytest.mark.parametrize(
    ("lane", "masks", "settings"),
    [
        ("sam", (), "ρ 0.1"),
        ("ssam-f", ({"stem": 1.0, "body": 1.0, "norm": 1.0},), "sparsity 50% · ρ 0.1"),
        ("ssam:granularity=tensor", ({"body": 1.0},),
         "sparsity 75% (50% requested) · ρ 0.1 · whole tensors"),
        ("ssam:granularity=n-of-4:score=magnitude", (), "sparsity 50% · ρ 0.1 · 2:4 · by magnitude"),
        ("ssam:granularity=n-of-4:region=late", ({"head": 1.0},), "sparsity 50% · ρ 0.1 · late half · 4:4"),
        ("ssam:granularity=block:norm=masked", ({"stem": 1.0}, {"head": 1.0}),
         "sparsity 50% · ρ 0.1 · blocks · masked norm · stages before head run once: FLOPs 1.10×"),
        ("sam:ascent_batch=32:ascent_interval=2", (),
         "ρ 0.1 · ascent from 32 of 128 images, once every 2 steps, approximate: FLOPs 1.13×"),
    ],
)  # fmt: skip
def test_the_card_says_what_the_newest_mask_made_of_the_settings(store, lane, masks, settings) -> None:
    spec = parse_spec({"lanes": lane})
    (name,) = spec.lane_names
    events = [mask(name, 1 + 10 * at, **densities) for at, densities in enumerate(masks)]
    (sent,) = told(store, spec, begun(spec), *events)
    assert sent["settings"] == settings


def test_a_race_of_the_time_before_stages_is_told_as_it_was(store: Store) -> None:
    spec = parse_spec({"lanes": "sgd,ssam-f:region=late:norm=masked"})
    old = begun(spec, ())
    lane = replace(old.lanes[1], plan="stages before head run once", predicted_ratio=1.1)
    sgd, ssam = told(store, spec, replace(old, lanes=(old.lanes[0], lane)))
    assert (sgd["strip"], sgd["counted"], ssam["strip"], ssam["counted"]) == (None, None, None, 1.1)
    assert ssam["settings"].endswith(f"{lane.plan}: FLOPs 1.10×")


def test_the_masks_open_on_the_largest_layer_that_any_lane_perturbs(store: Store) -> None:
    spec = parse_spec({"lanes": "sgd,ssam:region=early"})
    data = sent(store, spec, begun(spec), mask("ssam", 1, stem=0.5, body=0.2))
    assert data["heat"]["layer"] == "body.conv.weight"  # the head is larger, but nobody perturbs it


def test_every_lane_with_masks_has_them_drawn(store: Store) -> None:
    spec = parse_spec({"lanes": "sgd,sam,sam:region=late,ssam-d"})
    assert [lane["masked"] for lane in told(store, spec, begun(spec))] == [False, False, True, True]


def evaluated(lane: str, number: int, **changed: object) -> EpochEvent:
    return replace(evaluation(lane, number, final=False), **changed)


def test_what_the_eigenvalue_costs_is_told_where_it_is_measured(store: Store) -> None:
    """Of all evaluations, not only of those that are drawn."""
    spec = parse_spec({"lanes": "sgd,sam", "eigenvalue_interval": 1})
    assert sent(store, parse_spec({}), begun(parse_spec({})))["eigenvalues"] is None
    found = [
        evaluated("sgd", 10 * at, eigenvalue=5.0, eigenvalue_residual=0.25, eigenvalue_ms=10.0) for at in range(1, 401)
    ]
    run_id = store.runs.create(spec, "b")
    store.queue.assign(run_id, "cpu")
    with store.writer(run_id) as writer:
        for event in (begun(spec), evaluated("sam", 10)):
            writer.add(event)
        window = store.curves.window(run_id)
        assert window is not None
        assert panel.eigenvalues(spec, window) == {"ms": None, "share": None}
        for event in found:
            writer.add(event)
    assert store.queue.transition(run_id, ("starting",), "running")
    store.queue.heartbeat(run_id, trained=40.0)
    assert store.queue.transition(run_id, ("running",), "stopped")
    data = data_of(page(run=run_id), "live")
    assert data["eigenvalues"] == {"ms": pytest.approx(10.0), "share": pytest.approx(0.1)}
    assert data["stepsPerEpoch"] == 10
    sgd, sam = (
        {name: np.frombuffer(base64.b64decode(text), dtype="<f4") for name, text in lane["epochs"].items()}
        for lane in data["lanes"]
    )
    assert set(sgd["eigenvalue"]) == {5.0}
    assert set(sgd["eigenvalue_residual"]) == {0.25}
    assert np.isnan(sam["eigenvalue"]).all()


# What is drawn


@pytest.mark.browser
@pytest.mark.slow
def test_the_eigenvalue_and_the_convergence_in_a_browser(tmp_path: Path, browser: Browser) -> None:
    """A made-up race whose norm falls as 1/√step, so that the running mean of its square is the harmonic sum over T."""
    spec = parse_spec({"lanes": "sgd,sam", "eigenvalue_interval": 1})
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    run_id = store.runs.create(spec, "a")
    with store.writer(run_id) as writer:
        writer.add(begun(spec))
        for number in range(1, 41):
            for lane in spec.lane_names:
                perturbed = 2 * number**-0.5 if lane == "sam" else None
                writer.add(step(lane, number, grad_norm=number**-0.5, perturbed_norm=perturbed))
                if number % 10 == 0:
                    measured = {"eigenvalue": float(number), "eigenvalue_residual": 0.125, "eigenvalue_ms": 20.0}
                    writer.add(evaluated(lane, number, **measured))
    assert store.queue.assign(run_id, "cpu")
    assert store.queue.transition(run_id, ("starting",), "running")
    store.queue.heartbeat(run_id, trained=8.0)
    assert store.queue.transition(run_id, ("running",), "stopped")
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            page = watched.page
            page.goto(f"{address}/?run={run_id}")
            watched.wait("live?.dataset.points > 0")
            panel = page.locator(f"{LIVE} [data-panel=steps]")
            choice, footer = panel.locator("select"), panel.locator("footer")
            chart = "document.querySelector('[data-testid=live-race] [data-panel=steps] .chart')"
            drawn = f"() => {chart}.data.map(({{ name, x, y }}) => ({{ name, x, y }}))"

            choice.select_option("perturbed_norm")
            expect(panel.locator(".chart")).to_have_attribute("aria-label", re.compile(r"SGD –; SAM 0\.316"))

            choice.select_option("convergence")
            expect(footer).to_contain_text("c·log T/√T")
            watched.wait(f"{chart}.layout.yaxis.type === 'log' && {chart}.layout.xaxis.type === 'log'")
            rate, sgd_there, sam_there, sgd, sam = page.evaluate(drawn)
            harmonic = np.cumsum(1 / np.arange(1, 41)) / np.arange(1, 41)
            for curve in (sgd, sam):
                assert curve["x"] == list(range(1, 41))
                assert curve["y"] == pytest.approx(harmonic, rel=1e-5)
            assert sgd_there["y"] == []
            assert sam_there["y"] == pytest.approx(4 * harmonic, rel=1e-5)
            steps = np.array(rate["x"])
            assert (steps[0], steps[-1]) == (8, pytest.approx(40))
            expected = np.log(steps) / np.sqrt(steps) * harmonic[9] * np.sqrt(10) / np.log(10)
            assert rate["y"] == pytest.approx(expected, rel=1e-5), "through the value at the end of the first epoch"

            choice.select_option("eigenvalue")
            expect(footer).to_have_text(re.compile(r"20 ms.* 2\.0%"))
            watched.wait(f"{chart}.layout.yaxis.type !== 'log'")
            _, sgd, sam = page.evaluate(drawn)
            for curve in (sgd, sam):
                assert (curve["x"], curve["y"]) == ([1, 2, 3, 4], [10, 20, 30, 40])
            page.locator(f"{LIVE} .axis label").nth(1).click()
            watched.wait(f"{chart}.data[1].x.join() === '20,40,60,80'")
            assert panel.locator(".scatterlayer .point").count() >= 8
            page.locator(f"{LIVE} .words.whole summary").click()
            expect(page.locator(f"{LIVE} .words th").last).to_have_text("λ₁ (residual)")
            expect(page.locator(f"{LIVE} .words tr").last.locator("td").last).to_have_text("40.00 (0.13)")
            help_ = panel.locator(".why div p").first
            expect(help_).to_have_text(re.compile("^λ₁"))
            choice.select_option("loss")
            expect(help_).to_have_text(re.compile("^Training loss"))
            expect(footer).to_contain_text("batches")
            assert watched.problems == []
    finally:
        store.close()


@pytest.mark.browser
@pytest.mark.slow
def test_the_strips_in_a_browser(tmp_path: Path, browser: Browser) -> None:
    """A made-up finished race on a phone; then one of the time before stages were kept."""
    spec = parse_spec({"lanes": "sgd,sam:region=late:norm=masked,ssam-f:ascent_batch=32:ascent_interval=2,sam"})
    _, late, fisher, _ = spec.lane_names
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    runs = {}
    for stages in (STAGES, ()):
        runs[stages] = store.runs.create(spec, str(stages))
        with store.writer(runs[stages]) as writer:
            writer.add(begun(spec, stages))
            writer.add(mask(late, 1, head=1.0))
            writer.add(mask(fisher, 1, stem=0.25, head=0.7))
            for number in range(1, 31):
                for lane, ratio in zip(spec.lane_names, (1.0, 1.15, 1.3, 2.1), strict=True):
                    writer.add(step(lane, number, ratio=ratio))
            for lane in spec.lane_names:
                writer.add(LaneEnded(lane, 30, "finished"))
        assert store.queue.transition(runs[stages], ("queued",), "stopped")
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser, color_scheme="dark")
            page = watched.page
            page.set_viewport_size({"width": 390, "height": 844})
            page.goto(f"{address}/?run={runs[STAGES]}")
            watched.wait("live?.dataset.points > 0")
            panel = page.locator(f"{LIVE} [data-panel=timing]")
            expect(panel.locator(".costs")).to_have_text(
                [re.compile(f"{one}.*{two}") for one, two in (("1.10", "1.15"), ("1.13", "1.30"), ("2.00", "2.10"))]
            )
            first, second, _ = panel.get_by_role("listbox").all()
            widths = [box["width"] for stage in first.get_by_role("option").all() if (box := stage.bounding_box())]
            assert widths[0] == pytest.approx(2 * widths[1], rel=0.03)
            heights = [stage.locator("i").bounding_box()["height"] for stage in first.get_by_role("option").all()]
            assert heights[:2] == [0, 0]
            assert heights[2] == pytest.approx(13, abs=0.5)  # half of the strip: as much again as the descent
            second.get_by_role("option").nth(2).click()
            expect(panel.locator(".pointed")).to_have_text(re.compile("^head: 10%.* 32 of 128 .* 2nd step; .* 70%$"))
            first.focus()
            page.keyboard.press("End")
            page.keyboard.press("ArrowLeft")
            expect(panel.locator(".pointed")).to_have_text(re.compile("^body: 30%.* once"))
            chosen = first.get_by_role("option", selected=True)
            expect(chosen).to_have_count(1)
            assert first.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
            expect(panel.locator(".kinds > span")).to_have_count(4)
            expect(page.locator(f"{LIVE} figure canvas")).to_have_count(2)  # SAM in a region has a mask too
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.goto(f"{address}/?run={runs[()]}")
            watched.wait("live?.dataset.points > 0")
            expect(page.locator(f"{LIVE} .card")).to_have_count(4)
            expect(page.locator(f"{LIVE} .strip")).to_have_count(0)
            assert watched.problems == []
    finally:
        store.close()
