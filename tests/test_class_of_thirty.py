"""A class of thirty on one server: everybody watches the wall, everybody is answered; and the wall in a real browser."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from benchmarks.load import wall
from ssam.store import Store
from tests import fake_class
from tests.browser import Watched, app_server
from tests.fake_class import CODE
from tests.fake_race import ENDLESS
from tests.fake_runner import TORCH, Site

STUDENTS = 30
WALL = "document.querySelector('[data-testid=class-wall]')"


@pytest.mark.slow
def test_thirty_students_watch_the_wall_and_all_are_answered() -> None:
    with wall.classroom(STUDENTS) as room:
        sessions, result = asyncio.run(wall.watch(room, STUDENTS, 6.0))
        owners = {race.owner for race in room.store.classes.races(CODE)}
    assert result["errors"] == []
    assert len(owners) == STUDENTS
    assert all(len(session.ticks) >= 2 for session in sessions)
    assert result["interval_s"] == [2.0]
    assert result["ticks"]["answered"] == result["ticks"]["due"] >= 2 * STUDENTS
    assert result["kb_per_tick"] > 5, "the wall was sent, not an empty page"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    home = tmp_path_factory.mktemp("class")
    store = Store(home)
    fake_class.furnish(store, STUDENTS)
    try:
        with app_server(home, races=False) as address:
            yield address, store
    finally:
        store.close()


def opened(
    browser: Browser, address: str, path: str, size: tuple[int, int] = (1280, 900), **context: object
) -> Watched:
    watched = Watched(browser, **context)
    watched.page.set_viewport_size({"width": size[0], "height": size[1]})
    watched.page.goto(f"{address}/{path}")
    return watched


def wait(watched: Watched, script: str) -> None:
    watched.page.wait_for_function(script)


@pytest.mark.browser
@pytest.mark.slow
def test_thirty_seeds_are_on_the_plot_and_one_more_arrives_live(lab: tuple[str, Store], browser: Browser) -> None:
    address, store = lab
    watched = opened(browser, address, f"wall?class={CODE.lower()}")
    wait(watched, f"{WALL}?.dataset.drawn == {STUDENTS}")
    assert re.findall(r"\d+", watched.page.locator(".ssam-wall .counts").inner_text()) == ["30", "30"]
    thin = f"{WALL}.querySelector('.chart').data[0]"
    gaps = f"{thin}.y.filter((value) => value == null).length"
    assert watched.page.evaluate(gaps) == STUDENTS, "each line ends with a gap"
    watched.page.evaluate(f"{WALL}.mark = 1")
    run_id = fake_class.begin(store, "the last one", STUDENTS)
    fake_class.advance(store, run_id, range(1, 4))
    wait(watched, f"{WALL}.dataset.drawn == {STUDENTS + 1}")
    assert watched.page.evaluate(gaps) == STUDENTS + 1
    assert re.findall(r"\d+", watched.page.locator(".ssam-wall .counts").inner_text()) == ["31", "30", "1"]
    fake_class.advance(store, run_id, range(4, fake_class.SPEC.epochs + 1))
    wait(watched, f"{WALL}.dataset.finished == {STUDENTS + 1}")
    assert "31 of 31" in watched.page.locator(".ssam-wall .verdicts").inner_text()
    assert watched.page.evaluate(f"{WALL}.mark") == 1, "it was brought up to date, not made anew"
    rows = watched.page.locator(".ssam-wall tbody tr")
    assert rows.count() == len(fake_class.SPEC.lanes)
    assert "SAM" in rows.nth(1).inner_text()
    for chart in watched.page.locator(".ssam-wall .chart").all():
        assert "SGD" in (chart.get_attribute("aria-label") or "")
    assert watched.hosts == {address.partition("//")[2]}
    watched.page.get_by_role("button", name="Leave").click()
    watched.page.get_by_label("Class code").fill("no")
    watched.page.get_by_role("button", name="Show the wall").click()
    watched.page.get_by_text("4 to 12").wait_for()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("size", "view"), [((390, 844), ""), ((1920, 1080), "&view=projector")])
def test_the_wall_fits_a_phone_and_a_projector(
    lab: tuple[str, Store], browser: Browser, size: tuple[int, int], view: str
) -> None:
    watched = opened(browser, lab[0], f"wall?class={CODE}{view}", size)
    wait(watched, f"{WALL}?.dataset.drawn >= {STUDENTS}")
    assert watched.page.evaluate("document.scrollingElement.scrollWidth") <= size[0]
    inside = (
        f"[...{WALL}.querySelectorAll('.chart')].every((c) => c.scrollWidth <= c.clientWidth && c.clientHeight > 200)"
    )
    assert watched.page.evaluate(inside)
    font = watched.page.evaluate("getComputedStyle(document.querySelector('.ssam-wall .counts')).fontSize")
    assert float(font.removesuffix("px")) >= (28 if view else 16)
    shown = watched.page.locator(".ssam-wall .scroll").is_visible()
    assert shown == (not view), "few numbers on a projector"


@pytest.mark.browser
@pytest.mark.slow
def test_who_presents_has_keys_and_who_types_does_not(tmp_path: Path, browser: Browser) -> None:
    site = Site(tmp_path)
    try:
        site.start_runner(**TORCH)
        with app_server(site.store.home) as address:
            watched = opened(browser, address, f"?preset=demo&seed={ENDLESS}&view=projector")
            page = watched.page
            page.get_by_role("button", name="Start race").wait_for()
            wait(watched, "document.documentElement.dataset.view === 'projector'")
            assert page.get_by_test_id("stSidebar").count() == 0 or not page.get_by_test_id("stSidebar").is_visible()
            page.evaluate("""() => {
                window.pressed = [];
                for (const what of ["next", "step"]) {
                    const button = document.createElement("button");
                    button.dataset.presenter = what;
                    button.textContent = what;
                    button.onclick = () => window.pressed.push(what);
                    document.body.append(button);
                }
                const field = document.createElement("input");
                field.id = "typed";
                document.body.append(field);
            }""")
            page.locator("#typed").focus()
            page.keyboard.type("spn ?")
            page.wait_for_timeout(500)
            assert page.locator("#typed").input_value() == "spn ?"
            assert page.evaluate("window.pressed") == []
            assert site.store.runs.newest() == []
            assert not page.locator("dialog.keys").is_visible()

            page.evaluate("document.activeElement.blur()")
            page.keyboard.press("?")
            page.locator("dialog.keys").wait_for()
            assert "pause" in page.locator("dialog.keys").inner_text()
            page.keyboard.press("n")
            page.keyboard.press("Escape")
            assert page.evaluate("window.pressed") == [], "the keys of the page rest while these are shown"
            for key in ("n", "ArrowRight", "Space", "Control+n"):
                page.keyboard.press(key)
            assert page.evaluate("window.pressed") == ["next", "step", "step"]

            page.wait_for_selector('[data-testid=stApp][data-test-script-state="notRunning"]')
            page.keyboard.press("s")
            watched.wait("live?.dataset.state === 'running'")
            (run,) = site.store.runs.newest()
            page.keyboard.press("p")
            watched.wait("live?.dataset.state === 'paused'")
            page.keyboard.press("p")
            watched.wait("live?.dataset.state === 'running'")
            assert [other.id for other in site.store.runs.newest()] == [run.id]
            assert page.locator(".ssam-live [data-panel=timing]").is_hidden()
            page.get_by_text("Presentation mode", exact=True).click()
            wait(watched, "document.documentElement.dataset.view === undefined")
            page.locator(".ssam-live [data-panel=timing]").wait_for()
            page.keyboard.press("p")
            page.wait_for_timeout(500)
            assert site.store.runs.get(run.id).want == "run"
            assert [problem for problem in watched.problems if "404" not in problem] == []
    finally:
        site.close()
