"""Links from the live panel to the pages that look inside a race, at an epoch of a lane."""

from typing import Any

import streamlit as st

from app.ui import component, live_panel, recorded
from app.ui.lab import Lab
from app.ui.live_types import Inside
from ssam.store import Run
from ssam.store.views import ENDED

PLACES = ("anatomy", "flatness", "masks", "images")  # pages


def of_run(lab: Lab, run: Run) -> Inside | None:
    """Return what the pages have of a race; None until it has ended."""
    if run.state not in ENDED:
        return None
    return {
        "base": component.base(),
        "weights": lab.client.analyses.kept_epochs(run),
        "latest": run.state == "finished" and run.checkpointed is not None,
        "images": lab.store.predictions.has(run.id),
    }


def of_recording(name: str) -> Inside:
    """Return what the pages have of a recorded race: no weights."""
    images = recorded.read(name).predictions is not None
    return {"base": component.base(), "weights": [], "latest": False, "images": images}


def opened() -> tuple[str, dict[str, str]] | None:
    """Return the page and the address of the link that was just clicked."""
    state: dict[str, Any] = st.session_state.get(live_panel.KEY) or {}
    place = state.get("open")
    if not isinstance(place, dict) or place.get("page") not in PLACES or not isinstance(place.get("address"), dict):
        return None
    return place["page"], {str(word): str(said) for word, said in place["address"].items()}
