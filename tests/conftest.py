"""What the tests of the app's pages share, and the databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from ssam.jobs.client import Client
from ssam.store import Store
from tests.postgres import database_url, new_database, postgres  # noqa: F401  fixtures


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
