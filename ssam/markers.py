"""How lanes are drawn: one table of markers and one of dashes, for Plotly, matplotlib, texts and SVG alike."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Style:
    """How a lane is drawn. ``dash`` and ``symbol`` are Plotly's names."""

    color: str
    dash: str
    symbol: str

    @property
    def marker(self) -> "Marker":
        return MARKERS[self.symbol.removesuffix("-open")]

    @property
    def hollow(self) -> bool:
        return self.symbol.endswith("-open")

    @property
    def glyph(self) -> str:
        """The character that looks like the marker."""
        return self.marker.open if self.hollow else self.marker.filled


@dataclass(frozen=True)
class Marker:
    """A marker's filled and open character, matplotlib's name of it, and its SVG path around the origin, about 1 in radius."""

    filled: str
    open: str
    matplotlib: str
    path: str


@dataclass(frozen=True)
class Dash:
    """What a dash is called in a text, matplotlib's line style, and the lengths of its strokes and gaps in pixels."""

    word: str
    matplotlib: Any
    lengths: tuple[int, ...]


# By Plotly's names; the first ones are easiest to tell apart.
MARKERS = {
    "circle": Marker("●", "○", "o", "M1 0A1 1 0 1 1 -1 0A1 1 0 1 1 1 0Z"),
    "square": Marker("■", "□", "s", "M-1 -1H1V1H-1Z"),
    "diamond": Marker("◆", "◇", "D", "M0 -1.25L1.25 0L0 1.25L-1.25 0Z"),
    "triangle-up": Marker("▲", "△", "^", "M0 -1.25L1.25 1H-1.25Z"),
    "triangle-down": Marker("▼", "▽", "v", "M0 1.25L1.25 -1H-1.25Z"),
    "pentagon": Marker("⬟", "⬠", "p", "M0 -1.15L1.09 -0.36L0.68 0.93L-0.68 0.93L-1.09 -0.36Z"),
    "star": Marker(
        "★",
        "☆",
        "*",
        "M0 -1.4L0.32 -0.44L1.33 -0.43L0.52 0.17L0.82 1.13L0 0.55L-0.82 1.13L-0.52 0.17L-1.33 -0.43L-0.32 -0.44Z",
    ),
    "x": Marker(
        "✖", "✕", "X", "M-1.1 -.5L-.5 -1.1L0 -.6L.5 -1.1L1.1 -.5L.6 0L1.1 .5L.5 1.1L0 .6L-.5 1.1L-1.1 .5L-.6 0Z"
    ),
    "cross": Marker("✚", "✛", "P", "M-.42 -1.2H.42V-.42H1.2V.42H.42V1.2H-.42V.42H-1.2V-.42H-.42Z"),
    "hexagon": Marker("⬢", "⬡", "h", "M0 -1.15L1 -0.57L1 0.57L0 1.15L-1 0.57L-1 -0.58Z"),
    "triangle-left": Marker("◀", "◁", "<", "M-1.25 0L1 -1.25V1.25Z"),
    "triangle-right": Marker("▶", "▷", ">", "M1.25 0L-1 -1.25V1.25Z"),
}
DASHES = {
    "solid": Dash("solid", "-", ()),
    "dash": Dash("dashed", "--", (7, 4)),
    "dot": Dash("dotted", ":", (2, 3)),
    "dashdot": Dash("dash-dotted", "-.", (7, 3, 2, 3)),
    "longdash": Dash("long-dashed", (0, (8, 3)), (11, 4)),
    "longdashdot": Dash("long-dash-dotted", (0, (8, 3, 1, 3)), (11, 3, 2, 3)),
    "2px,7px": Dash("sparsely dotted", (0, (1, 4)), (2, 7)),
    "4px,2px": Dash("densely dashed", (0, (3, 1)), (4, 2)),
    "7px,3px,2px,3px,2px,3px": Dash("dash-dot-dotted", (0, (5, 2, 1, 2, 1, 2)), (7, 3, 2, 3, 2, 3)),
    "16px,6px": Dash("very long-dashed", (0, (12, 4)), (16, 6)),
    "11px,3px,5px,3px": Dash("long-short-dashed", (0, (8, 2, 4, 2)), (11, 3, 5, 3)),
    "7px,9px": Dash("sparsely dashed", (0, (5, 6)), (7, 9)),
}
