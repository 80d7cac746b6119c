"""What belongs to a data set ends with it: in the form, in an address, on the command line."""

import argparse

import pytest

from app.shell import share_link
from ssam.cli import race
from ssam.experiment import laid_over, left_behind, parse_spec, preset, presets
from ssam.store import Store
from tests.race_page import page, start

NOISY = preset("noisy-labels").spec


def infos(app) -> str:
    return " ".join(info.value.replace("\\", "") for info in app.info)


@pytest.mark.parametrize("dataset", ["cifar10", "mnist", "images"])
def test_a_presets_noise_and_size_end_with_its_data_set(dataset: str) -> None:
    changes = {"dataset": dataset} | ({"data": "x.zip"} if dataset == "images" else {})
    spec = laid_over(NOISY, changes)
    assert (spec.label_noise, spec.train_size, spec.image_size) == (0.0, None, None)
    assert (spec.lanes, spec.rho, spec.epochs) == (NOISY.lanes, NOISY.rho, NOISY.epochs), "the rest is the preset's"
    assert left_behind(NOISY, changes) == {"label_noise": 0.4, "train_size": 4000}


def test_what_is_given_wins() -> None:
    spec = laid_over(NOISY, {"dataset": "mnist", "label_noise": "0.2"})
    assert (spec.label_noise, spec.train_size) == (0.2, None)
    assert left_behind(NOISY, {"dataset": "mnist", "label_noise": "0.4"}) == {"train_size": 4000}


def test_the_same_data_set_keeps_everything() -> None:
    for entry in presets().values():
        assert laid_over(entry.spec, {"dataset": entry.spec.dataset, "seed": 3}) == parse_spec({"seed": 3}, entry.spec)
        assert left_behind(entry.spec, {"seed": 3}) == {}


def test_an_upload_ends_with_own_images() -> None:
    base = parse_spec({"dataset": "images", "data": "x.zip", "label_noise": 0.3})
    assert laid_over(base, {"dataset": "mnist"}) == parse_spec({"dataset": "mnist"})


# The form


def test_another_data_set_resets_what_the_preset_had_for_its_own(store: Store) -> None:
    app = page(preset="noisy-labels")
    assert not app.info
    app.selectbox(key="dataset").set_value("cifar10").run()
    said = infos(app)
    assert "40%" in said
    assert "4,000" in said
    assert "CIFAR-10" in said
    start(app)
    spec = store.runs.newest()[0].spec
    assert (spec.dataset, spec.label_noise, spec.train_size) == ("cifar10", 0.0, None)


def test_it_comes_back_with_the_data_set(store: Store) -> None:
    app = page(preset="noisy-labels")
    app.selectbox(key="dataset").set_value("mnist").run()
    assert app.selectbox(key="preset").value == "custom"
    app.number_input(key="label_noise").set_value(0.2).run()
    app.selectbox(key="dataset").set_value(NOISY.dataset).run()
    assert app.selectbox(key="preset").value == "noisy-labels"
    assert "20% → 40%" in infos(app)
    app.selectbox(key="dataset").set_value("mnist").run()
    assert app.number_input(key="label_noise").value == 0.2


def test_the_line_tells_only_what_is_still_so(store: Store) -> None:
    app = page(preset="noisy-labels")
    app.selectbox(key="dataset").set_value("mnist").run()
    app.number_input(key="label_noise").set_value(0.3).run()
    assert "4,000" in infos(app)
    assert "40%" not in infos(app)
    app.number_input(key="train_size").set_value(500).run()
    assert not app.info


def test_a_preset_takes_the_line_away(store: Store) -> None:
    app = page(preset="noisy-labels")
    app.selectbox(key="dataset").set_value("mnist").run()
    app.selectbox(key="preset").set_value("noisy-labels").run()
    assert not app.info
    start(app)
    assert store.runs.newest()[0].spec == NOISY


def test_what_the_reader_set_for_another_part_of_the_race_stays(store: Store) -> None:
    app = page(preset="noisy-labels")
    app.number_input(key="epochs").set_value(3).run()
    app.selectbox(key="augment").set_value("flip").run()
    app.selectbox(key="dataset").set_value("mnist").run()
    start(app)
    spec = store.runs.newest()[0].spec
    assert (spec.epochs, spec.augment, spec.lanes) == (3, "flip", NOISY.lanes)


# Addresses and the command line


def test_an_address_that_names_another_data_set_says_what_ended(store: Store) -> None:
    app = page(preset="noisy-labels", dataset="mnist")
    said = " ".join(warning.value.replace("\\", "") for warning in app.warning)
    assert "40%" in said
    assert "4,000" in said
    assert app.number_input(key="label_noise").value == 0.0
    assert share_link.read_settings({"preset": "noisy-labels", "dataset": "mnist"}).label_noise == 0.0
    assert not page(preset="noisy-labels", dataset="mnist", label_noise="0.4", train_size="4000").warning


def test_a_whole_address_is_taken_as_it_is(store: Store) -> None:
    app = page(dataset="cifar10", label_noise="0.4", train_size="4000")
    assert not app.warning
    start(app)
    assert store.runs.newest()[0].spec.label_noise == 0.4


def said_by(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[object, str]:
    parser = argparse.ArgumentParser()
    race.settings(parser)
    spec = race.spec_of(parser.parse_args(flags))
    captured = capsys.readouterr()
    assert captured.out == "", "data goes to standard output, and there is none yet"
    return spec, captured.err


def test_the_command_line_says_what_ended(capsys: pytest.CaptureFixture[str]) -> None:
    spec, told = said_by(capsys, "--preset", "noisy-labels", "--dataset", "cifar10")
    assert spec == laid_over(NOISY, {"dataset": "cifar10"})
    assert "label_noise 0.4" in told
    assert "train_size 4000" in told
    assert told.count("\n") == 1
    flags = ("--preset", "noisy-labels", "--dataset", "cifar10", "--label-noise", "0.4", "--train-size", "4000")
    spec, told = said_by(capsys, *flags)
    assert (spec.label_noise, spec.train_size, told) == (0.4, 4000, "")


def test_the_command_line_says_which_lanes_do_not_follow_rho(capsys: pytest.CaptureFixture[str]) -> None:
    _, told = said_by(capsys, "--preset", "noisy-labels", "--rho", "0.4")
    assert "ssam-f 0.216" in told
    assert "ssam-d 0.242" in told
    for flags in (
        ("--preset", "noisy-labels"),
        ("--preset", "demo", "--lanes", "sgd,sam", "--rho", "0.4"),
        ("--rho", "0.4"),
    ):
        assert said_by(capsys, *flags)[1] == ""
