"""Marks and choice of the tests, what a failing one leaves to read, and what many share: the store, the browser, the databases."""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from ssam.store import Store
from tests.golden import Golden
from tests.marks import NEEDS, marks_of
from tests.postgres import database_url, new_database, postgres  # noqa: F401  fixtures

if TYPE_CHECKING:  # what only some tests need is imported where they ask for it
    from playwright.sync_api import Browser

# Hypothesis looks at the clock, and a busy machine is no fault of what is tested.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")
LOG_TAIL = 3000  # characters of a log that a failing test shows


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help=f"leave out {', '.join(NEEDS)} and slow tests")
    parser.addoption("--update-golden", action="store_true", help="keep what the pages say now in tests/golden/")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if config.getoption("quick") and collection_path.match("test_*.py") and marks_of(collection_path):
        return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for mark in marks_of(item.path):
            item.add_marker(mark)
    items.sort(key=lambda item: -len(marks_of(item.path)))  # what needs most takes longest: no worker begins it last
    if config.getoption("quick"):
        left_out = [item for item in items if any(map(item.get_closest_marker, (*NEEDS, "slow")))]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported so far stays. ``SAM`` looks for its model among all Python objects, a third of a second with every test
    file's libraries imported; from here on it sees the tests' own only."""
    gc.collect()
    gc.freeze()


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any], report: pytest.TestReport | pytest.CollectReport
) -> None:
    """A failing test shows a picture of each page that is open, and the end of the logs of the runners and servers it used."""
    if isinstance(node, pytest.Function):
        report.sections += [*pictures(node.funcargs), *logs(node.funcargs)]


def pictures(used: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Of each open page its address, and where its picture is."""
    shown = {used["browser"]} if "browser" in used else set()
    shown |= {value.page.context.browser for value in used.values() if hasattr(value, "page")}
    pages = [page for browser in shown for context in browser.contexts for page in context.pages]
    folder = Path(tempfile.mkdtemp(prefix="ssam-failed-")) if pages else Path()
    for number, page in enumerate(pages):
        with suppress(Exception):  # a page that has crashed has no picture
            page.screenshot(path=folder / f"{number}.png", timeout=10_000)
            yield page.url, str(folder / f"{number}.png")


def logs(used: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The logs in the home folders of the fixtures."""
    found = [
        getattr(getattr(value, "store", value), "home", value) for name, value in used.items() if name != "request"
    ]
    for home in {home for home in found if isinstance(home, Path)}:
        for log in sorted(home.glob("*.log")):
            yield str(log), log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]


@pytest.fixture(scope="session", autouse=True)
def isolated_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point SSAM_HOME at an empty folder, so that no test reads the lab of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSAM_HOME", str(tmp_path_factory.mktemp("isolated-home")))
        patch.delenv("SSAM_DATABASE_URL", raising=False)
        yield


@pytest.fixture(autouse=True)
def process() -> Iterator[None]:
    """Leaves this process to the next test as it was. Streamlit leaves the page that it ran last as ``__main__``, which a spawned process
    would run again; a race process gives itself a device, by which a runner would go."""
    main, device = sys.modules["__main__"], os.environ.get("SSAM_DEVICE")
    yield
    sys.modules["__main__"] = main
    assert os.environ.get("SSAM_DEVICE") == device


@pytest.fixture(scope="session")
def installed_components() -> Iterator[None]:
    """Streamlit reads what all installed packages say of themselves for each new app: half the time of a page. Here that is done once."""
    from streamlit.components.v2 import manifest_scanner

    found = manifest_scanner.scan_component_manifests()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", lambda: list(found))
        yield


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("page"):
        request.getfixturevalue("installed_components")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.config.getoption("update_golden"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of its own for the app; no runner is started, so that races stay queued."""
    import streamlit

    monkeypatch.setenv("SSAM_HOME", str(tmp_path))
    monkeypatch.delenv("SSAM_DATABASE_URL", raising=False)
    monkeypatch.setattr("ssam.jobs.runner_process.RunnerProcess.ensure", lambda self: None)
    streamlit.cache_resource.clear()
    store = Store(tmp_path)
    yield store
    store.close()
    streamlit.cache_resource.clear()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One for all tests of a file; each opens what it needs in it."""
    from tests.browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def closed_contexts(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test has opened in the browser is closed with it."""
    browser: Browser | None = request.getfixturevalue("browser") if "browser" in request.fixturenames else None
    before = set(browser.contexts) if browser else set()
    yield
    for context in set(browser.contexts) - before if browser else ():
        context.close()


@pytest.fixture(scope="module")
def new_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a home folder in which nothing has been yet, without a runner; its address."""
    from tests.browser import app_server

    with app_server(tmp_path_factory.mktemp("home"), races=False) as address:
        yield address


@pytest.fixture(scope="module")
def racing_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same with a runner, which trains what is started."""
    from tests.browser import app_server, end_runner

    home = tmp_path_factory.mktemp("home")
    try:
        with app_server(home) as address:
            yield address
    finally:
        end_runner(home)
