"""The race page in a real browser, on the real server with the real runner."""

import re
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from ssam.store import Store
from tests.browser import LIVE, Watched, app_server, click_in_popover, end_runner, start_race, wait_until
from tests.ray_cluster import LOOPBACK, Cluster, missing

pytestmark = [pytest.mark.browser, pytest.mark.slow]

START = ".st-key-start_race button"
LOADER = Path(__file__).parents[1] / "app/ui/loader.js"
QUICK = "/?preset=demo&epochs=40"  # long enough to be stopped, whatever the machine
CHART = "live.querySelector('[data-panel=accuracy] .chart')"
LOOKS = 60  # in more than a second, at the number of points
ZOOM = f"[...{CHART}.layout.xaxis.range, ...{CHART}.layout.yaxis.range].join()"


@dataclass(frozen=True)
class Lab:
    address: str
    store: Store


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The app with a home folder of its own, SQLite and a local runner unless a test asks for PostgreSQL, or for the races to
    be on a Ray cluster. The runner it gets is ended with the tests: nothing else would."""
    kind = getattr(request, "param", "SQLite")
    home = tmp_path_factory.mktemp("home")
    url, settings = f"sqlite:///{home / 'ssam.db'}", {}
    if kind == "PostgreSQL":
        url = request.getfixturevalue("postgres").new_database()
        settings = {"SSAM_DATABASE_URL": url}
    elif kind == "Ray":
        settings = {"SSAM_ENGINE": f"ray://{request.getfixturevalue('cluster').address}", **LOOPBACK}
    with app_server(home, **settings) as address, closing(Store(home, url)) as store:
        yield Lab(address, store)
    end_runner(home)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if missing:
        pytest.skip("Ray is not installed: pip install -r requirements-cluster.txt")
    cluster = Cluster(tmp_path_factory.mktemp("node"))
    yield cluster
    assert cluster.close() == []


@pytest.fixture(scope="module")
def address(lab: Lab) -> str:
    return lab.address


@pytest.fixture(scope="module")
def store(lab: Lab) -> Store:
    return lab.store


@pytest.fixture
def watched(browser: Browser, address: str) -> Iterator[Watched]:
    """A fresh page; at the end it must have stayed at home and without an error."""
    watched = Watched(browser)
    yield watched
    watched.page.context.close()
    assert watched.hosts == {address.removeprefix("http://")}, "the page must not ask another host"
    assert watched.problems == []


def warm(store: Store) -> None:
    """Waits until the runner has torch loaded: it writes down the machine's devices then."""
    wait_until((store.home / "machine.json").exists)


def test_a_race_from_start_to_stop(watched: Watched, address: str, store: Store) -> None:
    from_start_to_stop(watched, address, store)


@pytest.mark.parametrize("lab", ["PostgreSQL", "Ray"], indirect=True, scope="module")
def test_the_same_with_another_database_or_a_cluster(watched: Watched, address: str, store: Store) -> None:
    from_start_to_stop(watched, address, store)


def from_start_to_stop(watched: Watched, address: str, store: Store) -> None:
    page = watched.page
    page.goto(address + QUICK)
    expect(page.locator(START)).to_be_enabled()
    page.wait_for_function("window.Plotly !== undefined")  # loaded before there is a race to draw
    assert page.locator('[data-testid="recorded-race"]').count() == 0, "this race has no recording"
    warm(store)

    page.locator(START).dblclick()  # two clicks, one race
    watched.wait("live?.dataset.points > 0")
    assert len(store.runs.newest()) == 1
    (run,) = store.runs.newest()
    assert f"run={run.id}" in page.url
    assert watched.live("state") == "running"
    assert watched.live("lanes") == "4"

    page.evaluate(f"document.querySelector('{LIVE}').marked = true")
    points = watched.points()
    watched.wait("live.dataset.points > argument", points)
    assert page.evaluate(f"document.querySelector('{LIVE}').marked"), "the panel must not be drawn anew"
    drawn = f"document.querySelectorAll('{LIVE} [data-panel=steps] .scatterlayer .trace').length"
    assert page.evaluate(drawn) == 1 + 8, "an anchor, and per lane a thin and a bold curve"

    page.locator(".st-key-pause_race button").click()
    watched.wait("live.dataset.state === 'paused'")
    held = settled(watched)
    time.sleep(2.5)  # two ticks and more
    assert watched.points() == held
    page.get_by_role("button", name="Resume").click()
    watched.wait("live.dataset.state === 'running' && live.dataset.points > argument", held)

    watched.wait("live.querySelector('[data-panel=accuracy] .chart').data.some((trace) => trace.x.length > 1)")
    before = read(watched, ZOOM)
    assert before.startswith("0,40.8,"), "the axis reaches to the 40th epoch and a bit"
    assert all(float(end) % 10 == 0 for end in before.split(",")[2:]), "and the other over whole tens of percent"
    chart = page.locator(f"{LIVE} [data-panel=accuracy] .nsewdrag")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"], steps=5)
    page.mouse.up()
    watched.wait(f"{ZOOM} !== argument", before)
    zoomed = read(watched, ZOOM)
    for _ in range(2):
        detail = page.locator(f"{LIVE} table").text_content()
        watched.wait("live.querySelector('table').textContent !== argument", detail)  # a tick
    assert read(watched, ZOOM) == zoomed
    assert page.evaluate(f"document.querySelector('{LIVE}').marked"), "nor when it is paused and goes on"

    page.reload()
    watched.wait("live?.dataset.points > argument", held)
    assert watched.live("state") == "running"

    page.locator(".st-key-stop_race button").click()
    watched.wait("live.dataset.state === 'stopped'")
    expect(page.locator(".st-key-new_race button")).to_be_visible()
    stopped = settled(watched)
    time.sleep(1.5)
    assert watched.points() == stopped


def read(watched: Watched, script: str) -> str:
    return watched.page.evaluate(f"(() => {{ const live = document.querySelector('{LIVE}'); return {script}; }})()")


def settled(watched: Watched) -> int:
    """The number of points once what was on its way has arrived."""
    seen: list[int] = []

    def still() -> bool:
        seen.append(watched.points())
        return len(seen) > LOOKS and len(set(seen[-LOOKS:])) == 1

    wait_until(still)
    return seen[-1]


def test_a_finished_race_on_a_phone_in_the_dark(browser: Browser, address: str, store: Store) -> None:
    watched = Watched(browser, color_scheme="dark", reduced_motion="reduce")
    page = watched.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address + "/?train_size=256&epochs=2&lanes=sgd,ssam-d")
    start_race(page)
    watched.wait("live?.dataset.state === 'finished'")
    expect(page.locator("[data-testid=stDataFrame]").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".st-key-take_away button").click()
    kinds = page.locator(".st-key-take_kinds")
    click_in_popover(page, "take_away", kinds.get_by_text("CSV", exact=True))
    kinds.get_by_text("Report", exact=True).click()
    expect(page.get_by_text("One HTML file")).to_have_count(0)
    with page.expect_download() as download:
        page.locator(".st-key-take_download button").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        lines = archive.read("evaluations.csv").decode().splitlines()
    page.keyboard.press("Escape")
    assert "test_accuracy" in lines[0]
    assert len(lines) == 1 + 2 * 2  # a heading, then two lanes with two evaluations each
    page.locator(".why summary").first.click()
    expect(page.locator(".why[open] p").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".why[open]")).to_have_count(0)
    page.locator(".why summary").last.click()  # it opens below the edge of the screen
    expect(page.locator(".why[open] > div")).to_be_in_viewport(ratio=0.98)
    page.keyboard.press("Escape")
    of_layer, of_all = page.locator(f"{LIVE} figure small").all_text_contents()
    assert re.search(r"\d%", of_layer)
    assert re.search(r"\d%.* 0\.\d", of_all)
    expect(page.locator(f"{LIVE} .slide output")).to_contain_text("2 of 2")
    page.context.close()
    assert watched.problems == []


def test_garbage_in_the_address(watched: Watched, address: str) -> None:
    page = watched.page
    page.goto(address + "/?sparsity=1.5")
    expect(page.get_by_text("sparsity '1.5'")).to_be_visible()
    expect(page.locator(START)).to_be_enabled()
    assert page.get_by_text("Traceback").count() == 0


def test_a_stranger_can_watch_and_a_teacher_can_steer(browser: Browser, address: str, store: Store) -> None:
    """Three browsers, each with its own cookie: the owner's, a stranger's and a teacher's."""
    owner, stranger, teacher = (Watched(browser) for _ in range(3))
    steering = ", ".join(f".st-key-{key}" for key in ("pause_race", "stop_race", "delete_race"))
    owner.page.goto(address + QUICK + "&seed=3")
    start_race(owner.page)
    owner.wait("live?.dataset.points > 0")
    link = owner.page.url
    (run,) = (run for run in store.runs.newest() if f"run={run.id}" in link)

    stranger.page.goto(address)
    expect(stranger.page.locator(START)).to_be_enabled()
    stranger.page.wait_for_selector('[data-testid="recorded-race"]')
    expect(stranger.page.get_by_text("Recent races")).to_have_count(0)
    stranger.page.goto(link)
    stranger.wait("live?.dataset.state === 'running' && live.dataset.points > 0")
    expect(stranger.page.get_by_text("omeone else's race")).to_be_visible()
    expect(stranger.page.locator(steering)).to_have_count(0)

    owner.page.reload()  # the cookie stays
    owner.page.locator(".st-key-pause_race button").click()
    stranger.wait("live.dataset.state === 'paused'")
    expect(owner.page.locator(".st-key-delete_race")).to_be_visible()

    teacher.page.goto(address)
    teacher.page.get_by_role("button", name="Class").click()
    teacher.page.get_by_role("menuitem", name="System").click()
    key = teacher.page.get_by_label("Teacher key")
    key.fill("not the key")
    key.press("Enter")
    expect(teacher.page.get_by_role("alert")).to_contain_text("teacher key")
    teacher.page.wait_for_timeout(1000)  # one try a second
    key.fill((store.home / "teacher.key").read_text().strip())
    key.press("Enter")
    expect(teacher.page.get_by_label("Teacher key")).to_have_count(0)
    teacher.page.goto(link)
    teacher.page.locator(".st-key-stop_race button").click()
    stranger.wait("live.dataset.state === 'stopped'")

    owner.page.locator(".st-key-delete_race button").click()
    click_in_popover(owner.page, "delete_race", owner.page.locator(".st-key-delete_for_good button"))
    wait_until(lambda: store.runs.get(run.id) is None)
    owner.page.wait_for_selector(".st-key-watch_other")
    assert "run=" not in owner.page.url
    for watched in (owner, stranger, teacher):
        watched.page.context.close()
        assert watched.problems == []


def test_a_component_ends_when_it_leaves_the_page_and_not_before(watched: Watched, address: str) -> None:
    """Streamlit calls an update's clean-up also where only a newer update has overtaken it, and where the component leaves the page
    sometimes before its element is gone: so nothing may depend on it."""
    page = watched.page
    page.goto(address)
    page.wait_for_selector('[data-testid="recorded-race"]')
    said = page.evaluate(
        """async (loader) => {
          const address = (code) => URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
          const code = "export const mount = (root) => ({ update() { root.textContent += 'drawn ' }, unmount() { root.textContent += 'gone' } })";
          const { default: update } = await import(address(loader.replaceAll("MODULE", address(code))));
          const data = new TextEncoder().encode("{}");
          const parentElement = document.createElement("div");
          parentElement.innerHTML = '<div class="ssam-live"></div>';
          document.body.append(parentElement);
          const cleanUp = update({ parentElement, data });
          while (!parentElement.textContent) await new Promise((done) => setTimeout(done, 10));
          update({ parentElement, data });
          const before = parentElement.textContent;
          const first = parentElement.firstChild;
          parentElement.innerHTML = '<div class="ssam-live"></div>';
          update({ parentElement, data });
          while (!parentElement.textContent) await new Promise((done) => setTimeout(done, 10));
          const shown = parentElement.textContent;
          parentElement.remove();
          await new Promise((done) => setTimeout(done));
          return [cleanUp ?? "none", before, first.textContent, shown, parentElement.textContent];
        }""",
        LOADER.read_text(encoding="utf-8").replace("NAME", "live"),
    )
    assert said == ["none", "drawn drawn ", "drawn drawn gone", "drawn ", "drawn gone"]
