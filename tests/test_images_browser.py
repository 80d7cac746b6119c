"""The training images as tiles, in a real browser: they light up over the epochs, and a card describes one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from app.images import data, ranking
from app.images.data import Shown
from app.shell.identity import COOKIE
from ssam.experiment import parse_spec
from ssam.store import Person, Store
from tests import fake_predictions
from tests.browser import Watched, app_server, at_rest
from tests.fake_predictions import CLASSES
from tests.people import ALICE, owner

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SPEC = parse_spec({"lanes": "sgd,sam", "label_noise": "0.4"})
EVALUATIONS = 6


@dataclass(frozen=True)
class Opened:
    """The page of a race whose tiles are there."""

    watched: Watched
    shown: Shown
    order: np.ndarray
    address: str

    @property
    def page(self) -> Page:
        return self.watched.page

    @property
    def panel(self) -> Locator:
        return self.page.get_by_test_id("tiles")

    def hits(self, lane: int, epoch: int) -> int:
        """How many of the tiles a lane memorises at an epoch."""
        images = self.shown.images
        return int((self.shown.lanes[lane].found.train[epoch - 1] == images.given)[self.order].sum())


@pytest.fixture
def opened(tmp_path: Path, browser: Browser) -> Iterator[Opened]:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    run = fake_predictions.race(store, SPEC, owner(ALICE), evaluations=EVALUATIONS)
    shown = data.own(store, run, Person(owner(ALICE)))
    assert shown
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            watched.page.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
            watched.page.goto(f"{address}/images?run={run.id}")
            yield Opened(watched, shown, ranking.chosen(shown, shown.lanes, "sgd"), address)
            watched.page.context.close()
    finally:
        store.close()


def hits(panel: Locator) -> list[str]:
    return [figure.get_attribute("data-hits") or "" for figure in panel.locator("figure").all()]


def test_tiles_are_played_chosen_and_told_of(opened: Opened) -> None:
    """One visit: scrub, play, click, walk with the keys, read the table, and take a phone."""
    panel, page = opened.panel, opened.page
    expect(panel.locator("figure canvas")).to_have_count(2)
    expect(panel).to_have_attribute("data-frame", str(EVALUATIONS - 1))
    assert hits(panel) == [str(opened.hits(lane, EVALUATIONS)) for lane in range(2)]
    scrubbed(opened)
    played(opened)
    clicked(opened)
    walked(opened)
    read(opened)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(panel.locator("figure canvas").last).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = [figure.bounding_box() for figure in panel.locator("figure").all()]
    assert tops[0]
    assert tops[1]
    assert tops[0]["y"] < tops[1]["y"], "panels are stacked"
    assert opened.watched.hosts == {opened.address.removeprefix("http://")}, "the page must not ask another host"
    assert [said for said in opened.watched.problems if "404" not in said] == []


def scrubbed(opened: Opened) -> None:
    """At an earlier epoch fewer tiles are lit; the address follows."""
    panel, slider = opened.panel, opened.panel.get_by_role("slider", name="Epoch")
    canvas = panel.locator("figure canvas").first
    late = canvas.evaluate("(canvas) => canvas.toDataURL()")
    slider.fill("1")
    expect(panel).to_have_attribute("data-frame", "1")
    assert hits(panel) == [str(opened.hits(lane, 2)) for lane in range(2)]
    assert opened.hits(0, 2) < opened.hits(0, EVALUATIONS)
    assert canvas.evaluate("(canvas) => canvas.toDataURL()") != late
    expect(panel.locator("figure small").first).to_contain_text(f"{opened.hits(0, 2)} of {len(opened.order)}")
    opened.page.wait_for_url("**epoch=2**")
    slider.press("ArrowRight")
    expect(panel.locator("output")).to_have_text("epoch 3")


def played(opened: Opened) -> None:
    """Every frame is drawn, and the server is not asked."""
    panel, page = opened.panel, opened.page
    panel.get_by_role("slider", name="Epoch").fill("0")
    page.wait_for_url("**epoch=1**")
    page.evaluate(
        """() => {
          const send = WebSocket.prototype.send;
          window.told = 0;
          WebSocket.prototype.send = function (...all) { window.told += 1; return send.apply(this, all); };
          const panel = document.querySelector('[data-testid="tiles"]');
          window.frames_ = [];
          new MutationObserver(() => window.frames_.push([panel.dataset.frame, window.told])).observe(panel, { attributeFilter: ["data-frame"] });
        }"""
    )
    panel.get_by_role("button", name="Play").click()
    expect(panel).to_have_attribute("data-frame", str(EVALUATIONS - 1))
    frames = page.evaluate("window.frames_")
    assert [frame for frame, _ in frames] == ["1", "2", "3", "4", "5"]
    assert {told for _, told in frames} == {0}
    page.wait_for_url(lambda url: "epoch=" not in url)


def told(opened: Opened, tile: int) -> None:
    """The card tells of this tile."""
    card, images, image = opened.panel.locator(".card"), opened.shown.images, opened.order[tile]
    expect(opened.panel).to_have_attribute("data-tile", str(tile))
    labels = card.locator(".labels dd")
    expect(labels.nth(0)).to_have_text(CLASSES[images.given[image]])
    expect(labels.nth(1)).to_have_text(CLASSES[images.true[image]])
    for place, lane in enumerate(opened.shown.lanes):
        prediction = CLASSES[lane.found.train[-1, image]]
        expect(card.locator(".lanes dd").nth(place)).to_contain_text(prediction)


def clicked(opened: Opened) -> None:
    canvas = opened.panel.locator("figure canvas").nth(1)
    box = canvas.bounding_box()
    assert box
    side = 32
    canvas.click(position={"x": 2.5 * side, "y": 0.5 * side})
    told(opened, 2)
    opened.page.mouse.move(0, 0)
    told(opened, 2)
    expect(opened.panel.locator(".card canvas")).to_have_attribute(
        "aria-label", f"Image {opened.shown.images.train_rows[opened.order[2]]} of the data set"
    )


def walked(opened: Opened) -> None:
    canvas = opened.panel.locator("figure canvas").first
    canvas.focus()
    for key, tile in (
        ("ArrowRight", 3),
        ("ArrowLeft", 2),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("End", len(opened.order) - 1),
    ):
        canvas.press(key)
        told(opened, tile)
    expect(opened.panel.locator(".card")).to_have_attribute("aria-live", "polite")


def read(opened: Opened) -> None:
    """The table has the counts of every lane, then the images in their order."""
    opened.panel.get_by_text("As a table").press("Enter")
    counts, listed = opened.panel.locator(".words table").all()
    cells = counts.locator("tbody tr").first.locator("th, td").all_text_contents()
    assert cells[1] == str(opened.hits(0, EVALUATIONS))
    expect(listed.locator("tbody tr")).to_have_count(min(50, len(opened.order)))
    first = listed.locator("tbody tr").first.locator("th, td").all_text_contents()
    image = opened.order[0]
    images = opened.shown.images
    assert first[:3] == [str(images.train_rows[image]), CLASSES[images.given[image]], CLASSES[images.true[image]]]


def test_a_click_on_a_cell_shows_its_images(opened: Opened) -> None:
    page, shown = opened.page, opened.shown
    expect(opened.panel).to_have_attribute("data-frame", str(EVALUATIONS - 1))
    page.get_by_text("Test images", exact=True).click()
    surface = page.locator(".st-key-images_matrix_1 .nsewdrag")
    surface.wait_for()
    at_rest(page)
    box = surface.bounding_box()
    assert box
    side = len(CLASSES)
    surface.click(position={"x": 7.5 * box["width"] / side, "y": 6.5 * box["height"] / side})
    labels, answers = shown.images.test_labels, shown.lanes[1].found.test[-1]
    images = np.flatnonzero((labels == 6) & (answers == 7))
    assert len(images)
    gallery = page.locator(".ssam-gallery").first
    expect(gallery.locator("h3")).to_contain_text(f"{CLASSES[6]} predicted as {CLASSES[7]}")
    expect(gallery.locator("li")).to_have_count(len(images))
    assert [said for said in opened.watched.problems if "404" not in said] == []
