"""Rho in the form: every lane's is shown, those of their own are named, and two buttons bring them together."""

import re

import pytest
from streamlit.testing.v1 import AppTest

from app.race import rho_controls
from ssam.experiment import LaneSpec, preset, presets
from ssam.store import Store
from tests.race_page import page, start

NOISY = preset("noisy-labels").spec
FISHER, DYNAMIC = (NOISY.lane_rho(lane) for lane in NOISY.lanes[-2:])


def lanes(text: str) -> list[LaneSpec]:
    return [LaneSpec.parse(lane) for lane in text.split(",")]


def rhos(store: Store) -> list[float]:
    """What the lanes of the newest race that perturb are asked for."""
    spec = store.runs.newest()[0].spec
    return [spec.lane_rho(lane) for lane in spec.lanes if lane.method != "sgd"]


def chips(app: AppTest) -> str:
    return next(text.value for text in app.markdown if "-badge[" in text.value)


def moved(app: AppTest, rho: float | None) -> AppTest:
    return app.number_input(key="rho").set_value(rho).run()


def test_a_chip_has_rho_and_sparsity_and_marks_a_lanes_own() -> None:
    found = [rho_controls.chip(lane, 0.2, 0.5) for lane in lanes("sgd,sam,ssam-f:rho=0.25:sparsity=0.8,ssam-d")]
    assert found[0] is None
    words = [(text.split(" ρ ")[1], color) for text, color in filter(None, found)]
    assert [(re.findall(r"[\d.]+", text), color) for text, color in words] == [
        (["0.2"], "gray"),
        (["0.25", "80"], "orange"),
        (["0.2", "50"], "gray"),
    ]
    assert rho_controls.chip(LaneSpec.parse("sam"), None, 0.5) is None, "an emptied field has no rho to show"
    assert rho_controls.chip(LaneSpec.parse("sam:rho=0.1"), None, 0.5)


def test_one_rho_for_all_clears_every_lanes_own() -> None:
    found = rho_controls.one(lanes("sgd,sam,sam:rho=0.4,ssam-f:rho=0.25:sparsity=0.8"))
    assert [str(lane) for lane in found] == ["sgd", "sam", "ssam-f:sparsity=0.8"], "equal lanes become one"


@pytest.mark.parametrize("times", [0.1, 0.5, 2.0, 3.0])
def test_scaling_keeps_the_ratios(times: float) -> None:
    before = lanes("sam,ssam-f:rho=0.25,ssam-d:rho=0.3")
    after = rho_controls.scaled(before, times)
    assert after[0] == before[0]
    assert [lane.rho for lane in after[1:]] == pytest.approx([0.25 * times, 0.3 * times])
    assert rho_controls.scaled(after, 1 / times) == before, "and back"


def test_a_scale_that_changes_nothing_or_is_not_allowed_is_none() -> None:
    assert rho_controls.scaled(lanes("sam,ssam-f:rho=0.25"), 1.0) == []
    assert rho_controls.scaled(lanes("sam"), 2.0) == []
    assert rho_controls.scaled(lanes("sam,ssam-f:rho=6"), 2.0) == []


@pytest.mark.parametrize("name", list(presets()))
def test_every_lane_of_every_preset_has_its_rho_in_the_form(store: Store, name: str) -> None:
    app, spec = page(preset=name), preset(name).spec
    shown = chips(app)
    perturbing = [lane for lane in spec.lanes if lane.method != "sgd"]
    assert shown.count("-badge[") == len(perturbing)
    for lane in perturbing:
        assert f"ρ {spec.lane_rho(lane):g}" in shown
    own = [lane for lane in spec.lanes if lane.rho is not None]
    said = " ".join(caption.value for caption in app.caption if "*Rho*" in caption.value)
    assert bool(said) == bool(own)
    assert all(f"{lane.rho:g}" in said for lane in own)
    assert any(button.key == "one_rho" for button in app.button) == bool(own)


def test_moving_rho_alone_moves_only_the_lanes_that_follow(store: Store) -> None:
    app = moved(page(preset="noisy-labels"), 0.4)
    assert "SAM ρ 0.4" in chips(app)
    assert f"SSAM-F ρ {FISHER}" in chips(app)
    start(app)
    assert rhos(store) == [0.4, FISHER, DYNAMIC]


def test_scale_all_brings_the_others_along(store: Store) -> None:
    app = page(preset="noisy-labels")
    assert app.button(key="scale_rho").disabled, "Rho has not been moved"
    moved(app, 0.4)
    assert "2" in app.button(key="scale_rho").label
    app.button(key="scale_rho").click().run()
    assert app.button(key="scale_rho").disabled
    assert app.number_input(key="rho_ssam-f").value == pytest.approx(2 * FISHER)
    moved(app, 0.2)
    app.button(key="scale_rho").click().run()
    assert app.selectbox(key="preset").value == "noisy-labels", "and back"
    start(app)
    assert store.runs.newest()[0].spec == NOISY


def test_one_rho_for_all_leaves_no_lane_behind(store: Store) -> None:
    app = moved(page(preset="sparsity-dial"), 0.3)
    app.button(key="one_rho").click().run()
    assert not any(button.key in ("one_rho", "scale_rho") for button in app.button)
    start(app)
    assert rhos(store) == [0.3] * 4
    assert len(store.runs.newest()[0].spec.lanes) == len(preset("sparsity-dial").spec.lanes), (
        "the sparsities tell the lanes apart"
    )


def test_lanes_that_are_text_are_scaled_too(store: Store) -> None:
    app = moved(page(preset="sparsity-dial"), 0.4)
    app.button(key="scale_rho").click().run()
    start(app)
    dial = preset("sparsity-dial").spec
    assert rhos(store) == pytest.approx([2 * dial.lane_rho(lane) for lane in dial.lanes if lane.method != "sgd"])


def test_an_address_still_knows_the_presets_rho(store: Store) -> None:
    """After a reload, or from a link, the ratio is that to the preset whose values the lanes have."""
    app = page(**{**NOISY.to_strings(), "rho": "0.1"})
    app.button(key="scale_rho").click().run()
    start(app)
    assert rhos(store) == pytest.approx([0.1, FISHER / 2, DYNAMIC / 2])


def test_a_rho_set_by_hand_belongs_to_the_rho_of_that_moment(store: Store) -> None:
    app = moved(page(preset="demo"), 0.2)
    app.number_input(key="rho_ssam-f").set_value(0.7).run()
    assert app.button(key="scale_rho").disabled
    moved(app, 0.1)
    app.button(key="scale_rho").click().run()
    assert app.number_input(key="rho_ssam-f").value == pytest.approx(0.35)


def test_rho_at_zero_takes_the_others_to_zero(store: Store) -> None:
    app = moved(page(preset="noisy-labels"), 0.0)
    app.button(key="scale_rho").click().run()
    assert app.button(key="scale_rho").disabled
    start(app)
    assert rhos(store) == [0, 0, 0]


def test_an_empty_rho_scales_nothing(store: Store) -> None:
    app = moved(page(preset="noisy-labels"), None)
    assert not app.exception
    assert app.button(key="scale_rho").disabled
    assert f"SSAM-F ρ {FISHER}" in chips(app)


def test_a_lane_that_cannot_be_read_has_no_chip(store: Store) -> None:
    app = page(preset="noisy-labels")
    app.session_state["lanes"] = ["sam", "ssam-f:rho=nonsense"]
    app.run()
    assert not app.exception
    assert app.error
    assert chips(app).count("-badge[") == 1
