"""One colour, dash and marker per method, the same on every page, in light and in dark.

The hues are those of Okabe and Ito (told apart with any colour vision), with a luminance that keeps a contrast of at
least 3:1 on both of the page's backgrounds; tests/test_app.py measures both.
"""

from collections import Counter
from dataclasses import dataclass, replace

from ssam.spec import METHODS, RaceSpec


@dataclass(frozen=True)
class Style:
    """How a lane is drawn. ``dash`` and ``symbol`` are Plotly's names."""

    color: str
    dash: str
    symbol: str


METHOD_STYLES = {
    "sgd": Style("#7c7f88", "dot", "circle"),
    "sam": Style("#2471e0", "solid", "square"),
    "ssam-f": Style("#d65f00", "dash", "diamond"),
    "ssam-d": Style("#00a070", "dashdot", "triangle-up"),
}

PHASE_COLORS = {
    "forward1": "#8fb4d8",
    "backward1": "#4f7fb5",
    "perturb": "#d9a520",
    "forward2": "#b9a3d9",
    "backward2": "#8262b5",
    "update": "#8b93a1",
}

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def lane_styles(spec: RaceSpec) -> list[Style]:
    """A style per lane. Lanes that share a method share its colour; dash and marker tell them apart."""
    seen: Counter[str] = Counter()
    styles = []
    for lane in spec.lanes:
        style = METHOD_STYLES[lane.method]
        if nth := seen[lane.method]:
            others = [dash for dash in DASHES if dash != style.dash]
            style = replace(style, dash=others[(nth - 1) % len(others)], symbol=f"{style.symbol}-open")
        seen[lane.method] += 1
        styles.append(style)
    return styles


def lane_titles(spec: RaceSpec) -> list[str]:
    """A title per lane: the method's, with what sets the lane apart where a method races twice."""
    counts = Counter(lane.method for lane in spec.lanes)
    titles = []
    for lane in spec.lanes:
        title = METHODS[lane.method].title
        if counts[lane.method] > 1:
            if lane.sparsity is not None:
                title += f" {lane.sparsity * 100:g} %"
            if lane.rho is not None:
                title += f" ρ {lane.rho:g}"
            words = [str(value) for name, value in lane.own_settings.items() if name not in ("sparsity", "rho")]
            title = " ".join([title, *words])
        titles.append(title)
    return titles
