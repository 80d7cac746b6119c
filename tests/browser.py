"""A real browser on a real server: helpers for the tests marked ``browser``."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, TimeoutError, expect, sync_playwright

from ssam.jobs import processes
from ssam.jobs.hardware import write_json
from ssam.jobs.runner_process import runner_file
from tests.leftovers import end_runner as end_runner
from tests.patience import SECONDS
from tests.patience import wait_until as wait_until

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LIVE = '[data-testid="live-race"]'
PATIENCE = 1000 * SECONDS  # in milliseconds, as Playwright counts
expect.set_options(timeout=PATIENCE)


@contextmanager
def chromium() -> Iterator[Browser]:
    """``CHROMIUM``, else the first of NAMES on the path, else Playwright's own."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=as_root)
        yield browser
        browser.close()


@contextmanager
def app_server(home: Path, races: bool = True, **settings: str) -> Iterator[str]:
    """The app on a free port of this machine, with ``home`` as its home folder; gives the address. Its database is SQLite unless
    the settings name another. Without ``races`` no runner comes up, nor the torch that it imports."""
    if not races:
        me = os.getpid()
        write_json(runner_file(home), {"pid": me, "started": processes.start_time(me), "since": time.time()})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if name != "SSAM_DATABASE_URL"}
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app/main.py", f"--server.port={port}"],
            cwd=ROOT,
            env={**environment, "MALLOC_ARENA_MAX": "2", "SSAM_HOME": str(home), **settings},  # as in the Makefile
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: answers(f"{address}/_stcore/health") or server.poll() is not None)
        assert server.poll() is None, (home / "server.log").read_text()
        yield address
    finally:
        server.terminate()
        server.wait(SECONDS)
        if not races:
            runner_file(home).unlink()  # before anybody ends the runner that it names


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def at_rest(page: Page) -> None:
    """Waits until the page's script has ended: a key pressed before may go to an element that is replaced."""
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def start_race(page: Page) -> None:
    """Presses Start until a race is shown: a press is lost where a busy machine breaks the connection just then. Two start one race."""
    for _ in range(5):
        at_rest(page)
        page.locator(".st-key-start_race button").click()
        with suppress(TimeoutError):
            page.wait_for_url(lambda url: "run=" in url, timeout=PATIENCE / 5)
            return
    raise AssertionError(f"no race after five presses: {page.url}")


def click_in_popover(page: Page, key: str, inside: Locator) -> None:
    """Clicks what an open popover holds. It follows its button: where the page grew above, both have left the window, and
    Playwright scrolls to the button only when told."""
    for _ in range(5):
        with suppress(TimeoutError):
            inside.click(timeout=PATIENCE / 5)
            return
        page.locator(f".st-key-{key} button").first.scroll_into_view_if_needed()
    raise AssertionError(f"the popover {key} stays outside the window")


class Watched:
    """A page that notes where it went for data and what went wrong in it."""

    def __init__(self, browser: Browser, **context: object) -> None:
        self.page: Page = browser.new_context(viewport={"width": 1280, "height": 900}, **context).new_page()
        self.page.set_default_timeout(PATIENCE)
        self.hosts: set[str] = set()
        self.problems: list[str] = []
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda socket: self._note(socket.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._said)

    def _said(self, message: ConsoleMessage) -> None:
        """Keep an error, but for a connection that timed out on a busy machine: the browser connects again."""
        if message.type == "error" and "disconnected from server" not in message.text:
            self.problems.append(message.text)

    def _note(self, address: str) -> None:
        kind, _, rest = address.partition(":")
        if kind not in ("data", "blob"):
            self.hosts.add(rest.strip("/").split("/")[0])

    def live(self, name: str) -> str:
        return self.page.locator(LIVE).get_attribute(f"data-{name}") or ""

    def points(self) -> int:
        return int(self.live("points") or 0)

    def wait(self, script: str, argument: object = None, seconds: float = SECONDS) -> None:
        """Waits until the JavaScript expression is true; ``live`` is the live panel, which is waited for as well."""
        whole = f"(argument) => {{ const live = document.querySelector('{LIVE}'); return live && ({script}); }}"
        self.page.wait_for_function(whole, arg=argument, timeout=1000 * seconds)
