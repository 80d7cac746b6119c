"""The race page as a script: what it draws, what it refuses, and that it starts each race once."""

import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ssam.experiment import RaceSpec, parse_spec, preset, presets
from ssam.experiment.events import EpochEvent, LaneResult, Result
from ssam.methods import METHODS
from ssam.store import Store
from tests.components import data_of
from tests.fake_race import started, step
from tests.golden import Golden, assert_one_line_error
from tests.people import ALICE, owner
from tests.race_page import page, shown, start, two_classes

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = next(iter(presets().values())).spec


def test_the_first_page_is_one_click_from_a_race(store: Store) -> None:
    app = page()
    assert not app.exception
    assert app.selectbox(key="preset").value == next(iter(presets()))
    assert not app.button(key="start_race").disabled
    assert any("on this machine" in caption.value for caption in app.caption)
    start(app)
    assert not app.exception
    (run,) = store.runs.newest()
    assert run.spec == DEFAULT


def test_a_second_click_on_start_makes_no_second_race(store: Store) -> None:
    app = start(page())
    before = store.runs.newest()
    assert app.button(key="start_race").disabled
    app.session_state["race_request"] = "another"  # what a click would bring that was made before the page knew
    start_callback_again(app)
    assert store.runs.newest() == before


def start_callback_again(app: AppTest) -> None:
    """Presses the disabled button, as a browser does whose click was on its way already."""
    button = app.button(key="start_race")
    button.proto.disabled = False
    button.click().run()
    assert not app.exception


def test_other_settings_start_another_race(store: Store) -> None:
    app = start(page(preset="demo"))
    app.number_input(key="seed").set_value(1).run()
    start(app)
    assert [run.spec.seed for run in store.runs.newest()] == [1, 0]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ({"preset": "demo"}, preset("demo").spec),
        ({"preset": "demo", "epochs": "2"}, parse_spec({"epochs": 2}, preset("demo").spec)),
        (
            {"lanes": "sgd,ssam-f:sparsity=0.9,ssam-f", "seed": "3"},
            parse_spec({"lanes": "sgd,ssam-f:sparsity=0.9,ssam-f", "seed": 3}),
        ),
        ({"clock": "seconds", "seconds": "12", "device": "cuda:0", "norm": "masked"}, None),
        ({"model": "resnet20", "dataset": "cifar10", "train_size": "1000", "augment": "crop-flip"}, None),
        ({"dataset": "fashion-mnist-10k"}, RaceSpec()),
    ],
)
def test_an_address_is_a_race(store: Store, address: dict[str, str], expected: RaceSpec | None) -> None:
    app = page(**address)
    assert not app.exception
    assert not app.error
    start(app)
    (run,) = store.runs.newest()
    assert run.spec == (expected or parse_spec(address))
    again = page(**{**app.query_params, "run": run.id})
    assert not again.warning
    assert shown(again) == shown(app), "the page's own address must give the same controls"


@pytest.mark.parametrize(
    "address",
    [
        {"epochs": "many"},
        {"epochs": "1000000000"},
        {"sparsity": "1.5"},
        {"sparsity": "nan"},
        {"sparsity": "-1"},
        {"model": "nope"},
        {"lanes": "sgd,,"},
        {"preset": "nope"},
        {"<script>alert(1)</script>": "x"},
        {"dataset": "images"},
        {"train_size": "-5"},
    ],
)
def test_garbage_in_the_address_gives_one_line_and_the_defaults(store: Store, address: dict[str, str]) -> None:
    app = page(**address)
    assert not app.exception
    (warning,) = app.warning
    assert "\n" not in warning.value
    assert len(warning.value) < 400
    start(app)
    assert [run.spec for run in store.runs.newest()] == [DEFAULT]


def test_an_unknown_run_gives_one_line(store: Store) -> None:
    app = page(run="nope")
    assert ["'nope'" in warning.value for warning in app.warning] == [True]
    assert not app.exception
    assert not app.button(key="start_race").disabled


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("epochs", 10**9, "Epochs '1000000000' must be a whole number from 1 to 1000"),
        ("epochs", 0, "Epochs '0' must be"),
        ("rho", -1.0, "Rho '-1.0' must be a number from 0 to 10"),
        ("lr", 0.0, "Learning rate '0.0' must be"),
        ("batch_size", 100_000, "Batch size '100000' must be"),
        ("batch_size", 4096, "Batch size 4096 must be at most Training images 4000"),
        ("train_size", 10**6, "Training images 1000000 must be at most 10000"),
        ("sparsity_ssam-f", 1.5, "SSAM-F sparsity '1.5' must be a number from 0 to 1"),
        ("rho", None, "Rho is empty: a number from 0 to 10"),
        ("epochs", None, "Epochs is empty: a whole number from 1 to 1000"),
        ("seed", None, "Seed is empty: a whole number"),
        ("lr", None, "Learning rate is empty: a number above 0"),
        ("batch_size", None, "Batch size is empty: a whole number"),
        ("mask_interval", None, "Refresh mask every is empty: a whole number"),
        ("image_size", 4, "Image size '4' must be a whole number from 8 to 512"),
    ],
)
def test_a_bad_value_is_told_in_one_line_and_disturbs_no_race(
    store: Store, key: str, value: float | None, said: str
) -> None:
    app = start(page())
    before = store.runs.newest()
    app.number_input(key=key).set_value(value).run()
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith(said)
    assert "\n" not in error.value
    assert app.button(key="start_race").disabled
    assert app.button(key="stop_race")
    start_callback_again(app)
    assert store.runs.newest() == before


def test_an_impossible_pair_is_refused(store: Store) -> None:
    app = page()
    app.selectbox(key="model").set_value("resnet50").run()
    (error,) = app.error
    assert_one_line_error(error.value, ["64×64", "Image size"])
    assert app.button(key="start_race").disabled
    app.number_input(key="image_size").set_value(64).run()
    assert not app.error
    assert not app.button(key="start_race").disabled
    assert page(**app.query_params).number_input(key="image_size").value == 64


def test_a_training_size_that_another_data_set_may_not_have_is_taken_back(store: Store) -> None:
    app = page(dataset="cifar10", train_size="20000")
    app.selectbox(key="dataset").set_value("mnist").run()
    assert app.number_input(key="train_size").value is None
    app.selectbox(key="dataset").set_value("cifar10").run()
    assert app.number_input(key="train_size").value == 20_000, "it comes back with its data set"
    app.selectbox(key="dataset").set_value("fashion-mnist-10k").run()
    assert app.number_input(key="train_size").value is None
    app.number_input(key="train_size").set_value(200).run()
    app.selectbox(key="dataset").set_value("images").run()
    assert app.number_input(key="train_size").value is None


def test_the_same_lane_twice_is_told_in_one_short_line(store: Store) -> None:
    app = page()
    app.multiselect(key="lanes").set_value(["sgd", "sam", "sam:rho=0.3", "sam:rho=0.3"]).run()
    (error,) = app.error
    assert_one_line_error(error.value, ["'sgd,sam,sam:rho=0.3", "twice"])


def test_a_preset_fills_the_controls_and_a_change_leaves_it(store: Store) -> None:
    app = page()
    app.selectbox(key="preset").set_value("demo").run()
    quick = preset("demo").spec
    assert app.number_input(key="epochs").value == quick.epochs
    assert app.number_input(key="train_size").value == quick.train_size
    assert app.number_input(key="label_noise").value == quick.label_noise
    app.number_input(key="epochs").set_value(quick.epochs + 1).run()
    assert app.selectbox(key="preset").value == "custom"
    app.selectbox(key="preset").set_value("demo").run()
    assert app.number_input(key="epochs").value == quick.epochs


def test_each_lane_can_have_its_own_settings(store: Store) -> None:
    app = page(preset="demo", lanes="sgd,sam,ssam-d")
    app.number_input(key="rho_sam").set_value(0.05).run()
    app.number_input(key="sparsity_ssam-d").set_value(0.9).run()
    app.multiselect(key="lanes").set_value(["sgd", "sam", "ssam-d", "ssam-d:sparsity=0.2"]).run()
    start(app)
    (run,) = store.runs.newest()
    assert [str(lane) for lane in run.spec.lanes] == [
        "sgd",
        "sam:rho=0.05",
        "ssam-d:sparsity=0.9",
        "ssam-d:sparsity=0.2",
    ]


def test_no_lane_is_refused(store: Store) -> None:
    app = page()
    app.multiselect(key="lanes").set_value([]).run()
    assert ["one lane" in error.value for error in app.error] == [True]
    assert app.button(key="start_race").disabled


def test_the_former_name_of_a_preset_opens_its_successor_and_says_so(store: Store) -> None:
    app = page(preset="quick")
    assert app.selectbox(key="preset").value == "demo"
    assert any("quick" in warning.value for warning in app.warning)


def test_going_back_brings_the_older_settings_but_a_late_address_does_not(store: Store) -> None:
    app = page(preset="demo")
    first = dict(app.query_params)
    app.query_params.clear()
    app.query_params["preset"] = "demo"  # the browser has not taken over what the first run wrote
    app.number_input(key="epochs").set_value(9).run()
    assert app.number_input(key="epochs").value == 9
    assert app.query_params["epochs"] == "9"
    app.run()  # now it has
    app.query_params.clear()
    for name, value in first.items():
        app.query_params[name] = value
    app.run()
    assert app.number_input(key="epochs").value == preset("demo").spec.epochs


def test_pause_resume_and_stop_are_passed_on(store: Store) -> None:
    app = start(page())
    (run,) = store.runs.newest()
    assert store.queue.transition(run.id, ("queued",), "running")
    app.run()
    app.button(key="pause_now").click().run()
    assert store.runs.get(run.id).want == "pause"
    with pytest.raises(KeyError):
        app.button(key="pause_now")  # a click that is delivered twice must not find Resume in its place
    app.button(key="resume_now").click().run()
    assert store.runs.get(run.id).want == "run"
    app.button(key="stop_race").click().run()
    assert store.runs.get(run.id).want == "stop"
    assert store.queue.transition(run.id, ("running",), "stopped")
    app.run()
    app.button(key="new_race").click().run()
    assert "run" not in app.query_params
    app.button(key=f"open_{run.id}").click().run()
    assert app.query_params["run"] == run.id


def test_own_images_are_uploaded_and_raced(store: Store, tmp_path: Path) -> None:
    app = page()
    app.selectbox(key="dataset").set_value("images").run()
    assert ["zip" in error.value for error in app.error] == [True]
    assert app.button(key="start_race").disabled
    app.file_uploader(key="upload").upload("bad.zip", b"no zip at all").run()
    assert not app.exception
    assert len(app.error) == 2  # beside the upload, and beside Start
    app.file_uploader(key="upload").set_value([]) if hasattr(app.file_uploader(key="upload"), "set_value") else None
    app.file_uploader(key="upload").upload("pets.zip", two_classes()).run()
    assert not app.exception
    (error,) = app.error
    assert_one_line_error(error.value, ["128", "at most 4"])
    app.number_input(key="batch_size").set_value(2).run()
    assert not app.error
    (cost,) = (caption.value for caption in app.caption if "on this machine" in caption.value)
    assert re.match(r"\D*[1-5] s ", cost), "the time is that of these few images"
    start(app)
    (run,) = store.runs.newest()
    assert run.spec.data in store.uploads.names()
    assert run.spec.data.startswith("pets")
    assert (run.spec.train_size, run.spec.label_noise) == (None, 0.0), "the preset's trick ended with its data set"
    assert any("(pets.zip)" in markdown.value for markdown in app.markdown)
    assert not page(**app.query_params).warning


# What an earlier or running race shows


def race(store: Store, spec: RaceSpec, steps: int = 20) -> str:
    """A race that has got as far as ``steps`` steps of 20 in every lane, with one evaluation; it is queued still."""
    run_id = store.runs.create(spec, f"request {len(store.runs.newest())}", owner(ALICE))
    with store.writer(run_id) as writer:
        writer.add(started(spec, 20))
        for name in spec.lane_names:
            for number in range(1, steps + 1):
                writer.add(step(name, number))
            writer.add(EpochEvent(name, steps, 1.0, 2 * steps, 0.2, 0.1, 1.0, 1.1, 0.5, 100, final=False))
    return run_id


def finish(store: Store, run_id: str, spec: RaceSpec) -> None:
    lanes = list(zip(spec.lane_names, spec.lanes, strict=True))
    with store.writer(run_id) as writer:
        results = (
            LaneResult(name, lane.method, spec.lane_sparsity(lane), spec.lane_rho(lane), 0.8 + at / 100, 0.6, 12.3, 1.9, 1.5, False)
            for at, (name, lane) in enumerate(lanes)
        )  # fmt: skip
        writer.add(Result("cpu", tuple(results)))
    assert store.queue.transition(run_id, ("queued",), "finished")


def live(app: AppTest) -> dict:
    """What the live panel is sent."""
    return data_of(app, "live")


def test_an_ended_race_has_one_set_of_numbers(store: Store) -> None:
    spec = preset("demo").spec
    run_id = race(store, spec)
    during = live(page(run=run_id))["lanes"][1]
    assert (during["stepMs"], during["ratio"]) == (6.0, 2.0)
    finish(store, run_id, spec)
    app = page(run=run_id)
    assert [(lane["stepMs"], lane["ratio"]) for lane in live(app)["lanes"]] == [(12.3, 1.9)] * 4
    table = app.dataframe[0].value
    assert list(table["ms/step"]) == [12.3] * 4
    assert list(table["× SGD"]) == [1.9] * 4


def test_the_tables_are_empty_where_a_lane_has_no_such_thing(store: Store, tmp_path: Path) -> None:
    from ssam.export import Source, write

    spec = parse_spec({"lanes": "sgd,sam,ssam-f,ssam-d"}, preset("demo").spec)
    run_id = race(store, spec)
    finish(store, run_id, spec)
    table = page(run=run_id).dataframe[0]
    assert table.proto.placeholder == "–"
    assert list(table.value["Sparsity"].isna()) == [True, True, False, False]
    assert list(table.value["Rho"].isna()) == [True, False, False, False]
    run = store.runs.get(run_id)
    assert run
    write(Source(store, run), ["csv"], tmp_path / "taken")
    text = (tmp_path / "taken" / "evaluations.csv").read_text()
    heading, sgd, sam, ssam_f, _ = (line.split(",") for line in text.splitlines())
    place = {name: heading.index(name) for name in ("lane", "sparsity", "rho")}
    assert [sgd[place[name]] for name in place] == ["sgd", "", ""]
    assert [sam[place[name]] for name in place] == ["sam", "", "0.2"]
    assert [ssam_f[place[name]] for name in place] == ["ssam-f", "0.5", "0.2"]
    assert "None" not in text


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({}, {"epoch": 2.0, "gradients": 40, "seconds": None}),
        ({"clock": "seconds", "seconds": 12}, {"epoch": None, "gradients": None, "seconds": 12.0}),
    ],
)
def test_the_axes_reach_to_the_end_of_the_race(store: Store, changes: dict, ends: dict) -> None:
    """The made-up races have 20 steps a lane, ten in an epoch."""
    assert live(page(run=race(store, parse_spec(changes, preset("demo").spec))))["ends"] == ends


def test_before_a_race_has_started_only_its_epochs_are_known(store: Store) -> None:
    app = start(page(preset="demo"))
    assert live(app)["ends"] == {"epoch": preset("demo").spec.epochs, "gradients": None, "seconds": None}


def test_the_settings_of_a_lane_carry_its_plan_once_that_is_known(store: Store, golden: Golden) -> None:
    spec = parse_spec({"lanes": "sgd,ssam-f:region=late:norm=masked", "rho": 0.3})
    settings = [lane["settings"] for lane in live(page(run=race(store, spec)))["lanes"]]
    golden("race", "settings of the lanes", *settings)
    assert re.search(r"50% .*0\.3", settings[1])


def test_who_waits_is_told_where_and_why(store: Store, golden: Golden) -> None:
    for at in range(3):
        store.runs.create(RaceSpec(seed=at), str(at))
    told = [live(page(run=run.id))["status"]["detail"] for run in store.runs.newest()]
    assert [text[:3] for text in told[:2]] == ["3rd", "2nd"], "how long races take here is not known"
    golden("race", "waiting", *told)


def test_pausing_and_stopping_are_said_before_they_are_done(store: Store) -> None:
    run_id = race(store, preset("demo").spec, steps=10)
    assert store.queue.transition(run_id, ("queued",), "running")
    status = live(page(run=run_id))["status"]
    assert status == {"word": "Running", "detail": "50%"}  # too early for the time left
    store.queue.set_desired_state(run_id, "pause")
    assert live(page(run=run_id))["status"]["word"] == "Pausing…"
    store.queue.set_desired_state(run_id, "stop")
    assert live(page(run=run_id))["status"]["word"] == "Stopping…"


def test_recent_races_say_what_sets_them_apart(store: Store) -> None:
    spec = parse_spec({"lanes": "sgd,sam:rho=0.3,ssam-d"}, preset("demo").spec)
    finish(store, race(store, spec), spec)
    captions = [caption.value for caption in page().caption]
    (told,) = (caption for caption in captions if "finished" in caption)
    assert re.match(r"\d\d:\d\d · finished .*82\.0% \(SSAM-D\).*SAM ρ 0\.3.*ρ 0\.2.*50%$", told)


def test_a_failure_is_told_in_the_words_of_the_form(store: Store) -> None:
    run_id = start(page()).query_params["run"]
    run_id = run_id if isinstance(run_id, str) else run_id[0]
    assert store.queue.transition(run_id, ("queued",), "failed", message="train_size 4000 is too large")
    assert live(page(run=run_id))["failed"].startswith("Training images 4000 ")


def test_the_server_has_no_torch(tmp_path: Path) -> None:
    script = """
import sys
from streamlit.testing.v1 import AppTest
from ssam.jobs.runner_process import RunnerProcess
RunnerProcess.ensure = lambda self: None
app = AppTest.from_file("app/main.py", default_timeout=120).run()
app.button(key="start_race").click().run()
assert not app.exception, app.exception
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"torch", "torchvision"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"SSAM_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


# How methods look


def test_every_method_has_a_style_of_its_own() -> None:
    from app.ui.theme import METHOD_STYLES

    assert METHOD_STYLES.keys() == METHODS.keys()
    for part in ("color", "dash", "symbol"):
        assert len({getattr(style, part) for style in METHOD_STYLES.values()}) == len(METHODS)


def test_lanes_of_one_method_are_told_apart_by_dash_and_shade_on_both_backgrounds() -> None:
    from app.ui.theme import lane_styles

    for method in (name for name, method in METHODS.items() if method.passes > 1):
        lanes = ",".join([method, *(f"{method}:rho={index / 10}" for index in range(1, 8))])
        styles = lane_styles(parse_spec({"lanes": lanes}))
        assert len({(style.color, style.dash, style.symbol) for style in styles}) == len(styles)
        for mode in ("light", "dark"):
            for style in styles:
                assert contrast(rgb(style.color), rgb(themes()[mode]["backgroundColor"])) >= 3
        first = [lab(linear(rgb(style.color))) for style in styles[:3]]
        for at, one in enumerate(first):
            for other in first[:at]:
                assert distance(one, other) > 6


def test_colours_are_readable_on_both_backgrounds_and_told_apart_with_any_colour_vision() -> None:
    from app.ui.theme import METHOD_STYLES

    colors = [rgb(style.color) for style in METHOD_STYLES.values()]
    for mode in ("light", "dark"):
        theme = themes()[mode]
        text, primary = rgb(theme["textColor"]), rgb(theme["primaryColor"])
        for color in colors:
            assert contrast(color, rgb(theme["backgroundColor"])) >= 3
        for background in (rgb(theme["backgroundColor"]), rgb(theme["sidebar"]["backgroundColor"])):
            caption = tuple(0.6 * a + 0.4 * b for a, b in zip(text, background, strict=True))  # as Streamlit fades it
            assert contrast(caption, background) >= 4.5
            assert contrast(text, background) >= 7
            assert contrast(primary, background) >= 3
            assert contrast(rgb(theme["linkColor"]), background) >= 4.5
        assert contrast((1, 1, 1), primary) >= 4.5  # buttons and chips
    for matrix in (NORMAL, PROTANOPIA, DEUTERANOPIA, TRITANOPIA):
        seen = [lab(tuple(sum(row[k] * linear(color)[k] for k in range(3)) for row in matrix)) for color in colors]
        for at, one in enumerate(seen):
            for other in seen[:at]:
                assert distance(one, other) > 15


def test_lanes_and_phases_are_told_apart_in_grey() -> None:
    """On a bad projector or paper: lanes of two methods by dash and marker, those of one by shade, dash or marker; a phase by its shade
    from the next one in a bar."""
    from app.ui.theme import METHOD_STYLES, PHASE_COLORS, lane_styles

    for one, other in itertools.combinations(METHOD_STYLES.values(), 2):
        assert one.dash != other.dash
        assert one.symbol != other.symbol
    for method in (name for name, method in METHODS.items() if method.passes > 1):
        lanes = ",".join(["sgd", method, *(f"{method}:rho={index / 10}" for index in range(1, 7))])
        for one, other in itertools.combinations(lane_styles(parse_spec({"lanes": lanes})), 2):
            assert (one.dash, one.symbol) != (other.dash, other.symbol) or abs(grey(one.color) - grey(other.color)) > 6
    shades = {name: grey(color) for name, color in PHASE_COLORS.items()}
    for one, other in [*itertools.pairwise(shades), ("backward1", "update")]:
        assert abs(shades[one] - shades[other]) > 8, (one, other)


def grey(color: str) -> float:
    """CIE L* of ``#rrggbb``, 0 to 100: all that a photocopy keeps of it."""
    return lab(linear(rgb(color)))[0]


def themes() -> dict[str, dict]:
    return tomllib.loads((ROOT / "app" / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]


# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB
NORMAL = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
TRITANOPIA = ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900))

Color = tuple[float, float, float]


def rgb(text: str) -> Color:
    assert re.fullmatch("#[0-9a-f]{6}", text)
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def linear(color: Sequence[float]) -> Color:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color)
    return red, green, blue


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """WCAG's contrast ratio."""
    dark, light = sorted(
        sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True)) for c in (one, other)
    )
    return (light + 0.05) / (dark + 0.05)


def distance(one: Color, other: Color) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5


def lab(color: Color) -> Color:
    """CIE L*a*b* of linear RGB."""
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.9505, 1.0, 1.089)
    xyz = [
        max(0.0, sum(a * b for a, b in zip(row, color, strict=True))) / w for row, w in zip(to_xyz, white, strict=True)
    ]
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize(
    ("state", "want", "ahead", "points", "seconds"),
    [
        ("queued", "run", 0, 0, 0.2),
        ("queued", "run", 3, 0, 1.0),
        ("starting", "run", None, 0, 0.2),
        ("running", "run", None, 0, 0.2),
        ("running", "run", None, 5, 0.8),
        ("paused", "pause", None, 5, 1.0),
        ("finished", "run", None, 5, None),
    ],
)
def test_a_page_that_waits_for_others_asks_seldom(state, want, ahead, points, seconds):
    from types import SimpleNamespace

    from app.ui import live_panel as live

    run = SimpleNamespace(state=state, want=want, races_ahead=ahead)
    window = SimpleNamespace(lanes=[SimpleNamespace(points=points)])
    assert live.pace(run, window) == seconds


def where() -> None:
    import streamlit as st

    from app.shell import url_state as address

    st.session_state["moved"] = address.moved("test")
    if wanted := st.session_state.get("wanted"):
        address.put({"at": wanted}, "test")


def test_going_back_is_a_move_and_an_address_on_its_way_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.shell import url_state as address

    clock = [100.0]
    monkeypatch.setattr(address.time, "monotonic", lambda: clock[0])
    app = AppTest.from_function(where)

    def moved(at: str, wanted: str | None = None) -> bool:
        app.query_params["at"] = at
        app.session_state["wanted"] = wanted
        return app.run().session_state["moved"]

    assert moved("a")
    assert not moved("a", wanted="b"), "a click, which makes the page go to b"
    assert not moved("a", wanted="b"), "another click, before the browser had been told"
    assert not moved("b"), "the browser has it now"
    assert not moved("b", wanted="c")
    clock[0] += address.STALE_SECONDS
    assert moved("b"), "back"
    assert not moved("b")
    assert moved("a"), "and back once more"
