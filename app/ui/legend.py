"""A legend: names with their colour and marker in a row."""

from collections.abc import Iterable, Sequence

import streamlit as st

from app.ui import theme
from ssam.experiment import RaceSpec
from ssam.methods import METHODS

CSS = """
.ssam-legend { display: flex; flex-wrap: wrap; gap: 2px 18px; color: var(--st-text-color); font-family: var(--st-font); line-height: 1.5; }
"""
SCRIPT = """
export default function ({ parentElement, data }) {
  const items = data.map(({ glyph, color, name }) => {
    const [item, mark] = [document.createElement("span"), document.createElement("span")];
    mark.textContent = glyph;
    mark.style.color = color;
    item.append(mark, ` ${name}`);
    return item;
  });
  parentElement.querySelector(".ssam-legend").replaceChildren(...items);
}
"""

_mount = st.components.v2.component(
    "ssam_legend", html='<div class="ssam-legend"></div>', css=CSS, js=SCRIPT, isolate_styles=False
)

Item = tuple[str, str, str]  # glyph, colour, name


def lanes(spec: RaceSpec, places: Sequence[int] | None = None) -> list[Item]:
    """Draw the legend of a race's lanes, or of those at ``places``."""
    every = list(zip(theme.lane_styles(spec), theme.lane_titles(spec), strict=True))
    chosen = every if places is None else [every[place] for place in places]
    return [(style.glyph, style.color, title) for style, title in chosen]


def methods(names: set[str]) -> list[Item]:
    return [
        (style.glyph, style.color, METHODS[name].title) for name, style in theme.METHOD_STYLES.items() if name in names
    ]


def draw(items: Iterable[Item], key: str) -> None:
    _mount(key=key, data=[dict(zip(("glyph", "color", "name"), item, strict=True)) for item in items])
