"""Everyone can use it: every page of the navigation in a real browser, in light and dark, on a desk and on a phone, by keyboard alone,
with large letters, without motion; and every picture in words and as a table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import axe_playwright_python
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.flatness import query as flatness_query
from app.images import query as images_query
from app.masks import query as masks_query
from app.shell import nav
from app.shell.identity import COOKIE
from app.sweeps import query as sweeps_query
from app.ui import component
from ssam.store import Store
from tests import fake_class, fake_lab, fake_sweep
from tests.browser import LIVE, PATIENCE, app_server, chromium
from tests.fake_sweep import GRID
from tests.people import ALICE, owner

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[1]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
ANNOUNCE = f"/app/static/{component.VERSION}/ui/live/announce.js"
ACCESS = (ROOT / "tests" / "access.js").read_text(encoding="utf-8")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
FRAMES = 60  # that a mark of the focus may take to be drawn
STOPS = 400  # more than any page has, a table's cells included
# Streamlit's own, out of reach: on a phone it lists the pages with a div for each section between the ul and its li.
NOT_OURS = {("list", "stSidebarNavItems"), ("listitem", "stSidebarNavItems")}


VIEWS = {  # of pages with several, those that differ most; ``{run}`` is the race of the lab, ``{going}`` one under way
    "race": ["/", "/?run={run}"],
    "compare": ["/compare?runs={run},{going}"],
    "lessons": ["/lessons?lesson=noisy-labels&step=predict", "/lessons?lesson=noisy-labels&step=reveal"],
    "wall": [f"/wall?class={fake_class.CODE}"],
    "masks": [f"/masks?run={{run}}&view={next(iter(masks_query.VIEWS))}"],
    "images": [f"/images?run={{run}}&view={view}" for view in images_query.VIEWS],
    "flatness": [f"/flatness?run={{run}}&kind={kind}" for kind in tuple(flatness_query.KINDS)[:2]],
    "anatomy": ["/anatomy?run={run}"],
    "sweeps": [f"/sweeps?figure={next(iter(sweeps_query.FIGURES))}"],
}
# A view of each page, and the live panel; then the other views. What takes long is done for the first ones only.
WHOLE = [*(VIEWS.get(name, [f"/{name}"])[0] for name in nav.PAGES), VIEWS["race"][1]]
ADDRESSES = [*WHOLE, *(view for views in VIEWS.values() for view in views if view not in WHOLE)]


@dataclass(frozen=True)
class Lab:
    address: str
    run: str
    going: str
    owner: BrowserContext  # one for all pages, so that what they load is loaded and compiled once

    def open(self, address: str, motion: Literal["reduce", "no-preference"] = "reduce") -> Page:
        """A page of the lab for the owner of its races, once it has come to rest."""
        page = self.owner.new_page()
        page.set_default_timeout(PATIENCE)
        page.emulate_media(color_scheme="light", reduced_motion=motion)
        page.goto(self.address + address.format(run=self.run, going=self.going))
        page.wait_for_selector("[data-testid=stMainBlockContainer] :is(h2, h3, h4, p)")
        if address.startswith("/?run="):
            page.wait_for_selector(LIVE)  # its code comes after the page has
        settle(page)
        if "step=reveal" in address:  # it opens after a prediction
            page.locator(".st-key-skip_prediction button:visible").click()
            page.wait_for_selector(".st-key-lesson_again")
            settle(page)
        page.add_style_tag(
            content="[data-stale] { opacity: 1 !important; }"
        )  # faded while a slow machine draws it again
        page.evaluate(ACCESS)
        assert page.locator("[data-testid=stException]").count() == 0
        assert page.get_by_text("Something went wrong").count() == 0
        return page


@pytest.fixture(scope="module", params=ADDRESSES)
def page(lab: "Lab", request: pytest.FixtureRequest) -> Iterator[Page]:
    """Each address in turn, opened once for all tests that leave it as it was."""
    page = lab.open(request.param)
    yield page
    page.close()


def settle(page: Page) -> None:
    """Waits until nothing has changed for a while; at most five seconds where something keeps moving."""
    page.wait_for_selector('[data-testid=stApp][data-test-script-state="notRunning"]')
    page.evaluate(
        """() => new Promise((resolve) => {
          let quiet = setTimeout(resolve, 300);
          setTimeout(resolve, 5000);
          new MutationObserver(() => { clearTimeout(quiet); quiet = setTimeout(resolve, 300); })
            .observe(document.body, { subtree: true, childList: true, attributes: true });
        })"""
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("home")
    store = Store(home, f"sqlite:///{home / 'ssam.db'}")
    run = fake_lab.furnish(store, owner(ALICE), {kind: flatness_query.default(kind) for kind in fake_lab.KINDS})
    fake_class.furnish(store, 2)
    fake_sweep.fill(store, owner(ALICE), GRID)
    going = fake_class.begin(store, owner(ALICE), seed=2)
    fake_class.advance(store, going, range(1, 6))
    with app_server(home, races=False) as address, chromium() as browser, browser.new_context(viewport=DESK) as context:
        context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
        yield Lab(address, run.id, going, context)
    store.close()


def violations(page: Page) -> list[str]:
    """What axe finds serious or critical, one line each."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    # Drawings are left out: they are one picture to who cannot see them, and ``pale`` and ``unsaid`` look at them.
    whole = "{ exclude: [['.js-plotly-plot .main-svg']] }"
    found = page.evaluate(f"axe.run({whole}, {{ resultTypes: ['violations'] }})")["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not any(rule["id"] == known and lies_in(page, node["target"][0], part) for known, part in NOT_OURS)
    ]


def lies_in(page: Page, selector: str, part: str) -> bool:
    script = "([selector, part]) => Boolean(document.querySelector(selector)?.closest(`[data-testid=${part}]`))"
    return bool(page.evaluate(script, [selector, part]))


def test_axe_finds_nothing_serious_and_nothing_is_cut_off(page: Page, request: pytest.FixtureRequest) -> None:
    """Each look and each size once: colours do not hang on the size of the window, nor the layout on the colours. Of the further views of
    a page the one that is harder on it."""
    is_first = request.node.callspec.params["page"] in WHOLE
    for look, size in (("light", DESK), ("dark", PHONE))[not is_first :]:
        page.emulate_media(color_scheme=look, reduced_motion="reduce")
        page.set_viewport_size(size)
        settle(page)
        assert violations(page) == [], look
        assert overflow(page) <= 0, look
        assert page.evaluate("access.moving()") == [], look
        assert page.evaluate("access.pale()") == [], look
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.set_viewport_size(DESK)
    settle(page)  # the navigation comes back


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window, once the drawings have taken its size."""
    for _ in range(20):
        wide = page.evaluate(
            """() => { const main = document.querySelector("[data-testid=stMain]");
              return Math.max(main.scrollWidth - main.clientWidth, document.documentElement.scrollWidth - innerWidth); }"""
        )
        if wide <= 0:
            break
        page.wait_for_timeout(250)
    return wide


@pytest.mark.parametrize("page", WHOLE, indirect=True)
def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Page) -> None:
    page.mouse.move(0, 0)  # what scrolls under it would show its toolbar
    page.evaluate("access.begin()")
    unmarked, stops = [], 0
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        page.evaluate("access.settled()")
        stop = page.evaluate("access.step()")
        if stop is None:
            break
        for _ in range(FRAMES):  # a toolbar is drawn a moment after the focus has come
            if stop["marked"]:
                break
            page.evaluate("new Promise(requestAnimationFrame)")
            stop = page.evaluate("access.step()")
        stops += 1
        if not stop["marked"]:
            unmarked.append(stop["brief"])
    assert 5 < stops < STOPS, "the focus comes round"
    assert unmarked == []
    assert page.evaluate("access.missed()") == []


def test_every_picture_is_said_and_is_a_table(page: Page) -> None:
    assert page.evaluate("access.unsaid()") == []


@pytest.mark.parametrize("page", WHOLE, indirect=True)
def test_letters_of_twice_the_size_fit(page: Page) -> None:
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    settle(page)
    wide = overflow(page)
    page.evaluate("document.documentElement.style.fontSize = ''")
    assert wide <= 0


def test_the_layers_of_the_network_are_walked_with_the_arrows(lab: Lab) -> None:
    page = lab.open("/masks?run={run}")
    panel = page.get_by_test_id("masks")
    layers = panel.locator(".net button")
    layers.and_(panel.locator('[aria-pressed="true"]')).focus()
    page.keyboard.press("ArrowLeft")
    expect(layers.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(layers.nth(1)).to_have_attribute("aria-pressed", "true")
    play = panel.get_by_role("button", name="Play")
    play.focus()
    page.keyboard.press("Space")
    expect(panel.get_by_role("button", name="Pause")).to_be_focused()
    expect(panel).to_have_attribute("data-frame", "4")
    slider = panel.get_by_role("slider", name="Mask")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("epoch 1$"))
    panel.get_by_text("As a table").press("Enter")
    rows = panel.locator("table").first.locator("tbody tr")
    expect(rows.first).to_contain_text("stem.conv.weight48")
    slider.press("End")
    expect(panel.locator("caption").first).to_contain_text("5 of 5")
    page.close()


def test_the_panels_of_a_race_are_tables_of_what_they_show(lab: Lab) -> None:
    page = lab.open("/?run={run}")
    for panel in page.locator(".panel > .words > summary").all():
        panel.press("Enter")
    tables = page.locator(".panel[data-panel=accuracy] table")
    expect(tables.locator("tbody tr")).to_have_count(5)
    cells = tables.locator("tbody tr").last.locator("th, td").all_text_contents()
    assert [cell.removesuffix("%") for cell in cells] == ["5.0", "61.0", "80.0", "81.0", "80.0", "78.0"]
    curve = page.locator(".panel[data-panel=steps] select")
    curve.select_option("radius")
    expect(page.locator(".panel[data-panel=steps] caption")).to_have_text("Effective radius ‖m⊙ε‖")
    page.get_by_role("radio", name="gradients").press("Space")
    expect(page.locator(".panel[data-panel=steps] thead th").first).to_have_text("gradients")
    expect(page.locator(".panel[data-panel=masks] table")).to_have_count(1 + 2)  # numbers, and a picture of each lane
    expect(page.locator(".panel[data-panel=timing] tbody tr")).to_have_count(5)
    page.close()


def lanes(sgd: list[float], sam: list[float], final: bool = False) -> list[dict]:
    """Two lanes with these accuracies so far."""
    rows = [
        [
            {"epoch": epoch, "test_accuracy": value, "test_size": 2000, "final": False}
            for epoch, value in enumerate(course, 1)
        ]
        for course in (sgd, sam)
    ]
    for course in rows:
        course[-1:] = [*course[-1:], *[{**row, "test_size": 10000, "final": True} for row in course[-1:] if final]]
    about = {"state": "running", "lastStep": 1}
    return [
        {"name": name, "title": name.upper(), "perturbs": name == "sam", "epochs": course, **about}
        for name, course in zip(("sgd", "sam"), rows, strict=True)
    ]


COURSE = [  # what the panel is sent tick by tick, and what is then said
    ({"state": "queued", "progress": 0, "lanes": lanes([], [])}, ["The race is in the queue."]),
    ({"state": "starting", "progress": 0, "lanes": lanes([], [])}, []),
    ({"state": "running", "progress": 0, "lanes": lanes([], [])}, ["The race is running."]),
    ({"state": "running", "progress": 0.1, "lanes": lanes([0.6], [])}, []),
    (
        {"state": "running", "progress": 0.2, "lanes": lanes([0.6], [0.5])},
        ["After epoch 1: SGD 60.0%, SAM 50.0%."],
    ),
    ({"state": "running", "progress": 0.3, "lanes": lanes([0.6, 0.7], [0.5])}, []),
    (
        {"state": "running", "progress": 0.4, "lanes": lanes([0.6, 0.7], [0.5, 0.75])},
        ["SAM has overtaken SGD: 75.0% against 70.0% after epoch 2."],
    ),
    ({"state": "paused", "progress": 0.4, "lanes": lanes([0.6, 0.7], [0.5, 0.75])}, ["The race is paused."]),
    (
        {"state": "running", "progress": 0.6, "lanes": lanes([0.6, 0.7, 0.67], [0.5, 0.75, 0.8])},
        [
            "SGD is getting worse: 67.0% after epoch 3, down from 70.0% after epoch 2.",
            "Half of the race is done. After epoch 3: SAM 80.0%, SGD 67.0%.",
            "The race is running.",
        ],
    ),
    ({"state": "running", "progress": 0.9, "lanes": lanes([0.6, 0.7, 0.6], [0.5, 0.75, 0.81])}, []),
    (
        {"state": "finished", "progress": 1, "lanes": lanes([0.6, 0.7, 0.6], [0.5, 0.75, 0.81], final=True)},
        ["The race has finished: SAM 81.0%, SGD 60.0%."],
    ),
]


def test_milestones_are_told_once_and_ticks_never(lab: Lab) -> None:
    page = lab.open("/?run={run}")
    log = page.locator("[role=log]")
    expect(log).to_have_count(1)
    expect(log).to_be_empty()  # a race that has long been finished is no news
    page.evaluate(
        f"""async () => {{ const {{ announcer }} = await import("{ANNOUNCE}"); window.told = announcer(); }}"""
    )
    script = """(data) => { told.liveRegion.replaceChildren(); told.announce({ run: "one", failed: "", ...data });
      return [...told.liveRegion.children].map(({ textContent }) => textContent); }"""
    for sent, said in COURSE:
        assert page.evaluate(script, sent) == said, sent
        assert page.evaluate(script, sent) == [], "the same once more is a tick"
    half_way = {"run": "two", **COURSE[6][0]}
    assert page.evaluate(script, half_way) == [], "who comes later is not told what has been"
    assert page.evaluate(script, {"run": "two", **COURSE[8][0]}) == COURSE[8][1][:2]
    failed = {"run": "two", "state": "failed", "progress": 0.6, "lanes": COURSE[8][0]["lanes"], "failed": "no room"}
    assert ["failed" in said for said in page.evaluate(script, failed)] == [True]
    for progress, told in ((0.9, []), (1, ["The recorded race has finished: SAM 81.0%, SGD 60.0%."])):
        played = {
            "run": "three",
            "state": "recorded",
            "replay": {},
            "progress": progress,
            "lanes": COURSE[-1][0]["lanes"],
        }
        assert page.evaluate(script, played) == told
    page.close()


HEADLINES = [  # (progress, lanes, what the headline names); every number belongs to the epoch that is named
    (0.3, lanes([0.6, 0.65, 0.7], [0.5, 0.55, 0.6]), r"epoch 3\b.*SGD 70\.0%.*SAM 60\.0%"),
    (0.3, lanes([0.6, 0.65, 0.7], [0.5, 0.55]), r"epoch 2\b.*SGD 65\.0%.*SAM 55\.0%"),
    (0.3, lanes([0.6, 0.7], [0.5, 0.75, 0.8]), r"SAM.*75\.0%.*70\.0%.*epoch 2\b"),
    (0.4, lanes([0.6, 0.8, 0.7, 0.75], [0.5, 0.6, 0.6, 0.6]), r"SGD.*75\.0%.*epoch 4\b.*80\.0%.*epoch 2\b"),
    (1, lanes([0.6, 0.7, 0.6], [0.5, 0.75, 0.81], final=True), r"SAM 81\.0%, SGD 60\.0%.*70\.0% after epoch 2\b.*2,000"),
    (0.3, [{**lanes([0.6], [0.5])[0], "state": "diverged"}, lanes([0.6], [0.5, 0.7])[1]], r"SGD has diverged"),
]  # fmt: skip


def test_the_headline_names_the_epoch_that_its_numbers_are_of(lab: Lab) -> None:
    page = lab.open("/?run={run}")
    script = f"""async (data) => (await import("{ANNOUNCE}")).headline(data)"""
    for progress, drawn, said in HEADLINES:
        assert re.search(said, page.evaluate(script, {"progress": progress, "lanes": drawn})), said
    assert page.evaluate(script, {"progress": 0.1, "lanes": lanes([0.6], [])}) == "", "not all have been evaluated"
    diverged = [{**lanes([0.6], [])[0], "state": "diverged"}, lanes([], [0.5, 0.7])[1]]
    ended = page.evaluate(script, {"progress": 1, "lanes": diverged})
    assert "SAM 70.0%" in ended
    assert "SGD 60.0%" not in ended, "a lane that has diverged has no accuracy"
    page.close()


def test_motion_can_be_switched_off(lab: Lab) -> None:
    """What moves in a race under way: the dot of its state."""
    script = """() => { document.querySelector(".pill").dataset.state = "running"; return access.moving().length; }"""
    for preference, moving in (("no-preference", 1), ("reduce", 0)):
        page = lab.open("/?run={run}", preference)
        assert bool(page.evaluate(script)) == bool(moving)
        page.close()
