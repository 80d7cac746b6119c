"""The masks in the browser: the network as layers, and one layer's masks, played without a request per frame."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import streamlit as st

from app.masks import data as masks_data
from app.masks import overlap
from app.masks.data import Lane, Often, Source
from app.ui import component, wire
from ssam.store import Window

KEY = "masks_panel"
OFTEN = 128  # cells per side of the picture of selection frequency, at most

_mount = component.register("masks/masks")


def network(source: Source, window: Window, shown: Sequence[Lane], layer: str, epoch: float | None) -> dict[str, Any]:
    """Return what is played: for every lane the density of each layer and the pictures of one layer, refresh by refresh."""
    epochs = masks_data.moments(shown)
    sizes = masks_data.sizes(window.layers)
    shares = [overlap.spread(size, sum(sizes)) for size in sizes]
    return {
        "run": window.run_id,
        "kind": "network",
        "epochs": epochs,
        "epoch": epoch,
        "layer": layer,
        "layers": [
            {**known, "size": size, "spread": share}
            for known, size, share in zip(window.layers, sizes, shares, strict=True)
        ],
        "lanes": [{**_lane(lane), **_played(source, window, lane, layer, epochs)} for lane in shown],
    }


def often(run_id: str, layer: str, found: Sequence[Often]) -> dict[str, Any]:
    """Return one picture per lane: how often each weight of the layer was perturbed."""
    lanes = []
    for one in found:
        counts = one.counts
        matrix = counts.reshape(counts.shape[0] if counts.ndim > 1 else 1, -1) / one.masks
        picture = np.round(255 * overlap.pooled(matrix, OFTEN)).astype(np.uint8)
        words = f"never {_percent(one.shares[0])} · always {_percent(one.shares[-1])}"
        lanes.append(
            {
                **_lane(one.lane),
                "rows": picture.shape[0],
                "columns": picture.shape[1],
                "pictures": wire.packed(picture),
                "words": [words, f"{one.masks} mask{'s' * (one.masks != 1)}"],
            }
        )
    return {"run": run_id, "kind": "often", "layer": layer, "lanes": lanes}


def draw(data: dict[str, Any], seen: Callable[[], None]) -> None:
    """Draw the masks. ``seen`` is called when the reader has chosen a layer or stopped at an epoch; ``view`` then returns it."""
    _mount(KEY, data, on_view_change=seen)


def view() -> dict[str, Any]:
    """Return what the reader last chose in the browser: ``run``, ``layer``, ``epoch`` (None: the latest)."""
    return st.session_state.get(KEY, {}).get("view") or {}


def _lane(lane: Lane) -> dict[str, Any]:
    return {"name": lane.name, **wire.lane_style(lane.title, lane.style)}


def _played(source: Source, window: Window, lane: Lane, layer: str, epochs: Sequence[float]) -> dict[str, Any]:
    some, names = lane.some, [known["name"] for known in window.layers]
    pictures = [masks_data.picture(source, window.run_id, lane.name, layer, refresh.step) for refresh in some]
    shape = next((picture.shape for picture in pictures if picture), (1, 1))
    blank = bytes(shape[0] * shape[1])
    densities = [[refresh.densities.get(name, 0.0) for name in names] for refresh in some]
    places = (masks_data.at(lane, epoch) for epoch in epochs)
    return {
        "which": [-1 if place is None else place for place in places],
        "density": [refresh.density for refresh in some],
        "changed": [refresh.changed for refresh in some],
        "overlap": [refresh.overlap for refresh in some],
        "densities": wire.floats(densities),
        "rows": shape[0],
        "columns": shape[1],
        "kept": [picture is not None for picture in pictures],
        "pictures": wire.packed(b"".join(picture.pixels if picture else blank for picture in pictures)),
    }


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share == 0 or share >= 0.005 else "under 1%"
