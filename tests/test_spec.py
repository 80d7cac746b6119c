"""The specification: one validated model for form, address bar, command line and store."""

import re
from operator import mul

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssam.catalogue import DATASETS, MODELS
from ssam.experiment import LaneSpec, RaceSpec, parse_spec, preset, presets
from ssam.methods import METHODS
from ssam.planning.cost import first_pass_shares, predicted_ratio


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"sparsity": "1.5"}, "sparsity '1.5' must be a number from 0 to 1"),
        ({"sparsity": "nan"}, "sparsity 'nan' must be a number from 0 to 1"),
        ({"sparsity": -1}, "sparsity '-1' must be a number from 0 to 1"),
        ({"sparsity": ""}, "sparsity '' must be a number from 0 to 1"),
        ({"rho": "inf"}, "rho 'inf' must be a number from 0 to 10"),
        ({"epochs": 10**9}, "epochs '1000000000' must be a whole number from 1 to 1000"),
        ({"epochs": "2.5"}, "epochs '2.5' must be a whole number from 1 to 1000"),
        ({"lr": 0}, "lr '0' must be a number above 0 to 100"),
        ({"momentum": 1}, "momentum '1' must be a number from 0 and below 1"),
        ({"model": "alexnet"}, "'alexnet' is not a model; allowed: cnn8, "),
        ({"dataset": "imagenet"}, "'imagenet' is not a dataset; allowed: fashion-mnist-10k, "),
        ({"device": "gpu"}, "'gpu' is not a device; allowed: auto, cpu"),
        ({"augment": "mixup"}, "augment 'mixup' must be 'none', 'flip'"),
        ({"colour": "red"}, "'colour' is not a setting; allowed: dataset, "),
        ({"lanes": ""}, "'' is not a method; allowed: sgd, sam, ssam-f, ssam-d"),
        ({"lanes": "sgd,sgd"}, "must not hold the same lane twice"),
        ({"lanes": "sam:rho=x"}, "rho 'x' must be a number from 0 to 10"),
        ({"lanes": "sam:speed=1"}, "lane setting 'speed=1' must be NAME=VALUE, each once, of: rho, sparsity, norm"),
        ({"lanes": "sgd:rho=0.1"}, "method 'sgd' perturbs nothing, so it has no rho"),
        ({"lanes": "sam:sparsity=0.5"}, "method 'sam' has no sparsity; methods that do: ssam-f, ssam-d"),
        ({"lanes": "ssam-f:score=random"}, "method 'ssam-f' has no score; methods that do: ssam"),
        ({"lanes": "ssam:score=loud"}, "score 'loud' must be 'fisher', 'fisher-per-cost'"),
        ({"lanes": "sam:granularity=block"}, "method 'sam' has no granularity; methods that do: ssam-f, ssam"),
        ({"lanes": "ssam-d:granularity=tensor"}, "method 'ssam-d' has no granularity"),
        (
            {"lanes": "ssam:granularity=n-of-65"},
            "'n-of-65' is not a granularity; allowed: weight, tensor, block, n-of-M",
        ),
        ({"lanes": "ssam:granularity=2-of-4"}, "'2-of-4' is not a granularity"),
        ({"lanes": "ssam:score=fisher-per-cost"}, "ranks blocks, so granularity 'weight' must be 'block'"),
        ({"lanes": "ssam:direction=momentum", "momentum": 0}, "momentum 0 leaves no buffer"),
        ({"lanes": "sam:region=from-8"}, "region 'from-8': the stages of model 'cnn8' are 0 to 7"),
        ({"model": "mlp", "lanes": "sam:region=norm"}, "region 'norm': model 'mlp' has no normalisation layers"),
        ({"lanes": "sam:region=from-007"}, "'from-007' is not a region"),
        ({"fisher_batch": 0}, "fisher_batch '0' must be a whole number from 1 to 256"),
        ({"lanes": ",".join(f"sam:rho={i}" for i in range(1, 10))}, "must be 1 to 8 lanes, not 9"),
        ({"model": "resnet50"}, "needs images of at least 64×64 pixels, these are 28×28"),
        ({"dataset": "images"}, "needs data"),
        ({"data": "/etc"}, "data is only for dataset 'images'"),
        ({"train_size": 20_000}, "train_size 20000 must be at most 10000"),
        ({"train_size": 100}, "batch_size 128 must be at most train_size 100"),
        ({"dataset": "cifar10", "batch_size": 2, "epochs": 1000}, "epochs 1000 is too much"),
    ],
)
def test_a_bad_value_gets_one_line_that_says_what_is_allowed(values, says):
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        parse_spec(values)
    assert "\n" not in str(error.value)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from([*RaceSpec.model_fields, "x"]), st.text() | st.integers() | st.floats(), max_size=4)
)
def test_any_garbage_is_a_spec_or_a_one_line_error(values):
    try:
        spec = parse_spec(values)
    except ValueError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 600
    else:
        assert parse_spec(spec.to_strings()) == spec


lanes = st.builds(
    LaneSpec,
    method=st.sampled_from([name for name, method in METHODS.items() if method.sparse]),
    rho=st.none() | st.floats(0, 10),
    sparsity=st.none() | st.floats(0, 1),
    region=st.sampled_from(["all", "late", "from-12", "from-0"]),
    norm=st.sampled_from([None, "full", "masked"]),
    ascent_interval=st.integers(1, 1000),
)
masked_lanes = st.builds(
    LaneSpec,
    method=st.just("ssam"),
    granularity=st.sampled_from(["weight", "tensor", "block", "n-of-4"]),
    score=st.sampled_from([None, "fisher", "gradient", "magnitude", "random"]),
    direction=st.sampled_from(["gradient", "momentum", "last"]),
)


@settings(max_examples=200, deadline=None)
@given(lanes | masked_lanes)
def test_a_lane_survives_being_written_as_text(lane):
    assert LaneSpec.parse(str(lane)) == lane


def test_a_spec_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        RaceSpec().epochs = 3


def test_presets_are_valid_and_the_default_comes_first():
    assert list(presets())[:2] == ["noisy-labels", "demo"]
    assert preset("noisy-labels").spec.label_noise == 0.4
    with pytest.raises(ValueError, match="preset; allowed: noisy-labels, demo"):
        preset("nothing")


def test_flags_override_a_preset():
    spec = parse_spec({"epochs": 2}, base=preset("noisy-labels").spec)
    assert (spec.epochs, spec.label_noise) == (2, 0.4)


def test_lanes_that_share_a_method_have_names_of_their_own():
    spec = parse_spec({"lanes": "sgd,ssam-f,ssam-f:sparsity=0.8"})
    assert spec.lane_names == ("sgd", "ssam-f", "ssam-f:sparsity=0.8")


def test_what_a_lane_perturbs():
    spec = parse_spec({"lanes": "sgd,sam:rho=0.2,ssam-f,ssam-d:sparsity=0.8", "sparsity": 0.5, "rho": 0.1})
    assert [spec.lane_sparsity(lane) for lane in spec.lanes] == [1.0, 0.0, 0.5, 0.8]
    assert [spec.lane_rho(lane) for lane in spec.lanes] == [0.0, 0.2, 0.1, 0.1]


def test_what_a_mask_ranks_by():
    scores = [
        LaneSpec.parse(text).mask_score for text in ("sgd", "sam", "ssam-d", "ssam-f", "ssam", "ssam:score=magnitude")
    ]
    assert scores == [None, None, None, "fisher", "random", "magnitude"]


@pytest.mark.parametrize(
    ("lane", "shares"),
    [
        ("sgd", [0, 0, 0, 0]),
        ("sam:direction=last", [0, 0, 0, 0]),
        ("sam:norm=masked", [0, 2 / 3, 2 / 3, 1]),
        ("sam", [1, 1, 1, 1]),  # the norm of the full gradient asks for all of it
        ("sam:ascent_batch=32:norm=masked", [1 / 4] * 4),
        ("sam:ascent_batch=128:norm=masked", [0, 2 / 3, 2 / 3, 1]),  # the whole batch is no sub-batch
        ("sam:norm=masked:ascent_interval=2", [0, 1 / 3, 1 / 3, 1 / 2]),
    ],
)
def test_what_the_first_pass_costs_stage_by_stage(lane, shares):
    spec = parse_spec({"lanes": lane})
    touched = ["nothing", "vectors", "nothing", "matrices"]
    assert first_pass_shares(spec, spec.lanes[0], touched) == pytest.approx(shares)
    assert predicted_ratio([0.4, 0.3, 0.2, 0.1], shares) == pytest.approx(
        1 + sum(map(mul, [0.4, 0.3, 0.2, 0.1], shares))
    )


def test_a_mask_that_perturbs_nothing_needs_no_ascent():
    spec = parse_spec({"lanes": "sam:norm=masked"})
    assert first_pass_shares(spec, spec.lanes[0], ["nothing"] * 3) == [0.0] * 3


@pytest.mark.parametrize(("clock", "gradients"), [("epochs", 5 * 78 * 5), ("gradients", 5 * 78 * 2 * 3)])
def test_gradients_of_a_race(clock, gradients):
    assert parse_spec({"lanes": "sgd,sam,ssam-f", "clock": clock}).gradients == gradients


def test_every_dataset_fits_some_model():
    for dataset in DATASETS.values():
        assert any((dataset.size or 64) >= model.min_size for model in MODELS.values())


def test_lanes_given_as_values_are_complained_of_as_they_are_written() -> None:
    lane = LaneSpec(method="sam", rho=0.2)
    for lanes in ((lane, lane), "sam:rho=0.2,sam:rho=0.2"):
        with pytest.raises(ValueError, match=r"^lanes 'sam:rho=0\.2,sam:rho=0\.2': "):
            parse_spec({"lanes": lanes})
