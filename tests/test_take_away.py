"""Taking a race away and bringing it back, in a real browser."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from app.shell.identity import COOKIE
from ssam.experiment.events import Snapshot
from ssam.store import Run, Store
from ssam.store.annotations import Labels
from tests import fake_lab
from tests.browser import LIVE, Watched, app_server, click_in_popover
from tests.people import ALICE, owner

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    store = Store(home)
    run = fake_lab.race(store, owner(ALICE))
    with store.writer(run.id) as writer:
        writer.add(Snapshot("sam", 50, 5.0, {"w": np.ones(3, dtype=np.float32)}))
    assert store.runs.label(run.id, Labels("Mine", (), "A secret note"))
    store.close()
    return run


@pytest.fixture(scope="module")
def address(home: Path, run: Run) -> Iterator[str]:
    with app_server(home, races=False) as address:
        yield address


def opened(page: Page, address: str) -> Locator:
    """Opens the race's page and, once it has come to rest, what can be taken away; gives the kinds."""
    page.goto(address)
    page.locator(LIVE).wait_for()
    page.wait_for_selector('[data-testid=stApp][data-test-script-state="notRunning"]')
    page.locator(".st-key-take_away button").first.click()
    kinds = page.locator(".st-key-take_kinds")
    expect(kinds).to_be_visible()
    return kinds


def test_a_report_is_taken_and_comes_back_as_a_race(browser: Browser, address: str, run: Run, tmp_path: Path) -> None:
    watched = Watched(browser)
    page = watched.page
    kinds = opened(page, f"{address}/?run={run.id}")
    expect(kinds.get_by_text("Masks", exact=True)).to_be_visible()
    assert kinds.get_by_text("Weights", exact=True).count() == 0  # they are its owner's
    expect(page.get_by_text(f"run={run.id}")).to_be_visible()
    with page.expect_download() as download:
        page.locator(".st-key-take_download button").click()
    assert download.value.suggested_filename == f"race-{run.id[:8]}.html"
    report = tmp_path / "report.html"
    download.value.save_as(report)
    assert "A secret note" not in report.read_text(encoding="utf-8")

    click_in_popover(page, "take_away", kinds.get_by_text("CSV", exact=True))
    expect(page.locator("strong", has_text="CSV")).to_be_visible()  # the file of the button is now another
    with page.expect_download() as download:
        page.locator(".st-key-take_download button").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert set(archive.namelist()) == {"report.html", "evaluations.csv", "steps.csv"}

    page.goto(address)
    box = page.locator(".st-key-open_file")
    box.locator("summary").click()
    hostile = tmp_path / "race.json"
    hostile.write_text('{"spec": {"epochs": "<b>many</b>"}}')
    box.locator("input[type=file]").set_input_files(hostile)
    expect(box.get_by_text("Not imported: ")).to_contain_text("<b>many</b>")
    box.locator("input[type=file]").set_input_files(report)
    expected = {name: [value] for name, value in run.spec.to_strings().items()}
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query) == expected)
    expect(box.get_by_text("Not imported: ")).to_have_count(0)
    expect(page.locator(".st-key-start_race button")).to_be_enabled()
    page.context.close()
    assert watched.problems == []


def test_the_owner_has_weights_and_the_note_too(browser: Browser, address: str, run: Run) -> None:
    watched = Watched(browser)
    page = watched.page
    page.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
    kinds = opened(page, f"{address}/?run={run.id}")
    click_in_popover(page, "take_away", kinds.get_by_text("Weights", exact=True))
    expect(page.get_by_text("safetensors")).to_be_visible()
    with page.expect_download() as download:
        page.locator(".st-key-take_download button").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert set(archive.namelist()) == {"report.html", "weights-1-sam-50.safetensors"}
        assert "A secret note" in archive.read("report.html").decode()
    page.context.close()
    assert watched.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_opens_as_a_file_and_asks_nobody(
    browser: Browser, home: Path, run: Run, tmp_path: Path, scheme: str
) -> None:
    from ssam.export import Source, write

    store = Store(home)
    write(Source(store, run), ["report"], tmp_path)
    store.close()
    for width in (390, 1280):
        watched = Watched(browser, color_scheme=scheme)
        page = watched.page
        page.set_viewport_size({"width": width, "height": 800})
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ink, ground = page.evaluate("['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])")
        assert (ink < ground) == (scheme == "light")  # rgb(22, … on rgb(255, …, or the other way round
        label = page.locator("svg text").first.evaluate("(text) => getComputedStyle(text).fill")
        assert label == ink
        page.context.close()
        assert watched.problems == []
        assert watched.hosts == {tmp_path.parts[1]}  # of file:///…, the report itself
