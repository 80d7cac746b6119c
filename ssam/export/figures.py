"""Figures for print, by Matplotlib, which needs no browser and writes both SVG and PNG.

A column of a paper is about 90 mm wide: the letters have 8 points there. Nothing here uses pyplot, which keeps every figure open.
"""

import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssam.export.source import Source
from ssam.markers import DASHES, Style
from ssam.stats.heights import top
from ssam.styles import PHASE_COLORS, PHASE_TITLES, lane_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PRINT = (3.5, 2.5)  # inches: one column
SCREEN = (4.0, 2.7)  # inches: letters as large as a report's on a phone
DPI = 300
INK, GRID = "#16181d", "#d5d8de"
ANY_INK, ANY_GRID = "#010203", "#040506"  # placeholders for the colours of the page
AXES = {
    "epoch": "Epoch",
    "gradients": "Gradient evaluations (forward + backward passes)",
    "seconds": "Compute time of the lane, seconds",
}

_drawing = threading.Lock()  # Matplotlib's settings are global to the process


def accuracy(axes: "Axes", source: Source, against: str = "epoch") -> None:
    """Draw the test accuracy of every lane."""
    table = source.evaluations
    for name, title, style in _lanes(source):
        rows = table[(table["lane"] == name) & table["test_accuracy"].notna()]
        _line(
            axes, rows[against].to_list(), [100 * value for value in rows["test_accuracy"]], title, style, marked=True
        )
    axes.set_xlabel(AXES[against])
    if against != "seconds":
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axes.set_ylabel("Test accuracy (%)")
    axes.legend()
    lost = [name for name, status in source.statuses.items() if status == "diverged"]
    kept = table[~table["lane"].isin(lost)]["test_accuracy"].dropna()
    if lost and len(kept):  # accuracies near chance would flatten the others
        axes.set_ylim(bottom=max(0.0, 100 * kept.min() - 2))


def loss(axes: "Axes", source: Source) -> None:
    """Draw the training loss of the batches, a mean for each point; cut off if diverged lanes would flatten the others."""
    curves = []
    for lane, (_, title, style) in zip(source.window.lanes, _lanes(source), strict=True):
        known = [
            (x, y)
            for x, y in zip(lane.steps["epoch"], lane.steps["loss"], strict=True)
            if x is not None and y is not None
        ]
        _line(axes, [x for x, _ in known], [y for _, y in known], title, style, marked=False)
        curves.append(([y for _, y in known], lane.state == "diverged"))
    if (height := top(curves)) is not None:
        axes.set_ylim(bottom=0, top=height)
    axes.set_xlabel(AXES["epoch"])
    axes.set_ylabel("Training loss")
    axes.legend()


def step_time(axes: "Axes", source: Source) -> None:
    """Draw the median of each phase of every lane's step, with the step's paired ratio to SGD."""
    lanes, titles = source.window.lanes, [title for _, title, _ in _lanes(source)]
    for phase, title in PHASE_TITLES.items():
        widths = [lane.phase_ms.get(phase) or 0.0 for lane in lanes]
        left = [sum(lane.phase_ms.get(other) or 0.0 for other in _before(phase)) for lane in lanes]
        if any(widths):
            axes.barh(range(len(lanes)), widths, left=left, height=0.6, color=PHASE_COLORS[phase], label=title)
    for row, lane in enumerate(lanes):
        end = sum(lane.phase_ms.get(phase) or 0.0 for phase in PHASE_TITLES)
        if said := "not timed" if not end else f"{lane.ratio:.2f}× SGD" if lane.ratio is not None else "":
            axes.annotate(said, (end, row), (4, 0), textcoords="offset points", va="center", fontsize="small")
    axes.set_yticks(range(len(lanes)), titles)
    axes.invert_yaxis()
    axes.margins(x=0.22)
    axes.set_xlabel("Milliseconds per step, median by phase")
    axes.grid(visible=False, axis="y")
    if axes.containers:  # there is none before the first step has been timed
        axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small")


FIGURES: dict[str, Callable[["Axes", Source], None]] = {
    "accuracy": accuracy,
    "accuracy-gradients": lambda axes, source: accuracy(axes, source, "gradients"),
    "accuracy-seconds": lambda axes, source: accuracy(axes, source, "seconds"),
    "loss": loss,
    "step-time": step_time,
}


def write(source: Source, folder: Path) -> None:
    """Write each of FIGURES as ``NAME.svg``, with letters as shapes so that it looks the same everywhere, and as ``NAME.png``."""
    for name, draw in FIGURES.items():
        with _figure(PRINT, INK, GRID, "path", name) as (figure, axes):
            draw(axes, source)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            figure.savefig(folder / f"{name}.png", dpi=DPI, facecolor="white")


def inline(source: Source, name: str) -> str:
    """Return one of FIGURES as an ``<svg>`` for a page: with text, and the colours of the page (``--grid`` for lines)."""
    with _figure(SCREEN, ANY_INK, ANY_GRID, "none", name) as (figure, axes):
        FIGURES[name](axes, source)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\1{name}-", svg)  # there are several on one page
    return svg.replace(ANY_INK, "currentColor").replace(ANY_GRID, "var(--grid)")


@contextmanager
def _figure(
    size: tuple[float, float], ink: str, grid: str, letters: str, salt: str
) -> Iterator[tuple["Figure", "Axes"]]:
    import matplotlib
    from matplotlib.figure import Figure

    settings: Any = {
        "font.size": 8,
        "font.family": "DejaVu Sans",  # comes with Matplotlib
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink),
        **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
        **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width", "grid.linewidth"), 0.6),
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": grid,
        "legend.fontsize": "small",
        "legend.handlelength": 2.8,
        "svg.fonttype": letters,
        "svg.hashsalt": salt,  # the same race gives the same file
    }
    with _drawing, matplotlib.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        yield figure, figure.add_subplot()


def _lanes(source: Source) -> list[tuple[str, str, Style]]:
    """Return name, title and style of each lane; the title says if it diverged."""
    names = source.spec.lane_names
    titles = [
        f"{title} (diverged)" if source.statuses[name] == "diverged" else title
        for name, title in zip(names, source.lane_titles, strict=True)
    ]
    return list(zip(names, titles, lane_styles(source.spec), strict=True))


def _line(axes: "Axes", x: list[float], y: list[float], title: str, style: Style, marked: bool) -> None:
    axes.plot(
        x,
        y,
        color=style.color,
        linestyle=DASHES[style.dash].matplotlib,
        linewidth=1.2 if marked else 0.9,
        marker=style.marker.matplotlib if marked else "",
        markersize=3,
        markevery=max(1, len(x) // 12),
        markerfacecolor="none" if style.hollow else style.color,
        label=title,
    )


def _before(phase: str) -> list[str]:
    names = list(PHASE_TITLES)
    return names[: names.index(phase)]
