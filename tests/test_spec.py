"""The specification: one validated model for form, address bar, command line and store."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssam.spec import DATASETS, METHODS, MODELS, LaneSpec, RaceSpec, parse_spec, preset, presets


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
        ({"lanes": "sam:lr=1"}, "lane setting 'lr=1' must be NAME=VALUE, each once, of: rho, sparsity, norm"),
        ({"lanes": "sgd:rho=0.1"}, "method 'sgd' perturbs nothing, so it has no rho"),
        ({"lanes": "sam:sparsity=0.5"}, "method 'sam' has no sparsity; methods that do: ssam-f, ssam-d"),
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


@settings(max_examples=300, deadline=None)
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
)


@settings(max_examples=200, deadline=None)
@given(lanes)
def test_a_lane_survives_being_written_as_text(lane):
    assert LaneSpec.parse(str(lane)) == lane


def test_a_spec_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        RaceSpec().epochs = 3


def test_presets_are_valid_and_the_default_comes_first():
    assert list(presets())[:2] == ["noisy-labels", "quick"]
    assert preset("noisy-labels").spec.label_noise == 0.4
    with pytest.raises(ValueError, match="not a preset; allowed: noisy-labels, quick"):
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


@pytest.mark.parametrize(("clock", "gradients"), [("epochs", 5 * 78 * 5), ("gradients", 5 * 78 * 2 * 3)])
def test_gradients_of_a_race(clock, gradients):
    assert parse_spec({"lanes": "sgd,sam,ssam-f", "clock": clock}).gradients == gradients


def test_every_dataset_fits_some_model():
    for dataset in DATASETS.values():
        assert any((dataset.size or 64) >= model.min_size for model in MODELS.values())
