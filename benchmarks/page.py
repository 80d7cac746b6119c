"""The response times of the page: ``python -m benchmarks.page``.

Opens the page and starts the noisy-labels race several times in a real browser, with a separate home folder, and lets the
last race finish.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.machine import machine
from ssam.experiment import ASSETS
from tests.browser import LIVE, Watched, app_server, chromium, end_runner, wait_until

START = ".st-key-start_race button"
ROUNDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = Path(folder)
        with app_server(home) as address:
            Watched(browser).page.goto(address)  # the first visit starts the runner
            wait_until((home / "machine.json").exists)
            rounds = [measure(browser, address, stop=number < ROUNDS - 1) for number in range(ROUNDS)]
        end_runner(home)
    figures = {
        name: {"median": statistics.median(values := [r[name] for r in rounds]), "worst": worst(values)}
        for name, worst in (("interactive_s", max), ("first_point_s", max), ("updates_per_s", min))
    }
    figures["race_s"] = {"one race": rounds[-1]["race_s"]}
    record = {"command": "python -m benchmarks.page", "rounds": ROUNDS, **machine(), **figures}
    (ASSETS / "measured" / "page.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


def measure(browser: Browser, address: str, stop: bool) -> dict:
    """Measure the time from opening to an enabled Start button, from the click to the first drawn point, and the panel's update rate."""
    watched = Watched(browser)
    page = watched.page
    begin = time.perf_counter()
    page.goto(address)
    page.locator(f"{START}:enabled").wait_for(timeout=60_000)
    interactive = time.perf_counter() - begin
    page.wait_for_selector('[data-testid="recorded-race"]')
    page.wait_for_function("window.Plotly !== undefined")
    time.sleep(1)  # as long as a reader would look
    clicked = time.perf_counter()
    page.locator(START).click()
    watched.wait("live?.dataset.points > 0")
    first_point = time.perf_counter() - clicked
    updates = page.evaluate(
        f"""() => new Promise((done) => {{
            const live = document.querySelector('{LIVE}');
            let seen = live.dataset.points, count = 0;
            new MutationObserver(() => {{ if (live.dataset.points !== seen) {{ seen = live.dataset.points; count++; }} }})
                .observe(live, {{ attributes: true }});
            setTimeout(() => done(count / 10), 10000);
        }})"""
    )
    if stop:
        page.locator(".st-key-stop_race button").click()
    watched.wait(f"live?.dataset.state === '{'stopped' if stop else 'finished'}'", seconds=600)
    race = None if stop else time.perf_counter() - clicked
    page.context.close()
    print(f"interactive {interactive:.2f} s, first point {first_point:.2f} s, {updates:.1f} updates/s", flush=True)
    return {
        "interactive_s": interactive,
        "first_point_s": first_point,
        "updates_per_s": updates,
        "race_s": race,
    }


if __name__ == "__main__":
    main()
