"""The list in the browser: a line for each race, with a checkbox and small accuracy curves."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from app.ui import component, recorded, run_labels, texts, theme
from ssam.experiment import preset
from ssam.store import Person
from ssam.store.annotations import Labels
from ssam.store.search import RunRow
from ssam.store.views import AccuracyCurve, LaneWindow

KEY = "runs_list"
WIDTH, HEIGHT, EDGE = 120, 38, 3  # size of the small curves
POINTS = 40  # points of a curve, at most
EXCERPT = 140  # characters of a note

_mount = component.register("runs/runs")


def draw(rows: list[dict[str, Any]], chosen: list[str], turn: int, ticked: Callable[[], None]) -> None:
    """Draw the list. ``ticked`` is called when boxes have changed; ``boxes`` then returns the selection, ``opened`` the clicked race."""
    data = {"base": component.base(), "rows": rows, "chosen": chosen, "turn": turn}
    _mount(KEY, data, on_chosen_change=ticked, on_open_change=lambda: None)


def boxes() -> list[str]:
    """Return the ids of the selected races on this page."""
    return list((st.session_state.get(KEY) or {}).get("chosen") or [])


def opened() -> str | None:
    """Return the race whose name was just clicked."""
    return (st.session_state.get(KEY) or {}).get("open")


def row(listed: RunRow, person: Person) -> dict[str, Any]:
    """Return the content of a line."""
    run, written = listed.run, listed.labels
    described = _unescaped(run_labels.describe(run.spec))
    lanes = list(zip(theme.lane_titles(run.spec), theme.lane_styles(run.spec), strict=True))
    courses = listed.courses if len(listed.courses) == len(lanes) else ()
    best = _best(listed, [title for title, _ in lanes])
    return {
        "id": run.id,
        "recorded": False,
        "title": written.name or described,
        "detail": described if written.name else "",
        "tags": list(written.tags),
        "note": written.note if len(written.note) <= EXCERPT else f"{written.note[: EXCERPT - 1]}…",
        "lanes": ", ".join(title for title, _ in lanes),
        "state": run.state,
        "says": " · ".join(_says(listed, person)),
        "best": best,
        "curves": curves(courses, [style.color for _, style in lanes]),
        "words": _words(courses, [title for title, _ in lanes]),
    }


def recorded_row(name: str) -> dict[str, Any]:
    """Return the line of a recorded race: it can be opened, and that is all."""
    recording = recorded.read(name)
    run, window = recording.run, recording.window
    ends = [lane["test_accuracy"] for lane in run.result["lanes"]] if run.result else []
    courses = tuple(_course(lane, end) for lane, end in zip(window.lanes, ends, strict=True))
    best = max((end for end in ends if end is not None), default=None)
    listed = RunRow(run, Labels(preset(name).title), courses, best, sum(lane.seconds for lane in window.lanes))
    says = f"recorded on {texts.day(recording.about['date'])}, not yours"
    return row(listed, Person(run.owner)) | {"says": says, "recorded": True}


def _course(lane: LaneWindow, end: float | None) -> AccuracyCurve:
    # The evaluation of an epoch on all test images comes after that on a part of them.
    known = {row["epoch"]: row["test_accuracy"] for row in lane.epochs}
    return AccuracyCurve(lane.state, tuple(known), tuple(known.values()), end)


def _unescaped(text: str) -> str:
    """Return plain text: ``describe`` writes Markdown."""
    return text.replace("\\", "")


def _says(listed: RunRow, person: Person) -> list[str]:
    run = listed.run
    parts = [texts.STATES[run.state].lower(), run_labels.when(run)]
    if listed.seconds >= 1:
        parts.append(f"{texts.duration(listed.seconds)} trained")
    if listed.labels.deleted:
        parts.append("deleted")
    if run.owner != person.owner:
        parts.append(f"someone else's ({run.owner[:6] or 'no owner'})")
    return parts


def _best(listed: RunRow, titles: list[str]) -> list[str]:
    """Return the best final accuracy, and its lane."""
    if not listed.run.result or listed.accuracy is None:
        return []
    ends = [lane["test_accuracy"] for lane in listed.run.result["lanes"]]
    return [f"{100 * listed.accuracy:.1f}%", titles[ends.index(listed.accuracy)]]


def _words(courses: tuple[AccuracyCurve, ...], titles: list[str]) -> str:
    """Return the alternative text of the curves."""
    known = [
        (title, [value for value in course.accuracies if value is not None])
        for title, course in zip(titles, courses, strict=False)
    ]
    said = [f"{title} from {100 * all_[0]:.0f} to {100 * all_[-1]:.0f}%" for title, all_ in known if all_]
    return f"Test accuracy: {', '.join(said)}" if said else "No evaluation yet"


def curves(courses: tuple[AccuracyCurve, ...], colors: list[str]) -> list[dict[str, str]]:
    """Return each lane's test accuracy as points of a picture of WIDTH × HEIGHT; all lanes of a race share its axes, from their
    lowest to their highest value. A missing value interrupts a line."""
    values = [value for course in courses for value in course.accuracies if value is not None]
    if not values:
        return []
    low, high = min(values), max(values)
    longest = max(max(course.epochs, default=0.0) for course in courses) or 1.0
    drawn = []
    for course, color in zip(courses, colors, strict=True):
        lines: list[list[str]] = [[]]
        every = -(-len(course.epochs) // POINTS) or 1
        for place, (epoch, value) in enumerate(zip(course.epochs, course.accuracies, strict=True)):
            if value is None:
                lines.append([])
            elif place % every == 0 or place == len(course.epochs) - 1:
                x = EDGE + (WIDTH - 2 * EDGE) * epoch / longest
                y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (value - low) / ((high - low) or 1.0)
                lines[-1].append(f"{x:.1f},{y:.1f}")
        drawn += [{"points": " ".join(line), "color": color} for line in lines if line]
    return drawn
