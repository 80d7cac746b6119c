"""The training images as tiles in the browser, one panel a lane, played over the evaluations without a request per frame."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypedDict

import numpy as np
import streamlit as st

from app.images import data, ranking
from app.images.data import Lane, Shown
from app.ui import component, wire
from ssam.store.predictions import Thumbnails

KEY = "images_tiles"

_mount = component.register("images/tiles")


class TileLane(wire.LaneStyle):
    """A lane's predictions, (T, n) int16 and packed, −1 for none yet. ``which`` is the evaluation in use at each of the ``epochs``,
    −1 before the first. ``hits`` and ``resisted`` count the predictions, of all images in question, that are the given and the true label,
    at each evaluation; ``since`` is the epoch from which on each tile's prediction is the given label, None if not at the end."""

    name: str
    which: Sequence[int]
    predictions: wire.Packed
    hits: Sequence[int]
    resisted: Sequence[int]
    since: Sequence[float | None]


class Tiles(TypedDict):
    """What is played. ``pictures`` are (n, side, side, channels) bytes, packed; ``given`` and ``true`` the labels of the n tiles, as places
    in ``classes``, and ``rows`` their places in the data set. ``total`` is the number of images that are counted. The tiles begin at the
    epoch ``start``, None for the last one."""

    run: str
    noisy: bool
    epochs: Sequence[float]
    start: float | None
    classes: Sequence[str]
    side: int
    channels: int
    pictures: wire.Packed
    rows: Sequence[int]
    given: Sequence[int]
    true: Sequence[int]
    total: int
    lanes: Sequence[TileLane]


def payload(shown: Shown, lanes: Sequence[Lane], order: str, start: float | None) -> Tiles:
    """Return what the browser plays for these lanes. Raise ValueError for a race without pictures."""
    if shown.pictures is None:
        raise ValueError(f"run {shown.key!r} has no pictures")
    images, tiles = shown.images, ranking.chosen(shown, lanes, order)
    side, channels = shown.pictures.train.shape[2:]
    counted = images.changed if shown.noisy else np.ones(len(images.given), bool)
    epochs = data.moments(lanes)
    return {
        "run": shown.key,
        "noisy": shown.noisy,
        "epochs": epochs,
        "start": start,
        "classes": list(shown.classes),
        "side": side,
        "channels": channels,
        "pictures": packed_pictures(shown.pictures, tuple(tiles.tolist())),
        "rows": images.train_rows[tiles].tolist(),
        "given": images.given[tiles].tolist(),
        "true": images.true[tiles].tolist(),
        "total": int(counted.sum()),
        "lanes": [_lane(shown, lane, tiles, counted, epochs) for lane in lanes],
    }


@lru_cache(maxsize=16)
def packed_pictures(pictures: Thumbnails, positions: tuple[int, ...]) -> wire.Packed:
    """Compress pictures of training images, once: it takes longer than all else here."""
    return wire.packed(pictures.train[np.searchsorted(pictures.shown, np.array(positions, int))])


def _lane(shown: Shown, lane: Lane, tiles: np.ndarray, counted: np.ndarray, epochs: Sequence[float]) -> TileLane:
    train, images = lane.found.train, shown.images
    places = (data.at(lane, epoch) for epoch in epochs)
    since = ranking.since_epochs(shown, lane)[tiles]
    return {
        "name": lane.name,
        **wire.lane_style(lane.title, lane.style),
        "which": [-1 if place is None else place for place in places],
        "predictions": wire.packed(np.ascontiguousarray(train[:, tiles], "<i2")),
        "hits": (train == images.given)[:, counted].sum(axis=1).tolist(),
        "resisted": ((train == images.true) & images.changed)[:, counted].sum(axis=1).tolist(),
        "since": [float(epoch) if np.isfinite(epoch) else None for epoch in since],
    }


def draw(tiles: Tiles, seen: Callable[[], None]) -> None:
    """Draw the tiles. ``seen`` is called when the reader has stopped at an epoch; ``view`` then returns it."""
    _mount(KEY, tiles, on_view_change=seen)


def view() -> dict[str, Any]:
    """Return where the reader last stopped in the browser: ``run``, ``epoch`` (None: the last)."""
    return st.session_state.get(KEY, {}).get("view") or {}
