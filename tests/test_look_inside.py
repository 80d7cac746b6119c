"""From a point of an accuracy curve to the pages that look inside the lane at that epoch."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from app.shell import services
from app.ui import live_inside, live_panel, recorded
from ssam.experiment import parse_spec, preset
from ssam.store import Store
from tests import fake_masks
from tests.browser import Watched, app_server
from tests.components import data_of
from tests.people import ALICE, open_page, owner

RECORDED = "demo"  # with masks and predictions
SPEC = parse_spec({"lanes": "sgd,ssam-f"})


def test_an_ended_race_is_told_with_what_the_pages_have_of_it(store: Store) -> None:
    run = fake_masks.race(store, SPEC, owner(ALICE))
    told = data_of(open_page(run=run.id), "live")["inside"]
    assert told["weights"] == services.lab().client.analyses.kept_epochs(run)
    assert told["images"] == store.predictions.has(run.id)
    under_way = fake_masks.race(store, SPEC, owner(ALICE), state="running")
    assert data_of(open_page(run=under_way.id), "live")["inside"] is None


def test_a_recording_has_no_weights() -> None:
    for name in recorded.names():
        told = live_inside.of_recording(name)
        assert (told["weights"], told["latest"]) == ([], False)
        assert told["images"] == (recorded.read(name).predictions is not None)


@pytest.mark.parametrize(
    ("clicked", "opens"),
    [
        (None, None),
        ({"page": "system", "address": {}}, None),
        ({"page": "masks", "address": "run"}, None),
        ("masks", None),
        ({"page": "masks", "address": {"run": "x", "epoch": 3}}, ("masks", {"run": "x", "epoch": "3"})),
    ],
)
def test_only_links_of_the_panel_are_followed(
    monkeypatch: pytest.MonkeyPatch, clicked: object, opens: tuple[str, dict[str, str]] | None
) -> None:
    monkeypatch.setattr(live_inside.st, "session_state", {live_panel.KEY: {"open": clicked}})
    assert live_inside.opened() == opens


def address_of(link: Locator) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link.get_attribute("href") or "").query).items()}


def click_on(page: Page, lane: str, epoch: float) -> None:
    """Click on the point of a lane, where Plotly has drawn it."""
    panel = page.locator('[data-panel="accuracy"] .chart')
    panel.scroll_into_view_if_needed()
    place = panel.evaluate(
        """(chart, [lane, epoch]) => {
            const trace = chart.data.find(({ meta }) => meta === lane);
            const { xaxis, yaxis } = chart._fullLayout, { left, top } = chart.getBoundingClientRect();
            const y = trace.y[trace.x.indexOf(epoch)];
            return [left + xaxis._offset + xaxis.d2p(epoch), top + yaxis._offset + yaxis.d2p(y)];
        }""",
        [lane, epoch],
    )
    page.mouse.move(*place)
    page.mouse.click(*place)


def test_a_point_or_the_lists_choose_what_is_linked(tmp_path: Path, browser: Browser) -> None:
    sgd, *_, sparse = preset(RECORDED).spec.lane_names
    with app_server(tmp_path, races=False) as address:
        watched = Watched(browser, reduced_motion="reduce")  # the recording stands at its end
        page = watched.page
        page.goto(f"{address}/?preset={RECORDED}")
        inside = page.locator(".ssam-live .inside")
        lanes, epochs = inside.locator("select").nth(0), inside.locator("select").nth(1)
        expect(lanes).to_have_value(sgd)
        expect(epochs).to_have_value(str(preset(RECORDED).spec.epochs))
        expect(inside.locator("a")).to_have_text(["Images"])
        expect(inside.locator("p")).not_to_be_empty()
        page.wait_for_function("document.querySelector('.ssam-live .race').dataset.points > 0")
        click_on(page, sparse, 8)
        expect(lanes).to_have_value(sparse)
        expect(epochs).to_have_value("8")
        expect(inside.locator("a")).to_have_text(["Masks", "Images"])
        assert address_of(inside.locator("a").first) == {"run": RECORDED, "lanes": sparse, "epoch": "8"}
        epochs.focus()
        page.keyboard.press("ArrowUp")
        expect(epochs).to_have_value("7")
        inside.get_by_role("link", name="Masks").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/masks" in url and "epoch=7" in url)
        expect(page.locator(".ssam-masks .lanes, .ssam-masks section").first).to_be_visible()
        assert not page.get_by_role("alert").count(), "the page takes the address"
        assert not watched.problems
