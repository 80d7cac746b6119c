"""The page of duels: the form, a duel from its start to its answer, its address, its exports."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from app.duel import charts, text
from app.duel.query import TABLE
from app.shell.identity import COOKIE
from ssam.experiment.choosing import VALIDATION
from ssam.store import Store
from tests import fake_duel
from tests.browser import Watched, app_server, click_in_popover
from tests.components import every
from tests.fake_duel import fill, look
from tests.own_zip import pets
from tests.people import ALICE, BOB, open_page, owner


def page(token: str = ALICE, **words: str) -> AppTest:
    app = open_page("duel", token, **words)
    assert not app.exception
    return app


def text_of(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.info, *app.success, *app.warning, *app.error]
    return "\n".join(part.value for part in parts).replace("\\", "")


def answers(app: AppTest) -> tuple[int, int, int]:
    """How many rivals are answered yes, no and can't tell."""
    boxes = (app.success, app.warning, app.info)
    return tuple(sum("tuned" in box.value and "**" in box.value for box in some) for some in boxes)  # type: ignore[return-value]


# The form


def test_a_newcomer_starts_a_duel_with_one_click(store: Store) -> None:
    app = page()
    app.button(key="start_duel").click().run()
    assert not app.exception
    (made,) = store.duels.of(owner(ALICE))
    spec = made.spec
    assert [each.lane.method for each in spec.contenders] == ["sgd", "sam", "ssam-f"]
    assert (spec.trials, spec.seeds, spec.base.epochs, spec.base.train_size) == (5, 5, 10, 2000)
    assert (spec.base.label_noise, spec.base.validation, spec.base.clock) == (0.4, VALIDATION, "gradients")
    assert app.query_params["duel"] == made.id
    assert not store.sweeps.of(None)


def test_its_cost_is_said_before_the_start(store: Store) -> None:
    app = page(methods="sam", trials="4", rounds="3")
    assert f"{2 * 3 * (4 + 1)} trainings" in text_of(app)
    assert "min" in text_of(app)


def test_the_form_is_what_is_started_and_comes_back_by_its_address(store: Store) -> None:
    first = page(
        methods="ssam-d", noise="0", size="0", trials="3", rounds="7", epochs="2", budget="epochs", margin="0.5"
    )
    words = {name: value[0] if isinstance(value, list) else value for name, value in first.query_params.items()}
    again = page(BOB, **words)
    again.button(key="start_duel").click().run()
    (made,) = store.duels.of(owner(BOB))
    spec = made.spec
    assert [each.lane.method for each in spec.contenders] == ["sgd", "ssam-d"]
    assert (spec.base.label_noise, spec.base.train_size, spec.base.epochs, spec.base.clock) == (0, None, 2, "epochs")
    assert (spec.trials, spec.seeds, spec.margin) == (3, 7, 0.5)


def test_own_images_can_be_chosen(store: Store) -> None:
    upload = store.uploads.save("pets.zip", pets(discs=120), owner(ALICE))
    app = page(images=upload, size="0", noise="0", epochs="1")
    app.button(key="start_duel").click().run()
    assert not app.exception
    (made,) = store.duels.of(owner(ALICE))
    assert (made.spec.base.dataset, made.spec.base.data) == ("images", upload)
    assert page(images="gone-0123456789abcdef.zip").button(key="start_duel").disabled


def test_what_is_wrong_is_said_in_one_line_and_cannot_be_started(store: Store) -> None:
    app = page()
    app.multiselect(key="duel_methods").set_value([]).run()
    assert app.button(key="start_duel").disabled
    (error,) = app.error
    assert "\n" not in error.value
    app.multiselect(key="duel_methods").set_value(["sam"]).run()
    app.number_input(key="duel_size").set_value(10).run()
    assert app.button(key="start_duel").disabled
    assert len(app.error) == 1


@pytest.mark.parametrize(
    "words",
    [
        {"images": "moon"},
        {"methods": "sgd"},
        {"trials": "1"},
        {"rounds": "many"},
        {"budget": "money"},
        {"duel": "x"},
        {"what": "1"},
    ],
)
def test_a_bad_address_is_one_line_and_the_rest_holds(store: Store, words: dict[str, str]) -> None:
    app = page(epochs="3", **words)
    (warning,) = app.warning
    assert "\n" not in warning.value
    ((name, value),) = words.items()
    assert value in warning.value or name in warning.value
    assert app.session_state["duel_epochs"] == 3


def test_the_address_says_only_what_differs() -> None:
    values, problems = TABLE.parse({"trials": "9"})
    assert (values, problems) == ({"trials": 9}, [])
    assert TABLE.words({field.name: field.default for field in TABLE.fields} | values) == {"trials": "9"}


# A duel


def test_without_a_duel_it_says_what_one_is(store: Store) -> None:
    assert text.EMPTY in text_of(page())


@pytest.mark.parametrize(
    ("base", "seeds", "expected"), [({}, 3, (1, 0, 0)), ({"augment": "flip"}, 3, (0, 1, 0)), ({}, 2, (0, 0, 1))]
)
def test_a_finished_duel_has_its_answer(store: Store, base: dict, seeds: int, expected: tuple[int, int, int]) -> None:
    duel_id = fill(store, owner(ALICE), fake_duel.spec(seeds=seeds, **base))
    app = page()
    assert app.query_params["duel"] == duel_id
    found = store.duels.standings(look(store, duel_id))[1]
    said = text_of(app)
    assert found.compared is not None
    assert found.compared.mean is not None
    if seeds > 2:
        assert answers(app) == expected
        assert f"{abs(found.compared.mean):.2f}" in said
    else:
        assert any("tell" in box.value for box in app.info)
        assert not app.success
    assert not app.warning or expected[1]


def test_an_unfinished_duel_shows_how_it_stands_and_no_answer(store: Store) -> None:
    fill(store, owner(ALICE), fake_duel.spec(("sgd", "sam", "ssam-f"), seeds=4), rounds=2)
    app = page()
    said = text_of(app)
    assert not app.success
    assert "interval" not in "".join(box.value for box in [*app.success, *app.warning])
    shown = next(plot["figure"] for plot in every(app, "plot"))
    assert [len(trace["y"]) for trace in shown["data"]] == [2, 2], "two rounds of two rivals, and no mean"
    assert "2 of 4 rounds" in app.get("progress")[0].proto.text
    assert f"{3 * 2 * 4} of {3 * 4 * 4}" in app.get("progress")[0].proto.text
    assert said


def test_the_figure_has_each_difference_and_the_interval(store: Store) -> None:
    duel = look(store, fill(store, "ada", fake_duel.spec(("sgd", "sam", "ssam-f"))))
    standings = store.duels.standings(duel)
    shown = charts.differences(duel.spec, standings)
    rounds, mean = shown.figure["data"][:2]
    sam = standings[1]
    assert sam.compared is not None
    assert sam.compared.interval is not None
    assert rounds["y"] == [sam.differences[seed] for seed in (3, 4, 5)]
    assert mean["y"] == [sam.compared.mean]
    assert mean["y"][0] + mean["error_y"]["array"][0] == pytest.approx(sam.compared.interval[1])
    assert len(shown.rows) == 2
    assert sam.compared.comparisons == 2


def test_it_is_steered_by_its_owner_and_shown_to_others(store: Store) -> None:
    duel_id = fill(store, owner(ALICE), fake_duel.spec(trials=2, seeds=4), rounds=1)
    app = page()
    app.button(key="duel_pause").click().run()
    assert look(store, duel_id).state == "paused"
    app.button(key="duel_resume").click().run()
    assert look(store, duel_id).state == "running"
    app.button(key="duel_stop").click().run()
    assert look(store, duel_id).state == "stopped"
    others = page(BOB, duel=duel_id)
    assert "1 of 4 rounds" in others.get("progress")[0].proto.text
    steering = [f"duel_{name}" for name in ("pause", "resume", "stop", "delete_now")]
    assert not [button.key for button in others.button if button.key in steering]
    app.button(key="duel_delete_now").click().run()
    assert store.duels.get(duel_id) is None
    assert not app.exception


def test_the_target_moves_the_cost(store: Store) -> None:
    duel_id = fill(store, owner(ALICE), fake_duel.spec())
    app = page()
    cost = next(table.value for table in app.dataframe if "Gradients to target" in table.value)
    assert list(cost["Method"]) == ["SGD", "SAM"]
    app.number_input(key=f"duel_target_{duel_id}_finished").set_value(99.0).run()
    cost = next(table.value for table in app.dataframe if "Gradients to target" in table.value)
    assert list(cost["Gradients to target"]) == ["never", "never"]


# In a browser


@pytest.mark.browser
def test_an_answer_is_read_and_taken_away(tmp_path: Path, browser: Browser) -> None:
    home = tmp_path / "lab"
    store = Store(home)
    duel_id = fill(store, owner(ALICE), fake_duel.spec(("sgd", "sam", "ssam-f")))
    store.close()
    with app_server(home, races=False) as address:
        seen = Watched(browser)
        seen.page.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
        seen.page.goto(f"{address}/duel?duel={duel_id}")
        expect(seen.page.locator(".st-key-duel_answers [data-testid=stAlert]")).to_have_count(2)
        expect(seen.page.locator(".st-key-duel_chart .js-plotly-plot")).to_be_visible()
        seen.page.locator(".st-key-duel_export button").first.click()
        with seen.page.expect_download() as saved:
            click_in_popover(seen.page, "duel_export", seen.page.locator(".st-key-duel_export_json button"))
        told = json.loads(Path(saved.value.path()).read_text())
        assert (told["id"], [each.get("answer") for each in told["contenders"][1:]]) == (duel_id, ["yes", "yes"])
        seen.page.reload()
        expect(seen.page.locator(".st-key-duel_answers [data-testid=stAlert]")).to_have_count(2)
        assert not [
            said for said in seen.problems if "404" not in said
        ]  # Streamlit asks for its health below the page first
