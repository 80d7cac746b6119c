"""The view Test images: confusion matrices, accuracy by class, calibration, and where two lanes differ, at one epoch."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import streamlit as st

from app.images import charts, courses, gallery, query, tables, text, view
from app.images.courses import Tested
from app.images.data import Lane, Shown
from app.ui import legend, plot
from app.ui.chart_grid import grid
from app.ui.texts import plain

ROWS = 12  # confusions in a lane's table
WIDE = 2  # matrices side by side
MOST_CLASSES = 100  # of a matrix that is drawn
CELL = ("images_cell_lane", "images_cell_true", "images_cell_prediction")
FEW = 24  # images that only one of two lanes predicts correctly, at most
PAIR = ("images_pair_first", "images_pair_second")


def predictions(shown: Shown, lanes: Sequence[Lane]) -> None:
    """Draw the view of these lanes."""
    found = courses.tested(shown, lanes, query.choose_epoch(lanes))
    legend.draw(legend.lanes(shown.spec, [each.lane.place for each in found]), "images_legend")
    _matrices(shown, found)
    if why := view.without_pictures(shown):
        st.info(why)
    else:
        _cell(shown, found)
    words = text.tested(shown, found)
    grid([charts.by_class(shown, found), charts.reliability(shown, found)], "images_test", words, row=2)
    st.caption(text.errors(found))
    if len(found) > 1:
        _pair(shown, found)
    view.words_in_full(words)
    view.files(shown, {"CSV": ("test", partial(tables.test_csv, shown, found))})


def _matrices(shown: Shown, found: Sequence[Tested]) -> None:
    with st.container(key="images_matrices"):
        if len(shown.classes) > MOST_CLASSES:
            st.caption(f"The matrices are not drawn for more than {MOST_CLASSES} classes.")
        for begin in range(0, len(found) if len(shown.classes) <= MOST_CLASSES else 0, WIDE):
            columns = st.columns(min(WIDE, len(found)))
            for column, each in zip(columns, found[begin : begin + WIDE], strict=False):
                with column:
                    _matrix(shown, each)
        with st.expander("As tables", key="images_confusion_tables"):
            for each in found:
                _most_confused(shown, each)


def _matrix(shown: Shown, each: Tested) -> None:
    figure, place = charts.confusion(shown, each), each.lane.place
    words = f"Confusion matrix. {text.matrix(shown, each)}"
    with st.container(key=f"images_matrix_{place}"):
        plot.draw(
            figure, f"images_confusion_{place}", words, f"confusion-{place}", plot.NO_BUTTONS, on_point=_choose_cell
        )


def _most_confused(shown: Shown, each: Tested) -> None:
    st.caption(f"{plain(each.lane.title)}: most frequent confusions")
    rows = [
        {"True class": plain(shown.classes[true]), "Prediction": plain(shown.classes[prediction]), "Images": count}
        for true, prediction, count in each.confusions()[:ROWS]
    ]
    if rows:
        st.table(rows, border="horizontal", hide_index=True)
    else:
        st.markdown("None.")


# The images of one cell


def _choose_cell(point: str) -> None:
    """A cell was clicked."""
    for key, number in zip(CELL, point.split("/"), strict=True):
        st.session_state[key] = int(number)


def _cell(shown: Shown, found: Sequence[Tested]) -> None:
    known, state = {each.lane.place: each for each in found}, st.session_state
    if state.get(CELL[0]) not in known or max(state[CELL[1]], state[CELL[2]]) >= len(shown.classes):
        first = found[0]
        most = [*first.confusions(), (0, 0, 0)][0]
        state[CELL[0]], state[CELL[1]], state[CELL[2]] = first.lane.place, most[0], most[1]
    classes = list(range(len(shown.classes)))
    with st.container(key="images_cell", horizontal=True, vertical_alignment="bottom", gap="small"):
        place = _select("Lane", list(known), CELL[0], lambda place: known[place].lane.title)
        true = _select("True class", classes, CELL[1], lambda number: shown.classes[number])
        prediction = _select("Prediction", classes, CELL[2], lambda number: shown.classes[number])
    each = known[place]
    images = each.cell(shown.images.test_labels, true, prediction)
    title = f"{each.lane.title}: {shown.classes[true]} predicted as {shown.classes[prediction]}, {_some(images, gallery.MOST)}"
    lines = [gallery.line(shown, each.lane, each.at, image) for image in images[: gallery.MOST]]
    gallery.draw("images_gallery_cell", title, shown, images, lines)


def _select(label: str, options: Sequence[int], key: str, title: Callable[[int], str]) -> int:
    return int(st.selectbox(label, list(options), key=key, format_func=title, width=220, persist_state="session"))


def _some(images: np.ndarray, most: int) -> str:
    """Say how many images there are, and which of them are shown."""
    every = f"{len(images):,} image{'s' * (len(images) != 1)}"
    return every if len(images) <= most else f"{every}, the {most} with the highest confidence"


# Two lanes


def _pair(shown: Shown, found: Sequence[Tested]) -> None:
    known, state = {each.lane.place: each for each in found}, st.session_state
    for key, usual in zip(PAIR, list(known), strict=False):
        if state.get(key) not in known:
            state[key] = usual
    st.markdown("#### Where two lanes differ")
    with st.container(key="images_pair", horizontal=True, vertical_alignment="bottom", gap="small"):
        one, other = (
            known[_select(label, list(known), key, lambda place: known[place].lane.title)]
            for label, key in zip(("First lane", "Second lane"), PAIR, strict=True)
        )
    pair, a, b = courses.pair(one, other), one.lane.title, other.lane.title
    counts = {
        "Both correct": len(pair.both),
        f"Only {a}": len(pair.first),
        f"Only {b}": len(pair.second),
        "Both wrong": len(pair.neither),
    }
    st.table([{name: f"{count:,}" for name, count in counts.items()}], border="horizontal", hide_index=True)
    if shown.pictures is None or one is other:
        return
    for key, images, right in (("first", pair.first, a), ("second", pair.second, b)):
        lines = [
            "\n".join(f"{each.lane.title}: {gallery.line(shown, each.lane, each.at, image)}" for each in (one, other))
            for image in images[:FEW]
        ]
        gallery.draw(f"images_gallery_{key}", f"Only {right} correct, {_some(images, FEW)}", shown, images[:FEW], lines)
