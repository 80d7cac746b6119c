"""A step taken apart: against plain formulas, against the race's own next step, its pictures, what the page says, and played in a browser."""

import json
import re
import zlib
from base64 import b64decode
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest
from torch import nn
from torch.nn.functional import cross_entropy

from app.anatomy import data, text, view
from app.anatomy import query as anatomy_choices
from app.shell.identity import COOKIE
from ssam.analysis import anatomy, step
from ssam.analysis.context import LaneWeights, of_checkpoint
from ssam.analysis.runner import analyse
from ssam.engine import Race
from ssam.experiment import parse_spec
from ssam.experiment.analysis import AnalysisSpec, Found, parse_analysis
from ssam.experiment.events import Checkpoint, Started, StepEvent
from ssam.methods.directions import against_momentum
from ssam.models import StagedModel
from ssam.optim import SAM
from ssam.planning.estimate import ANATOMY_GRADIENTS, Rate, analysis_seconds
from ssam.store import Run, Store
from ssam.training.schedule import step_rate
from tests import fake_masks
from tests.browser import Watched, app_server
from tests.golden import Golden
from tests.people import ALICE, address_of, open_page, owner

ASKED = AnalysisSpec(kind="anatomy", images=16)
RHO, LR, MOMENTUM, DECAY = 0.3, 0.1, 0.9, 0.01


# One step, against plain formulas


def network() -> StagedModel:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 6 * 6, 3))
    return StagedModel(
        [("stem", nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh())), ("head", head)]
    ).double()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 1, 8, 8, generator=generator, dtype=torch.float64), torch.arange(12) % 3


def random_masks(model: nn.Module) -> dict[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {p: torch.rand(p.shape, generator=generator) < 0.5 for p in model.parameters()}


def base_of(model: nn.Module) -> torch.optim.SGD:
    """With momentum, of a gradient that was."""
    base = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    generator = torch.Generator().manual_seed(3)
    for p in model.parameters():
        base.state[p]["momentum_buffer"] = torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return base


def gradient(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, torch.Tensor]:
    loss = cross_entropy(model(x), y)
    parts = torch.autograd.grad(loss, list(model.parameters()))
    return loss.item(), flat(parts)


def flat(parts) -> torch.Tensor:
    return torch.cat([part.detach().reshape(-1) for part in parts])


def put(model: nn.Module, weights: torch.Tensor) -> None:
    nn.utils.vector_to_parameters(weights.clone(), model.parameters())


def updated(w: torch.Tensor, v: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """What SGD with momentum and weight decay moves by, as its formula says."""
    return -LR * (MOMENTUM * v + g + DECAY * w)


@pytest.mark.parametrize("norm", ["full", "masked"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("way", ["gradient", "few images", "against momentum"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_a_step_is_that_of_the_plain_formulas(norm: str, masked: bool, way: str, adaptive: bool) -> None:
    (model, twin), (x, y) = (network(), network()), batch()
    base = base_of(model)
    w, v = flat(model.parameters()), flat(base.state[p]["momentum_buffer"] for p in model.parameters())
    sam = SAM(base, rho=RHO, norm=norm, mask=random_masks(model) if masked else None, adaptive=adaptive)
    m = flat(random_masks(twin).values()).double() if masked else torch.ones_like(w)
    images = 5 if way == "few images" else None
    along = against_momentum if way == "against momentum" else None

    found = step.take_step(model, sam, x, y, along, images)

    loss, g = gradient(twin, x[:images], y[:images]) if along is None else (None, -v)
    size = w.abs() if adaptive else torch.ones_like(w)
    divisor = (size * g if norm == "full" else m * size * g).norm()
    epsilon = RHO * m * size**2 * g / divisor
    put(twin, w + epsilon)
    loss_perturbed, second = gradient(twin, x, y)
    change = updated(w, v, second)
    put(twin, w + change)
    near = {"rtol": 1e-6, "atol": 1e-12}
    torch.testing.assert_close(flat(found.gradient), g, **near)
    torch.testing.assert_close(flat(found.epsilon), epsilon, **near)
    torch.testing.assert_close(flat(found.second), second, **near)
    torch.testing.assert_close(flat(found.update), change, **near)
    assert found.loss == pytest.approx(loss)
    assert found.loss_perturbed == pytest.approx(loss_perturbed)
    assert found.loss_after == pytest.approx(gradient(twin, x, y)[0])
    row = step.numbers(found, sam)
    assert row["gradient_norm"] == pytest.approx(float(g.norm()))
    assert row["divisor"] == pytest.approx(float(divisor))
    assert row["dense"] == pytest.approx(row["factor"] * float((size**2 * g).norm()))
    assert row["radius"] == pytest.approx(float(epsilon.norm()))
    assert row["cosine"] == pytest.approx(float(g @ second / g.norm() / second.norm()))
    assert row["second_uphill"] == pytest.approx(float(epsilon @ second / epsilon.norm() / second.norm()))
    assert row["update_norm"] == pytest.approx(float(change.norm()))
    assert row["uphill"] == pytest.approx(float(change @ epsilon / epsilon.norm()))
    assert row["uphill"] ** 2 + row["aside"] ** 2 == pytest.approx(row["update_norm"] ** 2)
    if norm == "masked" and not adaptive:
        assert row["radius"] == pytest.approx(RHO)
    elif masked and not adaptive:
        assert row["radius"] < row["dense"] == pytest.approx(RHO)


def test_sgd_has_one_gradient_and_no_more() -> None:
    (model, twin), (x, y) = (network(), network()), batch()
    base = base_of(model)
    w, v = flat(model.parameters()), flat(base.state[p]["momentum_buffer"] for p in model.parameters())
    found = step.take_step(model, base, x, y)
    loss, g = gradient(twin, x, y)
    assert (found.loss, found.epsilon, found.second) == (pytest.approx(loss), None, None)
    torch.testing.assert_close(flat(found.update), updated(w, v, g))
    assert "radius" not in step.numbers(found, base)


@pytest.mark.parametrize("way", ["gradient", "few images", "against momentum"])
def test_weights_come_back_to_the_bit_and_batchnorm_counts_once(way: str) -> None:
    model, (x, y) = network().float(), batch()
    base = base_of(model)
    sam = SAM(base, rho=RHO, mask=random_masks(model))
    along = against_momentum if way == "against momentum" else None
    found = step.take_step(model, sam, x.float(), y, along, 5 if way == "few images" else None)
    assert found.off == 0.0
    assert int(model.state_dict()["stages.stem.1.num_batches_tracked"]) == 1


def test_the_mask_zeroes_just_what_it_covers() -> None:
    model, (x, y) = network(), batch()
    masks = random_masks(model)
    found = step.take_step(model, SAM(base_of(model), rho=RHO, mask=masks), x, y)
    for p, epsilon in zip(model.parameters(), found.epsilon, strict=True):
        assert not epsilon[~masks[p]].any()
    seen = flat(found.epsilon)[flat(masks.values())]
    assert (seen != 0).double().mean() > 0.9  # the bias before BatchNorm has no gradient


# The pictures


def test_a_picture_has_weights_of_the_layer_from_the_first_to_the_last() -> None:
    tensor = torch.arange(64 * 16 * 9.0).reshape(64, 16, 3, 3)
    found = anatomy.sampled(tensor)
    assert found.shape == (32, 32)
    assert (found[0, 0], found[-1, -1]) == (tensor.flatten()[0], tensor.flatten()[-1])
    assert len(found.unique()) == 32 * 32
    whole = torch.arange(20.0).reshape(4, 5)
    assert torch.equal(anatomy.sampled(whole), whole)
    assert anatomy.sampled(torch.ones(1)).shape == (1, 1)


def test_the_cells_stand_for_the_values() -> None:
    values = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    cells, scale = anatomy.quantised(values)
    assert scale == float(values.abs().max())
    assert np.abs(cells).max() == 127
    found = anatomy.restored(cells, scale)
    assert np.abs(found - values.numpy()).max() < scale / 127
    assert np.abs(found).sum() == pytest.approx(float(values.abs().sum()), rel=0.01)
    assert (np.sign(found) == np.sign(values.numpy())).mean() > 0.99
    for empty in (torch.zeros(2, 2), torch.full((2, 2), float("nan"))):
        assert anatomy.quantised(empty)[1] == 0.0
        assert not anatomy.quantised(empty)[0].any()


# The lanes of a race, against the race's own next step

RACE = parse_spec(
    {
        "train_size": 256,
        "batch_size": 64,
        "epochs": 4,
        "lanes": "sgd,sam,ssam-f,ssam-d:norm=masked,sam:region=late:norm=masked,sam:direction=momentum:rho=1,"
        "sam:direction=last:rho=0.2,sam:ascent_batch=16",
        "label_noise": 0.4,
        "fisher_samples": 16,
        "snapshot_interval": 1,
    }
)
SAME = {"loss": "loss", "grad_norm": "gradient_norm", "radius": "radius", "perturbed_norm": "second_norm"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def left(home):
    """A race left in its second epoch: what it told, with a checkpoint before and after a step of each lane, and what it told of that."""
    race, told, then = Race(RACE, home=home, threads=1), [], {}
    for event in race.events():
        if isinstance(event, StepEvent) and event.step == 6 and event.lane == RACE.lane_names[-1]:
            race.want_checkpoint()
        if isinstance(event, StepEvent) and event.step == 7:
            then[event.lane] = event
            if len(then) == len(RACE.lanes):
                race.want_checkpoint()
        told.append(event)
        if len(told_of(told, Checkpoint)) == 2:
            break
    return told, then


def told_of(told, kind):
    return [event for event in told if isinstance(event, kind)]


@pytest.fixture(scope="module")
def moments(left):
    told, _ = left
    layers = [asdict(layer) for layer in told_of(told, Started)[0].layers]
    states = told_of(told, Checkpoint)[0].state["lanes"]
    lanes = [of_checkpoint(lane, states[name], layers) for lane, name in enumerate(RACE.lane_names)]
    return anatomy.with_rates(lanes, lambda moment: step_rate(RACE.lr, moment.step, 16, 4))


def taken_apart(home: Path, moments: list[LaneWeights]) -> Found:
    *_, found = analyse(RACE, ASKED, moments, home=home, device=torch.device("cpu"))
    return found


@pytest.fixture(scope="module")
def found(home, moments):
    return taken_apart(home, moments)


def steps(found: Found) -> list[dict]:
    return [row for row in found.rows if row["what"] == "step"]


def test_it_is_the_step_that_the_race_takes_next(left, found) -> None:
    _, then = left
    for name, row in zip(RACE.lane_names, steps(found), strict=True):
        for theirs, ours in SAME.items():
            expected = getattr(then[name], theirs)
            if row["direction"] != "gradient" and theirs == "loss":
                ours = "loss_perturbed"  # the only loss that such a step computes
            if row.get("ascent_images") and theirs == "loss":
                ours = "loss_perturbed"
            if RACE.lanes[row["lane"]].region == "late" and theirs == "grad_norm":
                ours = "masked_norm"  # it computes no other gradients at w
            assert row.get(ours) == (None if expected is None else pytest.approx(expected, rel=1e-5)), (name, theirs)


def test_its_update_is_that_of_the_race(left, found) -> None:
    """Learning rate, momentum and weight decay are the race's too."""
    before, after = (event.state["lanes"] for event in told_of(left[0], Checkpoint))
    for lane, name in enumerate(RACE.lane_names):
        rows = [row for row in found.rows if row["what"] == "layer" and row["lane"] == lane]
        for row in rows:
            layer = f"stages.{found.about['layers'][row['layer']]['name']}"
            moved = float((after[name]["model"][layer] - before[name]["model"][layer]).norm())
            assert row["update"] == pytest.approx(moved, rel=1e-5, abs=1e-7), (name, layer)


def test_masks_and_pictures_belong_to_each_other(found) -> None:
    for row in steps(found):
        lane = row["lane"]
        own = [layer for layer in found.rows if layer["what"] == "layer" and layer["lane"] == lane]
        assert len(own) == len(found.about["layers"])
        assert sum(layer["gradient"] ** 2 for layer in own) ** 0.5 == pytest.approx(row["gradient_norm"], rel=1e-4)
        assert sum(layer["update"] ** 2 for layer in own) ** 0.5 == pytest.approx(row["update_norm"], rel=1e-6)
        cells = sum(layer["rows"] * layer["columns"] for layer in found.about["layers"])
        kinds = {name for name in anatomy.PICTURES if f"{name}/{lane}" in found.arrays}
        sparse = f"mask/{lane}" in found.arrays
        assert kinds == {"gradient", "update"} | ({"epsilon", "second"} if "radius" in row else set()) | (
            {"mask"} if sparse else set()
        )
        assert {found.arrays[f"{kind}/{lane}"].shape for kind in kinds} == {(cells,)}
        if sparse:
            assert not found.arrays[f"epsilon/{lane}"][found.arrays[f"mask/{lane}"] == 0].any()
            sizes = [np.prod(layer["shape"]) for layer in found.about["layers"]]
            densities = [layer["density"] for layer in own]
            assert np.average(densities, weights=sizes) == pytest.approx(row["density"])
    assert "mask/4" in found.arrays, "a region is a mask"
    assert {row["off"] for row in steps(found) if "off" in row} == {0.0}


def test_kept_weights_have_no_momentum_and_it_is_said(home, moments) -> None:
    bare = [replace(moment, optimizer=None, left=None) for moment in moments]
    found = steps(taken_apart(home, bare))
    assert {row["momentum"] for row in found} == {False}
    assert [row["direction"] for row in found[5:7]] == ["none", "none"], "nothing to follow"
    assert "radius" not in found[5]


def test_it_is_of_one_moment_and_costs_two_gradients_a_lane() -> None:
    with pytest.raises(ValueError, match=r"kind 'anatomy' .*one "):
        parse_analysis({"kind": "anatomy", "epochs": [1, 2]})
    once = analysis_seconds(RACE, ASKED, Rate(10.0, measured=True))
    twice = analysis_seconds(RACE.model_copy(update={"batch_size": 128}), ASKED, Rate(10.0, measured=True))
    assert (twice / once, ANATOMY_GRADIENTS) == (pytest.approx(2), 2.25)


# What comes with the lab


def cells_of(packed: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(b64decode(packed)), np.int8)


def test_the_recorded_step_is_small_and_whole() -> None:
    assert data.RECORDED.stat().st_size < 400_000
    record = json.loads(data.RECORDED.read_text(encoding="utf-8"))
    assert {"command", "date", "machine", "seed", "threads"} <= set(record)
    assert record["difference"] < 1e-5, "from what the race did next"
    step_ = data.recorded()
    assert list(step_.spec.lane_names) == ["sgd", "sam", "ssam-f", "ssam-d"]
    cells = sum(layer["rows"] * layer["columns"] for layer in step_.about["layers"])
    assert {cells_of(packed).size for packed in step_.pictures.values()} == {cells}
    for lane in (2, 3):
        mask, epsilon = (cells_of(step_.pictures[f"{name}/{lane}"]) for name in ("mask", "epsilon"))
        assert not epsilon[mask == 0].any()
        row = step_.steps[lane]
        assert row["density"] == pytest.approx(0.5, abs=1e-3)
        assert row["radius"] == pytest.approx(row["rho"] * row["masked_norm"] / row["gradient_norm"], rel=1e-3)
        assert row["off"] == 0
    assert all(set(ms) >= {"forward1", "backward1", "update"} for ms in step_.phase_ms)


def test_the_phases_are_those_that_the_method_has() -> None:
    step_ = data.recorded()
    keys = [[phase["key"] for phase in text.phases(step_, lane)] for lane in range(4)]
    assert keys[0] == ["loss", "gradient", "update"]
    assert keys[1] == [key for key in keys[2] if key != "mask"]
    assert tuple(keys[2]) == anatomy_choices.PHASES
    for lane in range(4):
        for phase in text.phases(step_, lane):
            assert "None" not in phase["said"]
            assert set(phase["parts"]) <= set(step_.phase_ms[lane])
    falls = text.phases(step_, 3)[4]
    assert text.number(step_.steps[3]["radius"]) in falls["said"]


def test_other_ways_to_step_have_their_own_words(found) -> None:
    names = RACE.lane_names
    step_ = data.anatomy_of(RACE, found.about, found.rows, data.packed(found.arrays), [{} for _ in names], "")
    said = [text.phases(step_, lane) for lane in range(len(names))]
    assert "momentum" in said[5][0]["said"]
    assert "last step" in said[6][0]["said"]
    assert "16 of 64" in said[7][0]["said"]
    assert said[4][2]["numbers"][0][0] == "‖m⊙g‖"
    assert not any("None" in phase["said"] or "nan" in phase["said"] for lane in said for phase in lane)
    json.dumps(view.told(step_, "run", {}), allow_nan=False)


# The page


def own_race(store: Store, lanes: int = 4) -> tuple[Run, str]:
    """A race of Alice's with the step of its first lanes taken apart: the recorded one."""
    step_ = data.recorded()
    run = fake_masks.race(store, step_.spec, owner(ALICE))
    made = store.analyses.create(run, ASKED, "anatomy", owner(ALICE))
    rows = [*step_.steps.values(), *(row for layers in step_.layers.values() for row in layers)]
    arrays = {name: cells_of(packed) for name, packed in step_.pictures.items()}
    rows = [row for row in rows if row["lane"] < lanes]
    arrays = {name: array for name, array in arrays.items() if int(name[-1]) < lanes}
    store.analyses.save_result(made, Found(lanes / 4, "", step_.about, rows, arrays))
    assert store.queue.transition(made, ("queued",), "finished" if lanes == 4 else "running")
    return run, made


def page(**address: str) -> AppTest:
    return open_page("anatomy", **address)


def words(app: AppTest) -> str:
    (found,) = (expander for expander in app.expander if expander.label == "As text")
    return found.markdown[0].value


def test_there_is_something_to_see_at_once(store: Store, golden: Golden) -> None:
    app = page()
    assert not app.warning
    assert app.selectbox(key="anatomy_run").value == "recorded"
    golden("anatomy", "the recorded step", words(app))
    assert address_of(app) == {}


@pytest.mark.parametrize("more", [{}, {"lane": "ssam-d", "layer": "head.linear.weight", "phase": "mask"}])
def test_a_step_of_ones_own_race(store: Store, more: dict[str, str]) -> None:
    run, _ = own_race(store)
    app = page(run=run.id, **more)
    assert not app.warning
    assert "‖m⊙ε‖" in words(app) or "ε" in words(app)
    assert address_of(app) == {"run": run.id, **more}
    assert not any(button.key == "anatomy_measure" for button in app.button)


def test_lanes_come_one_after_the_other(store: Store) -> None:
    run, _ = own_race(store, lanes=2)
    app = page(run=run.id, lane="ssam-d")
    assert not app.warning, "it is still to come"
    assert "**SAM.**" in words(app)
    assert "**SSAM" not in words(app)
    assert address_of(app)["lane"] == "ssam-d"


def test_a_race_that_was_not_taken_apart_can_be(store: Store) -> None:
    run = fake_masks.race(store, parse_spec({"lanes": "sgd,ssam-f"}), owner(ALICE))
    app = page(run=run.id)
    assert not [part for part in app.get("bidi_component") if part.proto.component_name.endswith("ssam_anatomy")], (
        "nothing is drawn yet"
    )
    app.button(key="anatomy_measure").click().run()
    (made,) = store.analyses.of_race(run.id)
    assert made.analysis == ASKED
    assert not any(button.key == "anatomy_measure" for button in page(run=run.id).button)


def test_of_a_race_under_way_it_is_said_what_can_be_had(store: Store) -> None:
    run = fake_masks.race(store, parse_spec({"lanes": "sgd,ssam-f"}), owner(ALICE), state="running")
    assert page(run=run.id).info[0].value == text.LATER


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"run": "nowhere"}, "There is no race 'nowhere' here."),
        ({"lane": "adam"}, "lane 'adam' is none of sgd, sam, ssam-f, ssam-d."),
        ({"layer": "nope"}, "layer 'nope' is none of this network's."),
        ({"phase": "lunch"}, "phase 'lunch' must be one of loss, gradient, norm"),
        ({"epoch": "late", "run": "recorded"}, "epoch 'late' must be a whole number from 0, or newest."),
        ({"rho": "0.1"}, "'rho' is no setting here; allowed: run, epoch, lane, layer, phase."),
    ],
)
def test_a_bad_address_gives_one_line_and_the_defaults(store: Store, address: dict[str, str], said: str) -> None:
    app = page(**address)
    (warning,) = app.warning
    assert said in re.sub(r"\\(.)", r"\1", warning.value)
    assert "\n" not in warning.value
    assert address_of(app) == {}


@pytest.mark.browser
@pytest.mark.slow
def test_a_step_is_played_in_the_browser(tmp_path: Path, browser: Browser) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    run, _ = own_race(store)
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            page_ = watched.page
            page_.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
            page_.goto(f"{address}/anatomy?lane=ssam-f&phase=gradient")
            panel = page_.get_by_test_id("anatomy")
            expect(panel).to_have_attribute("data-phase", "gradient")
            assert "gradient g" in panel.locator(".said").inner_text()
            page_.locator("body").press("ArrowRight")
            expect(panel).to_have_attribute("data-phase", "norm")
            panel.get_by_role("button", name="Next phase").click()
            expect(panel).to_have_attribute("data-phase", "epsilon")
            epsilon = '[data-map="epsilon"] canvas'
            ink = f"""() => {{ const c = document.querySelector('{epsilon}');
                return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, at) => at % 4 === 3 && v > 0).length; }}"""
            before, at_w = page_.evaluate(ink), panel.locator("svg[data-at]").get_attribute("data-at")
            panel.get_by_role("button", name="Next phase").press("ArrowRight")
            expect(panel).to_have_attribute("data-phase", "mask")
            page_.wait_for_function(f"(before) => ({ink})() < 0.8 * before", arg=before)  # the mask has fallen
            assert panel.locator("label:has(:checked) i.lit").get_attribute("data-part") == "perturb"
            panel.get_by_role("button", name="Play").click()
            expect(panel).to_have_attribute("data-phase", "ascent")
            assert panel.locator("svg[data-at]").get_attribute("data-at") != at_w, "w has moved"
            panel.get_by_role("button", name="Pause").focus()
            page_.keyboard.press(" ")
            expect(panel).to_have_attribute("data-playing", "false")
            page_.wait_for_url("**phase=ascent**")
            panel.get_by_role("radio", name="SGD").check(force=True)
            expect(panel).to_have_attribute("data-phase", "gradient")
            assert panel.locator(".chips li").count() == 3
            page_.wait_for_url("**lane=sgd**")
            panel.get_by_role("button", name="head.linear.weight").click()
            expect(panel.locator(".maps + .key")).to_be_visible()
            page_.wait_for_url("**layer=head.linear.weight**")
            panel.get_by_text("All numbers").click()
            assert panel.locator("table").first.locator("tr").count() > 10
            page_.goto(f"{address}/anatomy?run={run.id}&lane=ssam-d&phase=update")
            expect(panel).to_have_attribute("data-phase", "update")
            expect(panel).to_have_attribute("data-lane", "ssam-d")
            page_.set_viewport_size({"width": 390, "height": 844})
            expect(panel.locator("canvas").first).to_be_visible()
            assert page_.evaluate("document.documentElement.scrollWidth") <= 390
            calm = Watched(browser, reduced_motion="reduce")
            calm.page.goto(f"{address}/anatomy?lane=ssam-f&phase=mask")
            expect(calm.page.get_by_test_id("anatomy")).to_have_attribute("data-phase", "mask")
            assert calm.page.evaluate(ink) < 0.8 * before, "there at once"
            assert watched.hosts == {address.removeprefix("http://")}, "the page must not ask another host"
            unknown = [
                said for said in watched.problems if "404" not in said
            ]  # Streamlit looks for itself under the page's name
            assert unknown == []
            for context in browser.contexts:
                context.close()
    finally:
        store.close()
