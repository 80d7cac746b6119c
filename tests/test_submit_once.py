"""A button that submits once: what is asked for keeps its id until it has worked, and what stands against it is one line."""

from types import SimpleNamespace
from typing import Any

import pytest

from app.ui import submit_once as module
from app.ui.submit_once import submit_once


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(module, "st", SimpleNamespace(session_state=kept))
    return kept


def press(error: Exception | None = None) -> str:
    with submit_once("page", failed="Not measured") as request:
        if error:
            raise error
    return request


def test_each_wish_that_worked_is_another_one(state: dict[str, Any]) -> None:
    assert press() != press()
    assert state["page_notice"] == ""


@pytest.mark.parametrize("kind", [ValueError, PermissionError, RuntimeError])
def test_a_wish_that_failed_keeps_its_id_and_says_why(state: dict[str, Any], kind: type[Exception]) -> None:
    first = press(kind("the queue is full"))
    assert "queue is full" in state["page_notice"]
    assert press() == first
    assert state["page_notice"] == ""


def test_a_fault_of_the_program_is_not_hidden(state: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        press(KeyError("name"))
