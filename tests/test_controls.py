"""The form: what it offers is what a race may have, and it says every race exactly."""

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pydantic import ValidationError
from streamlit.testing.v1 import AppTest

from app.race import form, lane_form, rho_controls
from app.shell import data_settings
from app.ui import texts, theme
from app.ui.lab import Lab
from ssam.catalogue import MODELS
from ssam.experiment import LaneSpec, RaceSpec, parse_spec, preset
from ssam.experiment.lane import SETTINGS, TRAINING
from ssam.experiment.race import MAX_LANES
from ssam.methods import METHODS
from ssam.methods.directions import DIRECTIONS
from ssam.store import Store
from tests.golden import Golden, assert_one_line_error
from tests.race_page import page, start

NO_LAB = cast(Lab, None)  # only own images need one
VALUES = {
    "rho": some.floats(0, 10),
    "sparsity": some.floats(0, 1),
    "norm": some.sampled_from(["full", "masked"]),
    "region": some.sampled_from(["early", "late", "norm"]) | some.integers(0, 7).map(lambda stage: f"from-{stage}"),
    "granularity": some.sampled_from(["tensor", "block"]) | some.integers(2, 64).map(lambda group: f"n-of-{group}"),
    "score": some.sampled_from(["fisher", "fisher-per-cost", "gradient", "magnitude", "random"]),
    "direction": some.sampled_from(["momentum", "last"]),
    "ascent_batch": some.integers(1, 4096),
    "ascent_interval": some.integers(2, 1000),
}


@some.composite
def lanes(draw: some.DrawFn) -> LaneSpec:
    """Any valid lane, each of its settings set half of the time."""
    method = METHODS[draw(some.sampled_from(list(METHODS)))]
    can = lane_form.settings(method)
    values = {name: draw(values) for name, values in VALUES.items() if name in can and draw(some.booleans())}
    if values.get("score") == "fisher-per-cost":
        values["granularity"] = "block"
    if "direction" in values:
        values.pop("ascent_batch", None)
    return LaneSpec.model_validate({"method": method.name, **values})


# Models with normalisation layers and all the stages that the regions above name.
LARGE_ENOUGH = [
    name for name, model in MODELS.items() if model.min_size <= 28 and model.stages >= 8 and model.norm_layers
]
races = some.builds(
    RaceSpec,
    lanes=some.lists(lanes(), min_size=1, max_size=MAX_LANES, unique=True).map(tuple),
    fisher_batch=some.integers(1, 256),
    norm=some.sampled_from(["full", "masked"]),
    model=some.sampled_from(LARGE_ENOUGH),
    clock=some.sampled_from(["epochs", "gradients", "seconds"]),
    train_size=some.none() | some.integers(4096, 10_000),
    snapshot_interval=some.none() | some.integers(1, 1000),
    eigenvalue_interval=some.none() | some.integers(1, 1000),
)


@settings(deadline=None)  # a busy machine is no failure
@given(spec=races)
def test_the_controls_say_any_race_exactly(spec: RaceSpec) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        state: dict[str, Any] = {}
        for module in (form, data_settings, lane_form, rho_controls):
            monkeypatch.setattr(module, "st", SimpleNamespace(session_state=state))
        form.fill(parse_spec({"lanes": "sgd,sam:rho=3,ssam:region=from-5:granularity=n-of-9:direction=last"}))
        form.fill(spec)
        assert form.read(NO_LAB) == spec
        assert parse_spec(form.read(NO_LAB).to_strings()) == spec, "and so does the address"
        picked = [option for option in state["lanes"] if option in METHODS]
        sayable = {lane.method for lane in spec.lanes}
        assert sorted(picked) == sorted(sayable), "one lane of every method has the method's controls"
        for method in METHODS.keys() - sayable:
            assert lane_form.read(method) == LaneSpec(method=method), "nothing is left of earlier settings"


@given(spec=races)
def test_no_two_lanes_of_a_race_have_one_title(spec: RaceSpec) -> None:
    unrounded = {lane.model_copy(update={"rho": None, "sparsity": None}) for lane in spec.lanes}
    assert len({theme.lane_title(lane) for lane in unrounded}) == len(unrounded)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_offered_what_its_lanes_may_have_and_nothing_else(method: str) -> None:
    examples = {"region": "late", "granularity": "block", "score": "magnitude", "norm": "masked", "direction": "last"}
    examples |= {"base": "adamw", "label_smoothing": 0.1, "ema": 0.9, "ascent_interval": 2}
    allowed = set()
    for name in SETTINGS:
        try:
            LaneSpec.model_validate({"method": method, name: examples.get(name, 1)})
        except ValidationError:
            continue
        allowed.add(name)
    assert set(lane_form.settings(METHODS[method])) == allowed


def test_every_choice_of_the_spec_is_offered() -> None:
    fields = LaneSpec.model_json_schema()["properties"]
    assert list(fields["direction"]["enum"]) == list(DIRECTIONS)
    assert {name for name, direction in DIRECTIONS.items() if direction.hint} == set(DIRECTIONS) - {"gradient"}
    assert set(fields["score"]["anyOf"][0]["enum"]) == set(texts.SCORES)
    assert set(fields["norm"]["anyOf"][0]["enum"]) == set(texts.NORMS)
    assert set(fields["base"]["anyOf"][0]["enum"]) == set(texts.BASE_OPTIMIZERS)
    for name in SETTINGS:
        assert name in ("rho", "sparsity") or name in texts.LANE_HELP
        assert name in texts.LABELS


def drawn(app: AppTest, method: str) -> set[str]:
    keys = [field.key for field in (*app.selectbox, *app.number_input) if field.key]
    return {key.removesuffix(f"_{method}") for key in keys if key.endswith(f"_{method}")}


def said(app: AppTest) -> list[str]:
    """What is set, as the closed controls say it."""
    return [block.label for block in app.expander if ": " in block.label]


def opened(app: AppTest, to: bool = True) -> AppTest:
    """Unfolds "Settings for each method"."""
    app.session_state["per_lane"] = to
    return app.run()


def one_lane(store: Store, app: AppTest) -> str:
    """Starts the race and gives its last lane."""
    assert [error.value for error in app.error] == []
    start(app)
    return str(store.runs.newest()[0].spec.lanes[-1])


@pytest.mark.parametrize("half", [0, 1])  # a race has no room for every method
def test_only_what_a_method_can_have_is_drawn(store: Store, half: int) -> None:
    methods = list(METHODS.values())[half::2]
    app = page(lanes=",".join(method.name for method in methods))
    for method in methods:
        assert drawn(app, method.name) <= {"rho", "sparsity"}, "the rest is folded away"
    opened(app)
    for method in methods:
        folded = set() if method is methods[0] else set(TRAINING)  # one lane at a time has these
        assert drawn(app, method.name) == set(lane_form.settings(method)) - folded
    assert said(app) == [f"{method.title}: perturbs " + "all layers" for method in methods if method.perturbs]


def test_training_settings_are_set_for_one_lane_at_a_time(store: Store) -> None:
    app = opened(page(lanes="sgd,sam", lr="0.2"))
    assert drawn(app, "sgd") == set(TRAINING)
    app.number_input(key="epochs_sgd").set_value(2).run()
    app.selectbox(key="trained_lane").set_value("sam").run()
    app.selectbox(key="base_sam").set_value("adamw").run()
    assert float(app.number_input(key="lr_sam").placeholder) == 0.002, "the race's, on the scale of AdamW"
    assert one_lane(store, app) == "sam:base=adamw"
    assert store.runs.newest()[0].spec.lanes[0].epochs == 2, "what is out of sight stays set"


def test_the_base_optimizer_brings_its_rates(store: Store) -> None:
    app = page(lanes="sgd,sam", lr="0.2", weight_decay="0.001")
    app.selectbox(key="base").set_value("adamw").run()
    assert (app.number_input(key="lr").value, app.number_input(key="weight_decay").value) == (0.002, 0.1)
    app.selectbox(key="base").set_value("sgd").run()
    assert (app.number_input(key="lr").value, app.number_input(key="weight_decay").value) == (0.2, 0.001)


def test_where_and_how_are_set_without_typing(store: Store, golden: Golden) -> None:
    app = opened(page(lanes="sgd,ssam"))
    app.selectbox(key="region_ssam").set_value("from").run()
    app.number_input(key="stage_ssam").set_value(3).run()
    app.selectbox(key="granularity_ssam").set_value("n").run()
    app.number_input(key="group_ssam").set_value(8).run()
    app.selectbox(key="score_ssam").set_value("magnitude").run()
    app.selectbox(key="norm_ssam").set_value("masked").run()
    app.number_input(key="ascent_batch_ssam").set_value(32).run()
    app.number_input(key="ascent_interval_ssam").set_value(4).run()
    golden("race", "a lane with all settings", *said(app))
    text = "ssam:norm=masked:region=from-3:granularity=n-of-8:score=magnitude:ascent_batch=32:ascent_interval=4"
    assert app.query_params["lanes"] in (f"sgd,{text}", [f"sgd,{text}"])
    assert one_lane(store, app) == text


@pytest.mark.parametrize(
    "lane",
    [
        "sam:region=early:ascent_interval=3",
        "sam:rho=1.25:direction=momentum",
        "ssam-f:region=from-0:granularity=n-of-64",
        "ssam-d:norm=full:region=norm:ascent_batch=1",
        "ssam:granularity=block:score=fisher-per-cost:direction=last",
        "ssam:score=random",
    ],
)
def test_an_address_with_a_lane_is_kept_by_the_controls(store: Store, lane: str) -> None:
    app = opened(page(lanes=f"sgd,{lane}"))
    assert not app.exception
    app.number_input(key="seed").set_value(4).run()
    assert one_lane(store, app) == str(LaneSpec.parse(lane))


def test_a_second_lane_of_a_method_stays_text(store: Store) -> None:
    app = opened(page(lanes="ssam-f:region=late,ssam-f:direction=last,sam:ascent_batch=8,sam"))
    assert app.multiselect(key="lanes").value == ["ssam-f", "ssam-f:direction=last", "sam:ascent_batch=8", "sam"]
    assert [words.partition(":")[0] for words in said(app)] == ["SSAM-F", "SAM"]
    assert "late half" in said(app)[0]


def test_what_is_out_of_sight_does_not_count(store: Store, golden: Golden) -> None:
    app = opened(page(lanes="sgd,ssam-f:region=from-2:granularity=n-of-8:ascent_batch=32"))
    app.selectbox(key="direction_ssam-f").set_value("momentum").run()
    assert "ascent_batch" not in drawn(app, "ssam-f")
    assert any(re.search(r"rho .*\b1 to 1\.5", caption.value) for caption in app.caption)
    app.selectbox(key="region_ssam-f").set_value("late").run()
    app.selectbox(key="granularity_ssam-f").set_value("tensor").run()
    assert not {"stage", "group"} & drawn(app, "ssam-f")
    golden("race", "a lane with some settings", *said(app))
    app.selectbox(key="direction_ssam-f").set_value("gradient").run()
    assert app.number_input(key="ascent_batch_ssam-f").value == 32, "it comes back as it was"
    assert one_lane(store, app) == "ssam-f:region=late:granularity=tensor:ascent_batch=32"


@pytest.mark.parametrize("unfolded", [True, False])
def test_the_controls_of_a_lane_that_leaves_come_back_with_it(store: Store, unfolded: bool) -> None:
    app = opened(page(lanes="sgd,ssam-f:region=late:norm=masked"), unfolded)
    app.multiselect(key="lanes").set_value(["sgd"]).run()
    assert said(app) == []
    app.multiselect(key="lanes").set_value(["sgd", "ssam-f"]).run()
    assert one_lane(store, app) == "ssam-f:norm=masked:region=late"


def test_what_was_set_stays_set_when_it_is_folded_away(store: Store) -> None:
    app = opened(page(lanes="sgd,ssam-f"))
    app.selectbox(key="region_ssam-f").set_value("late").run()
    opened(app, to=False)
    assert drawn(app, "ssam-f") == {"rho", "sparsity"}
    app.number_input(key="seed").set_value(1).run()
    assert opened(app).selectbox(key="region_ssam-f").value == "late"
    assert one_lane(store, app) == "ssam-f:region=late"


def test_a_preset_takes_everything_back(store: Store) -> None:
    app = opened(page(lanes="sgd,sam,ssam-f,ssam-d"))
    app.selectbox(key="region_ssam-f").set_value("late").run()
    app.selectbox(key="preset").set_value("demo").run()
    assert app.selectbox(key="region_ssam-f").value == "all"
    start(app)
    assert store.runs.newest()[0].spec == preset("demo").spec


def test_empty_fields_stand_for_what_they_show(store: Store) -> None:
    lane = "ssam:norm=masked:region=from-2:granularity=n-of-8:score=fisher:ascent_interval=2"
    app = opened(page(lanes=f"sgd,{lane}"))
    for name in ("stage", "group", "ascent_interval"):
        app.number_input(key=f"{name}_ssam").set_value(None).run()
        assert app.number_input(key=f"{name}_ssam").placeholder == ("4" if name == "group" else "1")
    for name in ("score", "norm"):
        app.selectbox(key=f"{name}_ssam").set_value(None).run()
    assert app.selectbox(key="score_ssam").proto.placeholder == "random"
    assert app.selectbox(key="norm_ssam").proto.placeholder.endswith(": full")
    assert one_lane(store, app) == "ssam:region=from-1:granularity=n-of-4"


def test_fisher_per_cost_is_offered_for_blocks_only(store: Store) -> None:
    app = opened(page(lanes="sgd,ssam"))
    title = texts.SCORES["fisher-per-cost"]
    assert title not in app.selectbox(key="score_ssam").options
    app.selectbox(key="granularity_ssam").set_value("block").run()
    assert title in app.selectbox(key="score_ssam").options
    app.selectbox(key="score_ssam").set_value("fisher-per-cost").run()
    app.selectbox(key="granularity_ssam").set_value("weight").run()
    (error,) = app.error
    assert_one_line_error(error.value, ["SSAM", "'fisher-per-cost'", "'weight'", "'block'"])
    assert len(said(app)) == 1
    assert any(caption.value == error.value for caption in app.caption), "also beside the fields"
    app.selectbox(key="score_ssam").set_value("fisher").run()
    assert not app.error


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ascent_batch", 0, "SSAM-F Ascent batch '0' must be a whole number from 1 to 4096"),
        ("ascent_interval", 0, "SSAM-F Ascent every '0' must be a whole number from 1 to 1000"),
        (
            "stage",
            -1,
            "SSAM-F 'from--1' is not a region; allowed: all, early, late, norm, from-K with a stage number K",
        ),
        (
            "group",
            1,
            "SSAM-F 'n-of-1' is not a granularity; allowed: weight, tensor, block, n-of-M with M from 2 to 64",
        ),
    ],
)
def test_a_bad_number_is_told_in_one_line(store: Store, name: str, value: int, expected: str) -> None:
    app = opened(page(lanes="sgd,ssam-f:region=from-1:granularity=n-of-4"))
    app.number_input(key=f"{name}_ssam-f").set_value(value).run()
    assert not app.exception
    assert [error.value for error in app.error] == [expected]
    assert app.button(key="start_race").disabled


def test_momentum_direction_without_momentum_is_refused(store: Store) -> None:
    app = page(lanes="sgd,sam:direction=momentum")
    app.number_input(key="momentum").set_value(0.0).run()
    (error,) = app.error
    assert_one_line_error(error.value, ["Momentum 0"])


def test_the_fisher_batch_is_a_field_of_the_form(store: Store) -> None:
    app = page(preset="demo")
    app.number_input(key="fisher_batch").set_value(8).run()
    start(app)
    assert store.runs.newest()[0].spec.fisher_batch == 8
    app.number_input(key="fisher_batch").set_value(0).run()
    (error,) = app.error
    assert_one_line_error(error.value, ["Fisher batch '0'", "1 to 256"])


def test_what_is_told_of_the_inside_of_a_race_is_asked_for_in_the_form(store: Store) -> None:
    app = page(preset="demo")
    for name, label in (("snapshot_interval", "Save weights every"), ("eigenvalue_interval", "Measure λ₁ every")):
        field = app.number_input(key=name)
        assert (field.label, field.value, field.placeholder) == (label, None, "never")
        field.set_value(0).run()
        assert_one_line_error("".join(error.value for error in app.error), [f"{label} '0'", "1 to 1000"])
        app.number_input(key=name).set_value(2).run()
    assert not app.error
    start(app)
    spec = store.runs.newest()[0].spec
    assert (spec.snapshot_interval, spec.eigenvalue_interval) == (2, 2)
    assert spec.model_copy(update={"snapshot_interval": None, "eigenvalue_interval": None}) == preset("demo").spec
