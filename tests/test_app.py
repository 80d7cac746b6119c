"""The race page as a script: what it draws, what it refuses, and that it starts each race once."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ssam.jobs.client import Client
from ssam.spec import METHODS, RaceSpec, parse_spec, preset, presets
from ssam.store import Store

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = next(iter(presets().values())).spec


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of its own for the app; no runner is started, so that races stay queued."""
    monkeypatch.setenv("SSAM_HOME", str(tmp_path))
    monkeypatch.delenv("SSAM_DATABASE_URL", raising=False)
    monkeypatch.setattr(Client, "ensure_runner", lambda self: None)
    st.cache_resource.clear()
    store = Store(tmp_path)
    yield store
    store.close()
    st.cache_resource.clear()


def page(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=30)
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def start(app: AppTest) -> AppTest:
    return app.button(key="start_race").click().run()


def test_the_first_page_is_one_click_from_a_race(store: Store) -> None:
    app = page()
    assert not app.exception
    assert app.selectbox(key="preset").value == next(iter(presets()))
    assert not app.button(key="start_race").disabled
    assert any("on this machine" in caption.value for caption in app.caption)
    start(app)
    assert not app.exception
    (run,) = store.runs()
    assert run.spec == DEFAULT


def test_a_second_click_on_start_makes_no_second_race(store: Store) -> None:
    app = start(page())
    before = store.runs()
    assert app.button(key="start_race").disabled
    app.session_state["request_id"] = "another"  # what a click would bring that was made before the page knew
    start_callback_again(app)
    assert store.runs() == before


def start_callback_again(app: AppTest) -> None:
    """Presses the disabled button, as a browser does whose click was on its way already."""
    button = app.button(key="start_race")
    button.proto.disabled = False
    button.click().run()
    assert not app.exception


def test_other_settings_start_another_race(store: Store) -> None:
    app = start(page(preset="quick"))
    app.number_input(key="seed").set_value(1).run()
    start(app)
    assert [run.spec.seed for run in store.runs()] == [1, 0]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ({"preset": "quick"}, preset("quick").spec),
        ({"preset": "quick", "epochs": "2"}, parse_spec({"epochs": 2}, preset("quick").spec)),
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
    (run,) = store.runs()
    assert run.spec == (expected or parse_spec(address))
    again = page(**{**app.query_params, "run": run.id})
    assert not again.warning
    assert shown(again) == shown(app), "the page's own address must give the same controls"


def shown(app: AppTest) -> dict[str, object]:
    names = [
        *RaceSpec.model_fields,
        *(f"rho_{method}" for method in METHODS),
        *(f"sparsity_{method}" for method in METHODS),
    ]
    return {name: app.session_state.get(name) for name in names}


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
    assert len(warning.value) < 300
    start(app)
    assert [run.spec for run in store.runs()] == [DEFAULT]


def test_an_unknown_run_gives_one_line(store: Store) -> None:
    app = page(run="nope")
    assert [warning.value for warning in app.warning] == ["There is no race 'nope' here."]
    assert not app.exception
    assert not app.button(key="start_race").disabled


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("epochs", 10**9, "epochs"),
        ("epochs", 0, "epochs"),
        ("rho", -1.0, "rho"),
        ("lr", 0.0, "lr"),
        ("batch_size", 100_000, "batch_size"),
        ("train_size", 10**6, "train_size"),
        ("sparsity_ssam-f", 1.5, "sparsity"),
    ],
)
def test_a_bad_value_is_told_in_one_line_and_disturbs_no_race(store: Store, key: str, value: float, said: str) -> None:
    app = start(page())
    before = store.runs()
    app.number_input(key=key).set_value(value).run()
    assert not app.exception
    (error,) = app.error
    assert said in error.value
    assert "\n" not in error.value
    assert app.button(key="start_race").disabled
    assert app.button(key="stop_race")
    start_callback_again(app)
    assert store.runs() == before


def test_an_impossible_pair_is_refused(store: Store) -> None:
    app = page()
    app.selectbox(key="model").set_value("resnet50").run()
    (error,) = app.error
    assert "64×64" in error.value
    assert app.button(key="start_race").disabled


def test_a_preset_fills_the_controls_and_a_change_leaves_it(store: Store) -> None:
    app = page()
    app.selectbox(key="preset").set_value("quick").run()
    quick = preset("quick").spec
    assert app.number_input(key="epochs").value == quick.epochs
    assert app.number_input(key="train_size").value == quick.train_size
    assert app.number_input(key="label_noise").value == quick.label_noise
    app.number_input(key="epochs").set_value(quick.epochs + 1).run()
    assert app.selectbox(key="preset").value == "custom"
    app.selectbox(key="preset").set_value("quick").run()
    assert app.number_input(key="epochs").value == quick.epochs


def test_each_lane_can_have_its_own_settings(store: Store) -> None:
    app = page(preset="quick")
    app.number_input(key="rho_sam").set_value(0.05).run()
    app.number_input(key="sparsity_ssam-d").set_value(0.9).run()
    app.multiselect(key="lanes").set_value(["sgd", "sam", "ssam-d", "ssam-d:sparsity=0.2"]).run()
    start(app)
    (run,) = store.runs()
    assert [str(lane) for lane in run.spec.lanes] == [
        "sgd",
        "sam:rho=0.05",
        "ssam-d:sparsity=0.9",
        "ssam-d:sparsity=0.2",
    ]


def test_no_lane_is_refused(store: Store) -> None:
    app = page()
    app.multiselect(key="lanes").set_value([]).run()
    assert [error.value for error in app.error] == ["Choose at least one lane."]
    assert app.button(key="start_race").disabled


def test_going_back_brings_the_older_settings_but_a_late_address_does_not(store: Store) -> None:
    app = page(preset="quick")
    first = dict(app.query_params)
    app.query_params.clear()
    app.query_params["preset"] = "quick"  # the browser has not taken over what the first run wrote
    app.number_input(key="epochs").set_value(9).run()
    assert app.number_input(key="epochs").value == 9
    assert app.query_params["epochs"] == "9"
    app.run()  # now it has
    app.query_params.clear()
    for name, value in first.items():
        app.query_params[name] = value
    app.run()
    assert app.number_input(key="epochs").value == preset("quick").spec.epochs


def test_pause_resume_and_stop_are_passed_on(store: Store) -> None:
    app = start(page())
    (run,) = store.runs()
    app.button(key="pause_race").click().run()
    assert store.run(run.id).want == "pause"
    assert app.button(key="pause_race").label == "Resume"
    app.button(key="pause_race").click().run()
    assert store.run(run.id).want == "run"
    app.button(key="stop_race").click().run()
    assert store.run(run.id).state == "stopped"
    assert app.button(key="new_race")
    app.button(key="new_race").click().run()
    assert "run" not in app.query_params
    app.button(key=f"open_{run.id}").click().run()
    assert app.query_params["run"] == run.id


def test_own_images_are_uploaded_and_raced(store: Store, tmp_path: Path) -> None:
    app = page()
    app.selectbox(key="dataset").set_value("images").run()
    assert app.button(key="start_race").disabled
    app.file_uploader(key="upload").upload("bad.zip", b"no zip at all").run()
    assert not app.exception
    assert len(app.error) == 2  # beside the upload, and beside Start
    app.file_uploader(key="upload").set_value([]) if hasattr(app.file_uploader(key="upload"), "set_value") else None
    app.file_uploader(key="upload").upload("pets.zip", two_classes()).run()
    assert not app.exception
    assert not app.error
    start(app)
    (run,) = store.runs()
    assert run.spec.data in store.images()
    assert run.spec.data.startswith("pets")
    assert not page(**app.query_params).warning


def two_classes() -> bytes:
    import io
    import zipfile

    from PIL import Image

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("cats", "dogs"):
            for index in range(3):
                image = io.BytesIO()
                Image.new("RGB", (16, 16), (index, 90, 200)).save(image, "PNG")
                archive.writestr(f"{name}/{index}.png", image.getvalue())
    return packed.getvalue()


def test_the_server_has_no_torch(tmp_path: Path) -> None:
    script = """
import sys
from streamlit.testing.v1 import AppTest
from ssam.jobs.client import Client
Client.ensure_runner = lambda self: None
app = AppTest.from_file("app/main.py", default_timeout=60).run()
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
    from app.theme import METHOD_STYLES

    assert METHOD_STYLES.keys() == METHODS.keys()
    for part in ("color", "dash", "symbol"):
        assert len({getattr(style, part) for style in METHOD_STYLES.values()}) == len(METHODS)


def test_colours_are_readable_on_both_backgrounds_and_told_apart_with_any_colour_vision() -> None:
    from app.theme import METHOD_STYLES

    theme = tomllib.loads((ROOT / "app" / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
    colors = [rgb(style.color) for style in METHOD_STYLES.values()]
    for mode in ("light", "dark"):
        for color in colors:
            assert contrast(color, rgb(theme[mode]["backgroundColor"])) >= 3
        assert contrast(rgb(theme[mode]["textColor"]), rgb(theme[mode]["backgroundColor"])) >= 7
        assert contrast((1, 1, 1), rgb(theme[mode]["primaryColor"])) >= 3.5
    for matrix in (NORMAL, PROTANOPIA, DEUTERANOPIA, TRITANOPIA):
        seen = [lab(tuple(sum(row[k] * linear(color)[k] for k in range(3)) for row in matrix)) for color in colors]
        for at, one in enumerate(seen):
            for other in seen[:at]:
                assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 15


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


def linear(color: Color) -> Color:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color)
    return red, green, blue


def contrast(one: Color, other: Color) -> float:
    """WCAG's contrast ratio."""
    dark, light = sorted(
        sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True)) for c in (one, other)
    )
    return (light + 0.05) / (dark + 0.05)


def lab(color: Color) -> Color:
    """CIE L*a*b* of linear RGB."""
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.9505, 1.0, 1.089)
    xyz = [
        max(0.0, sum(a * b for a, b in zip(row, color, strict=True))) / w for row, w in zip(to_xyz, white, strict=True)
    ]
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)
