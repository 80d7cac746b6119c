"""What the pages show of a validation split: the form, the live panel, Compare, exports; and nothing of it without one."""

import base64
import dataclasses
import json
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from app.compare import charts
from app.compare import groups as compare_groups
from app.shell.identity import COOKIE
from app.ui import live_payload, run_labels
from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.events import EpochEvent
from ssam.export import Source, report
from ssam.store import Run, Store, Writer
from ssam.store.race_file import load, save
from tests import fake_lab
from tests.browser import Watched, app_server, chromium
from tests.golden import assert_one_line_error
from tests.people import ALICE, open_page, owner
from tests.race_page import two_classes

SPLIT = parse_spec({"lanes": "sgd,sam", "epochs": 5, "validation": 0.2, "label_noise": 0.4})
WHOLE = parse_spec({"lanes": "sgd,sam", "epochs": 5})


class HeldOut(Writer):
    """Adds a validation accuracy to what a made-up race tells: 0.1 below its test accuracy."""

    def add(self, event: object) -> None:
        if isinstance(event, EpochEvent):
            event = dataclasses.replace(event, validation_accuracy=event.test_accuracy - 0.1, validation_loss=1.5)
        super().add(event)  # type: ignore[arg-type]


def raced(store: Store, spec: RaceSpec, who: str = "ada") -> Run:
    with pytest.MonkeyPatch.context() as patch:
        if spec.validation:
            patch.setattr("ssam.store.store.Writer", HeldOut)
        return fake_lab.race(store, who, spec)


@pytest.fixture
def kept(tmp_path: Path):
    with closing(Store(tmp_path / "home", f"sqlite:///{tmp_path / 'ssam.db'}")) as store:
        yield store


def told(store: Store, run: Run) -> dict:
    window = store.curves.window(run.id)
    assert window
    return live_payload.race(run, window, "")


def unpacked(column: str) -> list[float]:
    return np.frombuffer(base64.b64decode(column), "<f4").tolist()


def test_the_panel_is_told_of_it_only_where_there_is_a_split(kept: Store) -> None:
    with_, without = (told(kept, raced(kept, spec)) for spec in (SPLIT, WHOLE))
    assert with_["validation"]
    assert without["validation"] == ""
    epochs = with_["lanes"][1]["epochs"]
    test, validation = unpacked(epochs["test_accuracy"]), unpacked(epochs["validation_accuracy"])
    assert validation == pytest.approx([value - 0.1 for value in test], abs=1e-6)
    assert "validation_accuracy" not in without["lanes"][1]["epochs"]
    assert "40%" in with_["validation"], "the labels that it is measured against are wrong that often"


def test_compare_draws_it_in_percent(kept: Store) -> None:
    runs = [raced(kept, SPLIT.model_copy(update={"seed": seed})) for seed in (0, 1)]
    groups = compare_groups.groups(kept.curves.records([run.id for run in runs]))
    assert [len(group.members) for group in groups] == [2, 2]
    drawn = charts.points(groups[1].members[0], "epoch", "validation_accuracy")
    tested = charts.points(groups[1].members[0], "epoch", "test_accuracy")
    assert {at: value for at, (_, value) in drawn.items()} == pytest.approx(
        {at: value - 10 for at, (_, value) in tested.items()}
    )
    whole = compare_groups.groups(kept.curves.records([raced(kept, WHOLE).id]))
    assert charts.points(whole[1].members[0], "epoch", "validation_accuracy") == {}
    assert {group.key for group in whole} & {group.key for group in groups} == set(), "trained on other images"


def test_compare_offers_the_curve_only_where_there_is_one(store: Store) -> None:
    split, whole = (raced(store, spec, owner(ALICE)) for spec in (SPLIT, WHOLE))
    for run, offered in ((split, True), (whole, False)):
        curves = open_page("compare", runs=run.id).selectbox(key="cmp_show").options
        assert ("Validation accuracy" in curves) == offered


def test_what_is_taken_away_has_it(kept: Store) -> None:
    split, whole = raced(kept, SPLIT), raced(kept, WHOLE)
    table = kept.curves.epochs_table(split.id)
    assert table is not None
    assert (table["test_accuracy"] - table["validation_accuracy"]).tolist() == pytest.approx([0.1] * len(table))
    assert kept.curves.epochs_table(whole.id)["validation_accuracy"].isna().all()  # type: ignore[index]
    assert "Validation accuracy" in report.html(Source(kept, split))
    assert "Validation accuracy" not in report.html(Source(kept, whole))


def test_a_recorded_race_is_read_back_with_it(kept: Store, tmp_path: Path) -> None:
    run = raced(kept, SPLIT)
    save(kept, run.id, {}, tmp_path / "race.json.gz")
    recording = load(tmp_path / "race.json.gz")
    epochs = recording.window.lanes[0].epochs
    assert [told["validation_accuracy"] for told in epochs] == pytest.approx(
        [told["test_accuracy"] - 0.1 for told in epochs], abs=1e-4
    )


def captions(app) -> str:
    return "\n".join(caption.value for caption in app.caption)


def test_the_form_says_how_many_images_are_held_out(store: Store) -> None:
    app = open_page(train_size="1000", validation="0.2")
    assert app.number_input(key="validation").value == 0.2
    assert re.search("800 .*200", captions(app))
    assert "held out" in run_labels.describe(SPLIT)
    app.number_input(key="validation").set_value(0.0).run()
    assert "holds out" not in captions(app)
    assert "validation" not in app.query_params


def test_of_own_images_it_is_said_too_and_too_few_are_refused_before_the_start(store: Store) -> None:
    name = store.uploads.save("pets.zip", two_classes(), owner(ALICE))
    app = open_page(dataset="images", data=name, batch_size="2", validation="0.5")
    assert re.search("2 images .* 2 ", captions(app))
    app.number_input(key="batch_size").set_value(3).run()
    (problem,) = app.error
    assert_one_line_error(problem.value, ["3", "2", "validation"])
    assert app.button(key="start_race").disabled


@pytest.mark.browser
@pytest.mark.slow
def test_in_a_browser_the_curve_is_there_only_where_the_race_has_it(tmp_path: Path) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    try:
        split, whole = (raced(store, spec, owner(ALICE)) for spec in (SPLIT, WHOLE))
        with app_server(tmp_path, races=False) as address, chromium() as browser:
            watched = Watched(browser)
            shown = watched.page
            shown.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
            curves = shown.locator('[data-panel="steps"] select')
            option = curves.locator('option[value="validation"]')
            shown.goto(f"{address}/?run={whole.id}")
            expect(curves).to_be_visible()
            expect(option).to_have_count(0)
            shown.goto(f"{address}/?run={split.id}")
            expect(option).to_have_count(1)
            curves.select_option("validation")
            chart = shown.locator('[data-panel="steps"] [role="figure"]')
            newest = 100 * fake_lab.ACCURACIES[1] - 10
            expect(chart).to_have_attribute("aria-label", re.compile(f"SAM {newest:.1f}"))
            assert watched.problems == []
            shown.context.close()
    finally:
        store.close()


def test_a_race_file_keeps_the_split() -> None:
    assert RaceSpec.model_validate(json.loads(SPLIT.model_dump_json())).validation == 0.2
