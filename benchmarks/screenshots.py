"""Screenshots of the pages for the README: ``python -m benchmarks.screenshots``.

Starts the app with a separate home folder, trains one real race of the first preset, lets a small class race the demo preset, and
captures every page as a visitor sees it. Screenshots go to assets/screenshots.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from ssam.experiment import ASSETS, RaceSpec, parse_spec, preset, presets
from ssam.jobs.client import Client
from ssam.store import Person, Store
from ssam.store.views import ENDED
from tests.browser import Watched, app_server, chromium, end_runner, wait_until
from tests.people import ALICE, owner

FOLDER = ASSETS / "screenshots"
CLASS, STUDENTS = "demo", 8
COOKIE = "ssam_owner"
HEIGHT = {390: 844, 1280: 900, 1920: 1080}


@dataclass(frozen=True)
class Shot:
    """One screenshot of ``path``, ``wait`` seconds after ``sign`` has appeared and ``press``, if given, has been clicked. ``whole`` captures
    the full page."""

    name: str
    path: str
    sign: str
    wait: float = 2.0
    width: int = 1280
    scheme: str = "light"
    whole: bool = False
    press: str = ""


def shots(run_id: str) -> list[Shot]:
    race, live = f"/?run={run_id}", '[data-testid="live-race"] canvas'
    return [
        Shot("opening", "/", '[data-testid="recorded-race"] canvas', wait=10),
        Shot("race", race, live, whole=True),
        Shot("race-dark", race, live, scheme="dark", whole=True),
        Shot("race-phone", race, live, width=390, whole=True),
        Shot("race-wide", race, live, width=1920, whole=True),
        Shot(
            "lessons",
            "/lessons?lesson=noisy-labels&step=reveal",
            "h2",
            wait=5,
            press=".st-key-skip_prediction button:visible",
        ),
        Shot("surface", "/surface", "canvas", wait=5),
        Shot("anatomy", "/anatomy?phase=second", "canvas", wait=5),
        Shot("methods", "/methods?method=ssam-f", ".katex", wait=3),
        Shot("wall", f"/wall?class={CLASS}", ".js-plotly-plot", wait=4),
        Shot("masks", f"/masks?run={run_id}", "canvas", wait=4),
    ]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with lab() as (address, run_id), chromium() as browser:
        for shot in shots(run_id):
            take(browser, address, shot)


@contextmanager
def lab() -> Iterator[tuple[str, str]]:
    """Run the app with finished races. Yield its address and the id of the race of the first preset."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = Store(home)
        try:
            with app_server(home) as address:
                client = Client(store)
                spec = next(iter(presets().values())).spec
                run_id = race(client, store, spec, Person(owner(ALICE)))
                for seed in range(STUDENTS):
                    student = Person(owner(ALICE) if seed == 0 else f"student {seed}")
                    race(client, store, parse_spec({"seed": seed}, base=preset("demo").spec), student, CLASS)
                yield address, run_id
        finally:
            end_runner(home)
            store.close()


def race(client: Client, store: Store, spec: RaceSpec, person: Person, code: str | None = None) -> str:
    """Run a race to its end. Return its id."""
    run_id = client.races.submit(spec, f"picture {person.owner} {spec.digest}", person, class_code=code).run_id

    def ended() -> bool:
        run = store.runs.get(run_id)
        return run is not None and run.state in ENDED

    wait_until(ended, 900)
    return run_id


def take(browser: Browser, address: str, shot: Shot) -> None:
    cookie = {"name": COOKIE, "value": ALICE, "url": address}
    watched = Watched(browser, color_scheme=shot.scheme)
    page = watched.page
    page.context.add_cookies([cookie])
    page.set_viewport_size({"width": shot.width, "height": HEIGHT[shot.width]})
    page.goto(address + shot.path)
    page.wait_for_selector(shot.sign, timeout=30_000)
    if shot.press:
        page.locator(shot.press).click()
    time.sleep(shot.wait)
    if shot.whole:
        bottom = page.locator(".ssam-live .panels").bounding_box()
        assert bottom
        page.set_viewport_size({"width": shot.width, "height": round(bottom["y"] + bottom["height"]) + 40})
        time.sleep(1)  # the charts adapt to the new size
    page.screenshot(path=FOLDER / f"{shot.name}.png")
    print(shot.name, watched.problems or "", flush=True)
    page.context.close()


if __name__ == "__main__":
    main()
