"""Encode numbers, pictures and lanes for the browser. ``wire.js`` decodes them; ``wire_types.d.ts`` has the types."""

import base64
import zlib
from collections.abc import Sequence
from typing import NewType, TypedDict

import numpy as np

from ssam.styles import DASHES, Style

Floats = NewType("Floats", str)
Pixels = NewType("Pixels", str)
Packed = NewType("Packed", str)


class LaneStyle(TypedDict):
    """How a lane is drawn: Plotly's names, and the same marker and dash for drawing without Plotly."""

    title: str
    color: str
    dash: str
    symbol: str
    hollow: bool
    path: str
    dashes: Sequence[int]


def lane_style(title: str, style: Style) -> LaneStyle:
    return {
        "title": title,
        "color": style.color,
        "dash": style.dash,
        "symbol": style.symbol,
        "hollow": style.hollow,
        "path": style.marker.path,
        "dashes": DASHES[style.dash].lengths,
    }


def floats(values: Sequence[float | None] | Sequence[Sequence[float]]) -> Floats:
    """Return base64 of little-endian float32, NaN for missing values."""
    return Floats(_text(np.array(values, dtype="<f4").tobytes()))


def pixels(data: bytes) -> Pixels:
    """Return base64 of one byte per cell."""
    return Pixels(_text(data))


def packed(data: bytes | np.ndarray, level: int = -1) -> Packed:
    """Return base64 of zlib's format: masks of single weights shrink to an eighth."""
    return Packed(_text(zlib.compress(data if isinstance(data, bytes) else data.tobytes(), level)))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
