"""What the tests of the app's pages share, the browser, and the databases."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from playwright.sync_api import Browser

from ssam.jobs.client import Client
from ssam.store import Store
from tests.browser import app_server, chromium, end_runner
from tests.postgres import database_url, new_database, postgres  # noqa: F401  fixtures


@pytest.fixture(autouse=True)
def process() -> Iterator[None]:
    """Leaves this process to the next test as it was. Streamlit leaves the page that it ran last as ``__main__``, which a spawned process
    would run again; a race process gives itself a device, by which a runner would go."""
    main, device = sys.modules["__main__"], os.environ.get("SSAM_DEVICE")
    yield
    sys.modules["__main__"] = main
    assert os.environ.get("SSAM_DEVICE") == device


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of its own for the app; no runner is started, so that races stay queued."""
    monkeypatch.setenv("SSAM_HOME", str(tmp_path))
    monkeypatch.delenv("SSAM_DATABASE_URL", raising=False)
    monkeypatch.setattr(Client, "ensure_runner", lambda self: None)
    st.cache_resource.clear()
    store = Store(tmp_path)
    yield store
    store.close()
    st.cache_resource.clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def new_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a home folder in which nothing has been yet; its address."""
    home = tmp_path_factory.mktemp("home")
    try:
        with app_server(home) as address:
            yield address
    finally:
        end_runner(home)
