"""The page Images: its numbers against direct counts, its files, whose pictures are shown, the recorded race, and its address."""

import base64
import csv
import io
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.images import charts, courses, data, predictions, query, ranking, tables, tiles
from app.images import text as images_text
from app.images.data import Shown
from app.shell.identity import SESSION
from app.ui import recorded, wire
from ssam.experiment import parse_spec
from ssam.experiment.events import ImagesEvent
from ssam.store import Person, Run, Store
from tests import fake_predictions
from tests.components import data_of, every
from tests.fake_predictions import CLASSES, SIDE
from tests.golden import Golden, assert_one_line_error
from tests.patience import SECONDS
from tests.people import ALICE, BOB, address_of, open_page, owner

ROOT = Path(__file__).resolve().parents[1]
LANES = ("sgd", "sam", "ssam-d")
SPEC = parse_spec({"lanes": ",".join(LANES), "label_noise": "0.4"})
CLEAN = parse_spec({"lanes": ",".join(LANES)})
OWN = SPEC.model_copy(update={"dataset": "images", "data": "/somewhere/cats.zip"})
EVALUATIONS = 4


def race(store: Store, token: str = ALICE, spec: Any = SPEC, **more: Any) -> Run:
    noise = spec.label_noise
    about = fake_predictions.images(noise=noise, side=None if spec.dataset == "fashion-mnist-10k" else SIDE)
    return fake_predictions.race(store, spec, owner(token), **{"about": about, "evaluations": EVALUATIONS, **more})


def shown(store: Store, run: Run, token: str = ALICE) -> Shown:
    found = data.own(store, run, Person(owner(token)))
    assert found
    return found


def page(token: str = ALICE, **address: str) -> AppTest:
    return open_page("images", token, **address)


def inflated(packed: str, kind: Any = np.uint8) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), kind)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The recorded race with wrong labels, with predictions that are made up; the others have none."""
    read = recorded.read
    about = fake_predictions.images()

    def with_predictions(name: str) -> Any:
        kept = read(name)
        found = fake_predictions.kept(kept.run.spec, about) if name == data.NOISY else None
        return replace(kept, predictions=found)

    monkeypatch.setattr(recorded, "read", with_predictions)
    ranking.recorded_precision.cache_clear()
    yield data.NOISY
    ranking.recorded_precision.cache_clear()


@pytest.fixture
def no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    read = recorded.read
    monkeypatch.setattr(recorded, "read", lambda name: replace(read(name), predictions=None))
    ranking.recorded_precision.cache_clear()


# What is counted, one image after the other


def test_the_curves_are_shares_of_the_images(store: Store) -> None:
    found = shown(store, race(store))
    images = found.images
    wrong = [at for at in range(len(images.given)) if images.given[at] != images.true[at]]
    for course in courses.courses(found, found.lanes):
        for at, answers in enumerate(course.lane.found.train):
            memorised = sum(answers[image] == images.given[image] for image in wrong) / len(wrong)
            resisted = sum(answers[image] == images.true[image] for image in wrong) / len(wrong)
            right = [answers[image] == label for image, label in enumerate(images.given) if image not in wrong]
            test = [a == b for a, b in zip(course.lane.found.test[at], images.test_labels, strict=True)]
            assert course.train.memorised[at] == pytest.approx(memorised)
            assert course.train.resisted[at] == pytest.approx(resisted)
            assert course.gap[at] == pytest.approx(np.mean(right) - np.mean(test))


def test_the_charts_draw_the_curves(store: Store) -> None:
    found = shown(store, race(store))
    counted = courses.courses(found, found.lanes)
    memorised, _, clean, gap = charts.memorisation(found, counted)
    for number, course in enumerate(counted):
        assert memorised["data"][number]["y"] == pytest.approx(100 * course.train.memorised)
        assert clean["data"][number]["y"] == pytest.approx(100 * course.train.clean)
        assert gap["data"][number]["y"] == pytest.approx(100 * course.gap)
        assert memorised["data"][number]["x"] == [1, 2, 3, 4]


def test_without_wrong_labels_only_the_charts_that_exist(store: Store) -> None:
    found = shown(store, race(store, spec=CLEAN))
    assert len(charts.memorisation(found, courses.courses(found, found.lanes))) == 2
    assert set(ranking.orders(found, found.lanes)) == {"late", "forgotten", "disagreement"}
    assert set(ranking.orders(found, found.lanes[:1])) == {"late", "forgotten"}


def test_tiles_are_the_wrong_labels_by_when_a_lane_memorises_them(store: Store) -> None:
    found = shown(store, race(store))
    images = found.images
    for lane in found.lanes:
        order = ranking.chosen(found, found.lanes, lane.name)
        assert sorted(order) == np.flatnonzero(images.given != images.true).tolist()
        since = []
        for image in order:
            hits = lane.found.train[:, image] == images.given[image]
            since.append(next((at for at in range(EVALUATIONS) if hits[at:].all()), EVALUATIONS))
        assert since == sorted(since)
        epochs = ranking.since_epochs(found, lane)[order]
        assert epochs.tolist() == [at + 1 if at < EVALUATIONS else np.inf for at in since]


def test_what_the_browser_is_sent(store: Store) -> None:
    found = shown(store, race(store))
    sent = tiles.payload(found, found.lanes, "sgd", 2.0)
    order = ranking.chosen(found, found.lanes, "sgd")
    assert set(sent) == set(tiles.Tiles.__annotations__)
    assert all(
        set(lane) == {*tiles.TileLane.__annotations__, *wire.LaneStyle.__annotations__} for lane in sent["lanes"]
    )
    assert found.pictures
    assert (
        inflated(sent["pictures"]).reshape(len(order), 28, 28).tolist() == found.pictures.train[order, ..., 0].tolist()
    )
    assert sent["rows"] == [2 * image for image in order]
    assert (sent["start"], sent["epochs"], sent["total"]) == (2.0, [1, 2, 3, 4], len(order))
    for lane, told in zip(found.lanes, sent["lanes"], strict=True):
        answers = inflated(told["predictions"], "<i2").reshape(EVALUATIONS, len(order))
        assert answers.tolist() == lane.found.train[:, order].tolist()
        assert told["which"] == [0, 1, 2, 3]
        assert told["hits"] == [int((line == np.array(sent["given"])).sum()) for line in answers]
        assert told["resisted"] == [int((line == np.array(sent["true"])).sum()) for line in answers]


def test_lanes_with_other_epochs_share_one_axis(store: Store) -> None:
    found = shown(store, race(store))
    slow = replace(found.lanes[1], found=replace(found.lanes[1].found, epochs=np.array([2.0, 2.5, 3.0, 3.5])))
    lanes = (found.lanes[0], slow)
    assert data.moments(lanes) == [1, 2, 2.5, 3, 3.5, 4]
    assert tiles.payload(found, lanes, "sgd", None)["lanes"][1]["which"] == [-1, 0, 1, 2, 3, 3]


def test_pictures_of_the_bundled_data_set_are_those_of_its_file() -> None:
    about = fake_predictions.kept(SPEC, fake_predictions.images()).images
    found = data.bundled_pictures(about)
    with np.load(ROOT / "assets" / "fashion-mnist-10k.npz") as file:
        assert (found.train[7, ..., 0] == file["train_images"][14]).all()
        assert (found.test[5, ..., 0] == file["test_images"][15]).all()
    assert found.shown.tolist() == list(range(60))


def test_precision_counts_the_wrong_labels_among_the_most_suspicious(store: Store) -> None:
    found = shown(store, race(store))
    given, changed = found.images.given, found.images.changed
    against = sum((lane.found.train != given).sum(axis=0) for lane in found.lanes)
    first = sorted(range(len(given)), key=lambda image: -against[image])[: changed.sum()]
    measured = ranking.precision(found, found.lanes)
    assert measured
    assert measured.precision == pytest.approx(np.mean([changed[image] for image in first]))
    assert measured.chance == pytest.approx(changed.mean())
    clean = shown(store, race(store, spec=CLEAN))
    assert ranking.precision(clean, clean.lanes) is None


# Test images


def test_a_confusion_matrix_counts_the_images_of_its_cells(store: Store) -> None:
    found = shown(store, race(store))
    for each in courses.tested(found, found.lanes, 3.0):
        labels, answers = found.images.test_labels, each.lane.found.test[2]
        for true in range(len(CLASSES)):
            for prediction in range(len(CLASSES)):
                expected = {at for at in range(len(labels)) if (labels[at], answers[at]) == (true, prediction)}
                assert set(each.cell(labels, true, prediction)) == expected
                assert each.matrix[true, prediction] == len(expected)
        assert [count for *_, count in each.confusions()] == sorted(
            (count for *_, count in each.confusions()), reverse=True
        )
        assert sum(count for *_, count in each.confusions()) == int((labels != answers).sum())


def test_where_two_lanes_differ(store: Store) -> None:
    found = shown(store, race(store))
    one, other, _ = courses.tested(found, found.lanes, 4.0)
    pair = courses.pair(one, other)
    labels = found.images.test_labels
    right = [set(np.flatnonzero(each.predictions == labels)) for each in (one, other)]
    assert set(pair.both) == right[0] & right[1]
    assert set(pair.first) == right[0] - right[1]
    assert set(pair.second) == right[1] - right[0]
    assert sum(map(len, (pair.both, pair.first, pair.second, pair.neither))) == len(labels)


# Files


def test_the_files_hold_what_is_shown(store: Store) -> None:
    found = shown(store, race(store))
    by_epoch = rows(tables.epochs_csv(courses.courses(found, found.lanes)))
    assert len(by_epoch) == len(LANES) * EVALUATIONS
    last = next(row for row in by_epoch if (row["lane"], row["epoch"]) == ("sam", "4.0"))
    wrong = found.images.changed
    memorised = (found.lanes[1].found.train[-1] == found.images.given)[wrong].mean()
    assert float(last["memorised"]) == pytest.approx(memorised)
    shares = [float(last[name]) for name in ("memorised", "resisted", "other")]
    assert sum(shares) == pytest.approx(1)
    by_image = rows(tables.images_csv(found, found.lanes))
    assert len(by_image) == len(found.images.given)
    assert sum(row["given"] != row["true"] for row in by_image) == wrong.sum()
    learned = [row["given"] == row["sgd prediction"] for row in by_image]
    assert learned == [bool(row["sgd learned since"]) for row in by_image]
    tested = rows(tables.test_csv(found, courses.tested(found, found.lanes, 1.0)))
    assert [row["sgd prediction"] for row in tested] == [CLASSES[at] for at in found.lanes[0].found.test[0]]


def test_an_image_without_a_prediction_has_none_in_the_file(store: Store) -> None:
    found = shown(store, race(store))
    unseen = replace(found.lanes[0], found=replace(found.lanes[0].found, train=found.lanes[0].found.train * 0 - 1))
    assert {row["sgd prediction"] for row in rows(tables.images_csv(found, [unseen]))} == {""}


# The page


@pytest.mark.parametrize(("view", "plots"), [("memorisation", 4), ("test", 3 + 2)])
def test_every_view_is_drawn_and_told_in_words(store: Store, view: str, plots: int) -> None:
    run = race(store)
    app = page(run=run.id, view=view)
    assert not app.warning
    assert len(every(app, "plot")) == plots
    assert all(chart["words"] for chart in every(app, "plot"))
    assert len(every(app, "tiles")) == (view == "memorisation")
    assert len(every(app, "gallery")) == (3 if view == "test" else 0)
    (words,) = (expander for expander in app.expander if expander.label == "As text")
    assert "SSAM-D" in words.markdown[0].value
    assert "nan" not in words.markdown[0].value
    assert address_of(app) == {"run": run.id, "view": view}
    assert app.get("download_button")


def test_a_race_without_wrong_labels_shows_the_images_that_are_hard(store: Store, recording: str) -> None:
    app = page(run=race(store, spec=CLEAN).id)
    assert len(every(app, "plot")) == 2
    sent = data_of(app, "tiles")
    assert not sent["noisy"]
    assert len(sent["rows"]) == 60
    found = ranking.recorded_precision()
    assert found
    assert any(images_text.percent(found.precision) in caption.value for caption in app.caption)
    app.selectbox(key="images_sort").set_value("disagreement").run()
    assert address_of(app)["sort"] == "disagreement"
    assert sorted(data_of(app, "tiles")["rows"]) == sorted(sent["rows"])


def test_its_own_precision_is_told_of_a_race_with_wrong_labels(store: Store) -> None:
    run = race(store)
    found = shown(store, run)
    measured = ranking.precision(found, found.lanes)
    assert measured
    app = page(run=run.id)
    said = [caption.value for caption in app.caption if images_text.percent(measured.precision) in caption.value]
    assert any(images_text.percent(measured.chance) in one for one in said)


@pytest.mark.parametrize(
    "more",
    [{"lanes": "sam,ssam-d", "sort": "ssam-d"}, {"epoch": "2"}, {"view": "test", "epoch": "3"}, {"sort": "sam"}],
)
def test_an_address_is_what_is_shown(store: Store, more: dict[str, str]) -> None:
    run = race(store)
    app = page(run=run.id, **more)
    assert not app.warning
    assert address_of(app) == {"run": run.id, "view": "memorisation", **more}
    if more.get("view") == "test":
        assert app.select_slider(key="images_epoch").value == 3
    else:
        sent = data_of(app, "tiles")
        assert [lane["name"] for lane in sent["lanes"]] == (
            more["lanes"].split(",") if "lanes" in more else list(LANES)
        )
        assert sent["start"] == (2 if "epoch" in more else None)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ({"run": "nowhere"}, ["nowhere"]),
        ({"view": "magic"}, ["magic", *query.VIEWS]),
        ({"lanes": "adam"}, ["adam", *LANES]),
        ({"epoch": "late"}, ["epoch", "late"]),
        ({"sort": "forgotten"}, ["forgotten", *LANES]),
        ({"rho": "0.1"}, ["rho", "run", "view", "lanes", "epoch", "sort"]),
    ],
)
def test_a_bad_address_gives_one_line_and_the_defaults(
    store: Store, no_recording: None, address: dict[str, str], names: list[str]
) -> None:
    run = race(store)
    app = page(**{"run": run.id, **address})
    (warning,) = app.warning
    assert_one_line_error(warning.value, list(names))
    assert address_of(app) == {"run": run.id, "view": "memorisation"}


def test_the_epoch_of_one_view_is_that_of_the_other(store: Store) -> None:
    app = page(run=race(store).id, view="test")
    app.select_slider(key="images_epoch").set_value(2.0).run()
    assert address_of(app)["epoch"] == "2"
    app.session_state["images_view"] = "memorisation"
    app.run()
    assert data_of(app, "tiles")["start"] == 2


def test_another_race_starts_afresh(store: Store) -> None:
    first, second = race(store), race(store, spec=CLEAN)
    app = page(run=first.id, view="test", lanes="sam", epoch="2")
    app.selectbox(key="images_run").set_value(second.id).run()
    assert not app.exception
    assert address_of(app) == {"run": second.id, "view": "test"}


def test_a_cell_that_is_clicked_shows_its_images(store: Store) -> None:
    run = race(store)
    found = shown(store, run)
    app = page(run=run.id, view="test")
    each = courses.tested(found, found.lanes, 4.0)[1]
    app.session_state[predictions.CELL[0]] = each.lane.place
    app.session_state[predictions.CELL[1]] = app.session_state[predictions.CELL[2]] = 3
    app.run()
    images = each.cell(found.images.test_labels, 3, 3)
    sent = next(part for part in every(app, "gallery") if len(part["lines"]) == len(images))
    assert found.pictures
    assert inflated(sent["pictures"]).tolist() == found.pictures.test[images].reshape(-1).tolist()
    assert [line.split()[0] for line in sent["lines"]] == [CLASSES[3]] * len(images)


def test_lanes_are_chosen_and_one_is_needed(store: Store) -> None:
    app = page(run=race(store).id)
    app.get("button_group")[1].set_value(["sam"]).run()
    assert [lane["name"] for lane in data_of(app, "tiles")["lanes"]] == ["sam"]
    assert address_of(app)["lanes"] == "sam"
    assert "sort" not in address_of(app)
    app.get("button_group")[1].set_value([]).run()
    assert any(text.value == images_text.NO_LANE for text in app.markdown)


def test_a_race_under_way_shows_what_it_has(store: Store) -> None:
    app = page(run=race(store, state="running").id)
    assert len(every(app, "plot")) == 4
    waits = page(run=race(store, state="running", evaluations=0).id)
    assert any(text.value == images_text.WAITS for text in waits.markdown)


def test_test_predictions_follow_a_race_under_way_until_an_epoch_is_chosen(store: Store) -> None:
    run = race(store, state="running", evaluations=2)
    app = page(run=run.id, view="test")
    assert app.select_slider(key="images_epoch").value == 2
    made = fake_predictions.images(noise=SPEC.label_noise)
    with store.writer(run.id) as writer:
        for lane, name in enumerate(SPEC.lane_names):
            writer.add(fake_predictions.predictions(made, lane, name, 2, EVALUATIONS))
    app.run()
    assert app.select_slider(key="images_epoch").value == 3
    assert "epoch" not in address_of(app)
    app.select_slider(key="images_epoch").set_value(1.0).run()
    app.run()
    assert app.select_slider(key="images_epoch").value == 1
    assert address_of(app)["epoch"] == "1"


@pytest.mark.parametrize("view", query.VIEWS)
def test_class_names_of_own_images_stay_texts(store: Store, view: str) -> None:
    hostile = ("![x](https://a.b/c.png)", "[go](https://a.b)", "<b>bold</b>", *CLASSES[3:])
    app = page(BOB, run=race(store, spec=OWN, classes=hostile).id, view=view)
    assert not app.exception
    said = [text.value for text in (*app.markdown, *app.caption, *app.info)]
    said += [str(cell) for table in app.table for cell in table.value.to_numpy().ravel()]
    assert not [text for text in said if "](" in text.replace("\\]", "") or "<b>" in text.replace("\\<", "")]
    for chart in every(app, "plot"):
        assert "<b>bold" not in str(chart["figure"])


# Whose pictures


@pytest.mark.parametrize("view", query.VIEWS)
def test_pictures_of_own_images_are_their_owners_alone(store: Store, view: str) -> None:
    run = race(store, spec=OWN)
    pictures = {"memorisation": "tiles", "test": "gallery"}[view]
    assert every(page(ALICE, run=run.id, view=view), pictures)
    app = page(BOB, run=run.id, view=view)
    assert not every(app, "tiles")
    assert not every(app, "gallery")
    assert every(app, "plot")
    assert images_text.PRIVATE in [info.value for info in app.info]
    assert app.get("download_button")


def test_pictures_of_own_images_are_those_that_were_stored(store: Store) -> None:
    about = fake_predictions.images(side=SIDE)
    run = race(store, spec=OWN, about=about)
    sent = data_of(page(run=run.id), "tiles")
    order = [row // 2 for row in sent["rows"]]
    assert (sent["side"], sent["channels"]) == (SIDE, 3)
    assert inflated(sent["pictures"]).tolist() == about.train_pictures[order].reshape(-1).tolist()


def test_some_pictures_of_many_images(store: Store) -> None:
    """Only images with a picture are tiles; all are counted."""
    whole = fake_predictions.images(side=SIDE)
    some = np.arange(1, 60, 2)
    about: ImagesEvent = replace(whole, shown=some, train_pictures=whole.train_pictures[some])
    found = shown(store, race(store, spec=OWN, about=about))
    sent = tiles.payload(found, found.lanes, "sgd", None)
    assert sorted(sent["rows"]) == [2 * image for image in some if found.images.changed[image]]
    assert sent["total"] == found.images.changed.sum()


def test_a_shared_race_on_a_public_data_set_shows_its_pictures(store: Store) -> None:
    app = page(BOB, run=race(store).id)
    assert every(app, "tiles")


# The recorded race


def test_without_a_race_the_recorded_one_is_shown(store: Store, recording: str) -> None:
    app = page()
    assert address_of(app) == {"run": recording, "view": "memorisation"}
    assert every(app, "tiles")
    again = page(run=recording, view="test")
    assert address_of(again) == {"run": recording, "view": "test"}
    assert every(again, "gallery")


def test_a_race_of_ones_own_comes_first_and_the_recorded_one_can_be_chosen(store: Store, recording: str) -> None:
    run = race(store)
    app = page()
    assert address_of(app)["run"] == run.id
    app.selectbox(key="images_run").set_value(recording).run()
    assert not app.exception
    assert address_of(app)["run"] == recording


def test_a_race_without_predictions_offers_the_recorded_one(store: Store, recording: str) -> None:
    run = race(store, evaluations=0)
    app = page(run=run.id)
    assert any(text.value == images_text.NO_PREDICTIONS for text in app.markdown)
    app.button(key="images_recorded").click().run()
    assert not app.exception
    assert address_of(app)["run"] == recording
    assert every(app, "tiles")


def test_without_any_predictions_the_page_says_what_to_do(store: Store, no_recording: None, golden: Golden) -> None:
    app = page()
    golden("images", "without races", app.markdown[1].value)
    assert len(app.get("page_link")) == 1


def test_without_an_address_it_is_the_race_of_the_race_page(store: Store) -> None:
    first, _ = race(store), race(store)
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION], app.session_state["run"] = ALICE, first.id
    app.switch_page("../pages/images.py").run()
    assert address_of(app)["run"] == first.id


@pytest.mark.parametrize("evaluations", [0, EVALUATIONS])
def test_a_race_with_predictions_leads_here(store: Store, evaluations: int) -> None:
    run = race(store, evaluations=evaluations)
    app = open_page("race", run=run.id)
    links = [link.proto for link in app.get("page_link") if link.proto.label == "Images"]
    assert bool(links) == bool(evaluations)
    assert all(run.id in link.query_string for link in links)


def test_the_pages_modules_import_neither_torch_nor_scipy() -> None:
    check = "import app.images.query, app.images.predictions, sys; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
