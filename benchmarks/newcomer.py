"""A newcomer's path from the first visit to a result: ``python -m benchmarks.newcomer``.

In a real browser, with a separate home folder: SSAM-F at 80% sparsity with the package's default rho, on the race that the app opens
with; a sweep over rho as the form offers it; the best setting on fresh seeds, next to the rho of the starting point. Then its race is
opened, its report and script are exported, and the script is run. Recorded are the seconds until each of these, the page's text on the
fresh seeds, and whether the script reproduced the race's numbers bit for bit.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from benchmarks.machine import machine
from ssam.experiment import ASSETS, RaceSpec
from ssam.store import Store
from tests.browser import ROOT, Watched, app_server, chromium, end_runner

FILE = ASSETS / "measured" / "newcomer.json"
SEEDS = 3
LONGEST = 3_600_000  # maximum time for races, in milliseconds


def main() -> None:
    record: dict = {"command": "python -m benchmarks.newcomer", **machine()}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = Path(folder)
        try:
            with app_server(home) as address:
                record |= walk(browser, address, home)
        finally:
            end_runner(home)
    FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


def walk(browser: Browser, address: str, home: Path) -> dict:
    page = Watched(browser).page
    begun, seconds = time.perf_counter(), {}

    def reached(name: str) -> None:
        seconds[name] = round(time.perf_counter() - begun, 1)

    page.goto(address)
    page.locator(".st-key-start_race button").wait_for()
    reached("open")
    page.get_by_text("Settings for each method", exact=True).first.click()
    fill(page, "SSAM-F sparsity", "0.8")
    fill(page, "SSAM-F rho", f"{RaceSpec().rho:g}")
    page.get_by_role("link", name="Sweeps", exact=True).first.click()
    page.get_by_role("combobox", name="How").click()
    page.get_by_role("option", name=re.compile("Grid")).click()
    page.get_by_role("button", name="Remove Sparsity").or_(
        page.locator(".st-key-sweep_fields [data-baseweb=tag]", has_text="Sparsity").locator("[role=presentation]")
    ).first.click()
    settle(page)
    page.get_by_role("button", name="Start sweep").click()
    reached("sweep started")
    page.get_by_text("Finished", exact=True).wait_for(timeout=LONGEST)
    reached("sweep finished")
    fill(page, "Fresh seeds", str(SEEDS))
    page.get_by_role("button", name="Confirm the best").click()
    told = page.get_by_test_id("stAlert").filter(has_text="95 % interval")
    told.wait_for(timeout=LONGEST)
    reached("verdict")
    said = told.locator("p").first.inner_text()
    page.get_by_role("link", name="Open its race").click()
    files = taken(page, home)
    reached("report and script")
    race = page.url.partition("run=")[2].partition("&")[0]
    same = repeated(home, race, files)
    reached("script run")
    return {"seconds": seconds, "said": said, "files": files, "to the bit": same}


def fill(page: Page, label: str, value: str) -> None:
    box = page.get_by_role("spinbutton", name=label)
    box.fill(value)
    box.press("Enter")
    settle(page)


def settle(page: Page) -> None:
    """Wait until the server has answered."""
    page.wait_for_timeout(500)
    page.wait_for_selector('[data-testid=stApp][data-test-script-state="notRunning"]')


def taken(page: Page, home: Path) -> list[str]:
    """Export the report and code of the shown race as one zip. Return the names of its files."""
    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Code", exact=True).click()
    settle(page)
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    download.value.save_as(home / "taken.zip")
    with zipfile.ZipFile(home / "taken.zip") as archive:
        archive.extractall(home / "taken")
        return archive.namelist()


def repeated(home: Path, race: str, files: list[str]) -> bool:
    """Return whether the script reproduces the loss and the accuracy of the race."""
    (script,) = (name for name in files if name.endswith(".py"))
    environment = os.environ | {"SSAM_HOME": str(home), "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, str(home / "taken" / script)], env=environment, check=True, capture_output=True, text=True
    ).stdout.splitlines()[-1]
    run = Store(home).runs.get(race)
    assert run is not None
    assert run.result is not None
    (lane,) = run.result["lanes"]
    return f"test loss {lane['test_loss']}, accuracy {lane['test_accuracy']}," in told


if __name__ == "__main__":
    main()
