"""Each kind of analysis on one tiny race: what it tells, the same bits each time, each lane's own weights and mask."""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
import torch

from ssam.analysis import hessian, runner, sharpness
from ssam.analysis.context import LaneWeights, of_checkpoint
from ssam.analysis.disturbed_weights import changes
from ssam.analysis.fisher import chance
from ssam.analysis.objective import Objective
from ssam.analysis.runner import analyse
from ssam.catalogue import DISTURBANCES, WEIGHT_DISTURBANCES
from ssam.data import batches, load_dataset
from ssam.data.disturbances import disturbed
from ssam.engine import Race
from ssam.engine.evaluate import evaluate
from ssam.experiment import parse_spec
from ssam.experiment.analysis import parse_analysis
from ssam.experiment.events import Checkpoint, LaneEnded, MaskEvent, Snapshot, Started
from ssam.models import StagedModel, build_model
from ssam.planning.estimate import ANALYSIS_GRADIENTS, FORWARD, PRODUCT
from tests.small_races import of

RACE = parse_spec(
    {
        "train_size": 256,
        "batch_size": 64,
        "epochs": 2,
        "lanes": "sgd,sam,ssam-f:norm=masked",
        "sparsity": 0.5,
        "label_noise": 0.4,
        "fisher_samples": 16,
        "snapshot_interval": 1,
    }
)
IMAGES = 32
WHOLE = {name: getattr(hessian, name) for name in ("lanczos", "top_eigenvalues", "trace")}  # before ``quick``
ABOUT = {
    "device",
    "threads",
    "torch",
    "images",
    "classes",
    "batchnorm",
    "dtype",
    "seed",
    "parameters",
    "seconds",
    "lanes",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def events(home):
    """A whole race on one thread, with a checkpoint after the last step."""
    race, told = Race(RACE, home=home, threads=1), []
    for event in race.events():
        told.append(event)
        if len(of(told, LaneEnded)) == len(RACE.lanes):
            race.want_checkpoint()
    return told


@pytest.fixture(scope="module")
def moments(events):
    layers = [asdict(layer) for layer in of(events, Started)[0].layers]
    states = of(events, Checkpoint)[-1].state["lanes"]
    return [of_checkpoint(lane, states[name], layers) for lane, name in enumerate(RACE.lane_names)]


@pytest.fixture(scope="module")
def path(events):
    """The kept weights of all lanes."""
    return [
        LaneWeights(
            RACE.lane_names.index(event.lane),
            event.step,
            {name: torch.from_numpy(array) for name, array in event.weights.items()},
        )
        for event in of(events, Snapshot)
    ]


@pytest.fixture(scope="module")
def measure(home, moments):
    """All that an analysis tells, the last one as it ends."""

    def measure(of_moments=moments, pulse=lambda: None, **values):
        asked = parse_analysis({"images": IMAGES, **values})
        told = analyse(RACE, asked, of_moments, home=home, device=torch.device("cpu"), pulse=pulse)
        # What is told grows on: a copy of each as it was.
        return [replace(f, rows=[*f.rows], arrays={k: a.copy() for k, a in f.arrays.items()}) for f in told]

    return measure


def objective(home, moment):
    """A lane's weights and the images, put together without ``work``."""
    data = load_dataset(RACE, home, progress=lambda message, fraction=None: None)
    images = list(data.batches(RACE, torch.device("cpu"), channels_last=False).samples(IMAGES, 0))
    model = build_model(RACE.model, channels=1, classes=10, size=28, seed=7)
    model.load_state_dict(moment.weights)
    return Objective(model, images)


def rows(found, *names):
    return [tuple(row[name] for name in names) for row in found.rows]


# The weights


def test_a_checkpoint_gives_the_last_weights_and_the_mask_in_use(events, moments):
    for moment, name in zip(moments, RACE.lane_names, strict=True):
        last = of(events, Snapshot, name)[-1]
        assert moment.step == last.step == 8
        assert all(np.array_equal(moment.weights[key].numpy(), array) for key, array in last.weights.items())
    assert [moment.masks is None for moment in moments] == [True, True, False]
    bits = of(events, MaskEvent)[-1].bits
    assert moments[2].masks.keys() == bits.keys()
    for layer, mask in moments[2].masks.items():
        assert np.array_equal(np.packbits(mask.numpy()), bits[layer]), layer


def test_weights_of_another_network_are_refused_in_one_line(measure, moments):
    with pytest.raises(ValueError, match=r"^.*lane 'sgd' .*model$"):
        measure([replace(moments[0], weights={"w": torch.zeros(2)})], kind="sharpness")
    with pytest.raises(ValueError, match=r"^.*no weights.*$"):
        measure([], kind="sharpness")


# What each kind tells


KINDS = {
    "sharpness": {},
    "curvature": {"images": 16},
    "spectrum": {"images": 16},
    "profile": {"directions": 2, "points": 5},
    "surface": {"points": 5},
    "fisher": {},
    "robustness": {"images": 16},
    "disturbed_weights": {"images": 16},
}


@pytest.fixture(scope="module")
def quick():
    """Fewer and rougher products with the Hessian: what is told is the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hessian, "lanczos", partial(hessian.lanczos, steps=6, runs=1))
        patch.setattr(hessian, "top_eigenvalues", partial(hessian.top_eigenvalues, tolerance=1.0))
        patch.setattr(hessian, "trace", partial(hessian.trace, draws=2))
        yield


@pytest.fixture(scope="module")
def found(quick, measure):
    """The first telling of each kind, measured once."""
    return {kind: measure(kind=kind, **values) for kind, values in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_it_measured_on_and_repeats_bit_for_bit(found, measure, kind):
    first, again = found[kind], measure(kind=kind, **KINDS[kind])
    assert [found.done for found in first] == sorted(found.done for found in first)
    assert first[-1].done == pytest.approx(1.0)
    assert all(found.message and "\n" not in found.message for found in first)
    about = first[-1].about
    assert {*ABOUT, "caveats"} <= set(about)
    assert about["images"] == KINDS[kind].get("images", IMAGES)
    assert [lane["name"] for lane in about["lanes"]] == list(RACE.lane_names)
    assert {lane["epoch"] for lane in about["lanes"]} == {2.0}
    assert first[-1].rows == again[-1].rows
    assert first[-1].arrays.keys() == again[-1].arrays.keys()
    for name, array in first[-1].arrays.items():
        assert array.tobytes() == again[-1].arrays[name].tobytes(), name
        assert np.isfinite(array).all(), name


def test_other_images_give_other_numbers(found, measure):
    first, other = found["fisher"][-1], measure(kind="fisher", seed=1)[-1]
    assert [row["what"] for row in first.rows] == [row["what"] for row in other.rows]
    assert first.rows != other.rows


def test_sharpness_is_that_of_each_lane_and_of_its_own_mask(home, found, moments):
    told = found["sharpness"][-1].rows
    value = {(row["lane"], row["estimator"]): row["value"] for row in told}
    plain = {"ascent_gap", "worst_case", "m_sharpness", "random_directions", "adaptive"}
    assert {name for lane, name in value if lane == 0} == {name for lane, name in value if lane == 1} == plain
    assert {name for lane, name in value if lane == 2} == plain | {"masked_ascent_gap"}
    for moment in moments:
        assert value[moment.lane, "ascent_gap"] == sharpness.ascent_gap(objective(home, moment), 0.1)
        assert value[moment.lane, "worst_case"] >= value[moment.lane, "ascent_gap"]
    there = objective(home, moments[2])
    own = [moments[2].masks[name] for name, _ in there.model.stages.named_parameters()]
    assert value[2, "masked_ascent_gap"] == sharpness.ascent_gap(there, 0.1, own, "masked")
    assert value[2, "masked_ascent_gap"] != sharpness.ascent_gap(there, 0.1, own, "full")
    for row in told:
        assert (row["error"] is None) == (row["estimator"] not in ("m_sharpness", "random_directions"))
        assert 0 <= row["accuracy"] <= 1


def test_several_epochs_are_looked_at_one_by_one(measure, path):
    told = measure([moment for moment in path if moment.step < 8], kind="sharpness", images=16)[-1].rows
    assert {(row["lane"], row["epoch"]) for row in told} == {(lane, epoch) for lane in range(3) for epoch in (0.0, 1.0)}
    losses = [{row["loss"] for row in told if row["epoch"] == epoch} for epoch in (0.0, 1.0)]
    assert [len(values) for values in losses] == [1, 3], "all lanes start from the same weights"


def test_robustness_is_the_accuracy_on_test_images_disturbed_by_hand(home, found, moments):
    told = found["robustness"][-1].rows
    data = load_dataset(RACE, home, progress=lambda *_: None)
    images = list(data.batches(RACE, "cpu", channels_last=False).test(16))
    cases = {("clean", 0.0): images}
    for kind, disturbance in DISTURBANCES.items():
        for level in disturbance.levels:
            cases[kind, level] = list(disturbed(images, kind, level, mean=data.mean, std=data.std, seed=0))
    shape = {"channels": data.channels, "classes": len(data.classes), "size": data.size}
    for moment in moments:
        model = build_model(RACE.model, **shape, seed=0)
        model.load_state_dict(moment.weights)
        own = {(row["disturbance"], row["level"]): row["accuracy"] for row in told if row["lane"] == moment.lane}
        assert own == {case: pytest.approx(evaluate(model, batches)[1]) for case, batches in cases.items()}


def test_accuracy_with_disturbed_weights_is_that_of_networks_disturbed_by_hand(home, found, moments):
    told = found["disturbed_weights"][-1].rows
    data = load_dataset(RACE, home, progress=lambda *_: None)
    images = list(data.batches(RACE, "cpu", channels_last=True).test(16))
    shape = {"channels": data.channels, "classes": len(data.classes), "size": data.size}

    def accuracy(weights):
        model = build_model(RACE.model, **shape, seed=0).to(memory_format=torch.channels_last)
        model.load_state_dict(weights)
        return evaluate(model, images)[1]

    trained = {name for name, _ in build_model(RACE.model, **shape, seed=0).named_parameters()}
    for moment in moments:
        cases = {("undisturbed", 0.0): [accuracy(moment.weights)]}
        for kind, disturbance in WEIGHT_DISTURBANCES.items():
            for level in disturbance.levels:
                cases[kind, level] = [
                    accuracy({n: change(w) if n in trained and w.dim() > 1 else w for n, w in moment.weights.items()})
                    for change in changes(kind, level, 0)
                ]
        own = {(row["disturbance"], row["level"]): row for row in told if row["lane"] == moment.lane}
        assert list(own) == list(cases)
        for case, accuracies in cases.items():
            ends = [own[case][name] for name in ("accuracy", "lowest", "highest")]
            assert ends == pytest.approx([np.mean(accuracies), min(accuracies), max(accuracies)]), case


def test_disturbed_weights_are_copies(measure, moments):
    before = [{name: tensor.clone() for name, tensor in moment.weights.items()} for moment in moments]
    told = measure(kind="disturbed_weights", images=16)[-1]
    assert told.about["caveats"]
    for moment, weights in zip(moments, before, strict=True):
        assert all(torch.equal(moment.weights[name], tensor) for name, tensor in weights.items())


def test_each_level_and_draw_takes_the_evaluations_that_the_estimate_counts(measure, moments, monkeypatch):
    passed = 0
    forward = StagedModel.forward

    def counted(self, x):
        nonlocal passed
        passed += len(x)
        return forward(self, x)

    monkeypatch.setattr(StagedModel, "forward", counted)
    for kind in ("robustness", "disturbed_weights"):
        passed = 0
        measure(moments[2:], kind=kind, images=16)
        assert ANALYSIS_GRADIENTS[kind] == passed / 16 * FORWARD


def test_curvature_orders_its_eigenvalues(found):
    told = found["curvature"][-1]
    assert rows(told, "lane", "step") == [(0, 8), (1, 8), (2, 8)]
    for row in told.rows:
        assert len(row["eigenvalues"]) == 5
        assert row["eigenvalues"] == sorted(row["eigenvalues"], reverse=True)
        assert row["ratio"] == pytest.approx(row["eigenvalues"][0] / row["eigenvalues"][4])
        assert row["trace_error"] > 0


def test_the_spectra_of_all_lanes_share_a_grid_and_hold_all_eigenvalues(found):
    arrays = found["spectrum"][-1].arrays
    assert arrays["grid"].shape == (runner.GRID,)
    assert set(arrays) == {"grid", "density/0", "density/1", "density/2"}
    width = arrays["grid"][1] - arrays["grid"][0]
    for lane in range(3):
        assert arrays[f"density/{lane}"].sum() * width == pytest.approx(1.0, abs=0.01)


def test_profiles_go_through_the_weights_themselves(found):
    told = found["profile"][-1]
    assert told.arrays["steps"].tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    for lane, loss in rows(told, "lane", "loss"):
        assert told.arrays[f"loss/{lane}"].shape == told.arrays[f"accuracy/{lane}"].shape == (2, 5)
        assert told.arrays[f"loss/{lane}"][:, 2] == pytest.approx([loss, loss], rel=1e-6)
        assert told.arrays[f"loss/{lane}"][0, 0] != told.arrays[f"loss/{lane}"][1, 0]


def test_surfaces_become_finer_together(measure, moments):
    told = measure(moments[:2], kind="surface", points=9, images=16)
    holes = [[int(np.isnan(found.arrays[f"loss/{lane}"]).sum()) for lane in range(2)] for found in told]
    assert holes == [[81 - number] * 2 for number in range(1, 82)]
    coarse = told[24].arrays["loss/0"]  # the first 25 points: every other row and column
    assert np.isfinite(coarse[::2, ::2]).all()
    for lane, loss in rows(told[-1], "lane", "loss"):
        assert told[-1].arrays[f"loss/{lane}"][4, 4] == pytest.approx(loss, rel=1e-6)


def test_the_plane_of_three_lanes_holds_them_and_their_paths(measure, path):
    found = measure(path, kind="surface", plane="lanes", points=5)[-1]
    assert found.about["plane"]["kind"] == "through three lanes"
    assert found.about["plane"]["in_plane"] == pytest.approx(1.0, abs=1e-5)
    assert found.arrays["loss"].shape == found.arrays["accuracy"].shape == (5, 5)
    xs, ys = found.arrays["xs"], found.arrays["ys"]
    for row in found.rows:
        assert xs[0] < row["x"] < xs[-1]
        assert ys[0] < row["y"] < ys[-1]
        track = found.arrays[f"path/{row['lane']}"]
        assert track[:, 2].tolist() == [0.0, 1.0, 2.0]
        assert track[-1, :2] == pytest.approx([row["x"], row["y"]], abs=1e-5)
    starts = [found.arrays[f"path/{lane}"][0] for lane in range(3)]
    assert starts[0] == pytest.approx(starts[1], abs=1e-6), "all lanes start at one point"


def test_fisher_tells_what_patterns_keep_and_how_masks_overlap(found):
    told = found["fisher"][-1].rows
    kept = {(row["lane"], row["pattern"]): row for row in told if row["what"] == "pattern"}
    patterns = {"weight", "2:4", "tensor", "block", "random"}
    assert {name for lane, name in kept if lane == 0} == patterns
    assert {name for lane, name in kept if lane == 2} == patterns | {"own mask"}
    for lane in range(3):
        best = kept[lane, "weight"]["kept"]
        assert all(row["kept"] <= best + 1e-9 for (of_lane, _), row in kept.items() if of_lane == lane)
        assert kept[lane, "weight"]["density"] == pytest.approx(0.5, abs=1e-4)
        assert kept[lane, "2:4"]["density"] == pytest.approx(0.5, abs=1e-2)
        stages = [row for row in told if row["what"] == "stage" and row["lane"] == lane]
        for share in ("fisher", "compute", "weights"):
            assert sum(row[share] for row in stages) == pytest.approx(1.0, abs=1e-5), share
        assert all((row["density"] is None) == (lane != 2) for row in stages)
    overlaps = {(row["a"], row["b"]): row for row in told if row["what"] == "overlap"}
    assert set(overlaps) == {(2, "fisher"), (2, "random")}
    assert overlaps[2, "random"]["iou"] == pytest.approx(overlaps[2, "random"]["chance"], abs=0.01)
    assert overlaps[2, "fisher"]["iou"] > overlaps[2, "fisher"]["chance"]


def test_masks_of_two_lanes_are_laid_over_each_other(measure, moments):
    twin = replace(moments[0], masks={layer: ~mask for layer, mask in moments[2].masks.items()})
    found = measure([twin, moments[2]], kind="fisher")[-1]
    (between,) = [row for row in found.rows if row["what"] == "overlap" and (row["a"], row["b"]) == (0, 2)]
    assert between["iou"] == 0.0
    assert between["chance"] == pytest.approx(chance(0.5, 0.5), abs=1e-3)


# Stopping, and what it costs


@pytest.mark.parametrize("kind", KINDS)
def test_it_can_be_ended_before_each_chunk_of_images(quick, measure, moments, monkeypatch, kind):
    beats, passed = 0, 0
    forward = StagedModel.forward

    def counted(self, x):
        nonlocal passed
        passed += 1
        return forward(self, x)

    def pulse():
        nonlocal beats
        beats += 1
        if passed == 2:
            raise InterruptedError

    monkeypatch.setattr(StagedModel, "forward", counted)
    monkeypatch.setattr(batches, "CHUNK", 4)
    with pytest.raises(InterruptedError):
        measure(moments[2:], kind=kind, pulse=pulse, **KINDS[kind])
    assert (beats >= 3, passed) == (True, 2), "no third chunk was begun"


def test_sharpness_takes_the_passes_that_the_estimate_counts(measure, moments, monkeypatch):
    gradients, forwards = 0.0, 0.0
    gradient, mean = Objective.gradient, Objective.mean_loss

    def counted(self, batches=None):
        nonlocal gradients, forwards
        share = sum(len(y) for _, y in self.batches if batches is None) or sum(len(y) for _, y in batches)
        gradients, forwards = gradients + share / IMAGES, forwards - share / IMAGES
        return gradient(self, batches)

    def passed(self, x, y):
        nonlocal forwards
        forwards += len(y) / IMAGES
        return mean(self, x, y)

    monkeypatch.setattr(Objective, "gradient", counted)
    monkeypatch.setattr(Objective, "mean_loss", passed)
    measure(moments[2:], kind="sharpness")
    taken = gradients + (forwards + 2) * FORWARD  # one at w, one in m-sharpness, which pass by another way
    assert ANALYSIS_GRADIENTS["sharpness"] == pytest.approx(taken, rel=0.15)


@pytest.mark.parametrize("kind", ["curvature", "spectrum"])
def test_the_products_with_the_hessian_are_as_many_as_the_estimate_counts(measure, moments, monkeypatch, kind):
    products = 0
    matmul = hessian.Hessian.__matmul__

    def product(self, vector):
        nonlocal products
        products += 1
        return matmul(self, vector)

    for name, function in WHOLE.items():
        monkeypatch.setattr(hessian, name, function)
    monkeypatch.setattr(hessian.Hessian, "__matmul__", product)
    measure(moments[2:], kind=kind, images=16)
    assert ANALYSIS_GRADIENTS[kind] / PRODUCT == pytest.approx(products, rel=0.5)
