"""The view Memorisation: curves over training, and the training images as tiles."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from app.images import charts, courses, query, ranking, tables, text, tiles
from app.images.data import Lane, Shown
from app.ui import legend
from app.ui.chart_grid import grid


def memorisation(shown: Shown, lanes: Sequence[Lane]) -> None:
    """Draw the view of these lanes."""
    found = courses.courses(shown, lanes)
    words = text.courses(shown, found)
    legend.draw(legend.lanes(shown.spec, [lane.place for lane in lanes]), "images_legend")
    grid(charts.memorisation(shown, found), "images_memorisation", words)
    _images(shown, lanes)
    own = ranking.precision(shown, lanes)
    st.caption(text.own_ranking(own) if own else text.other_ranking(ranking.recorded_precision()), width=860)
    words_in_full(words)
    files(
        shown,
        {
            "CSV": ("epochs", partial(tables.epochs_csv, found)),
            "CSV by image": ("images", partial(tables.images_csv, shown, lanes)),
        },
    )


def _images(shown: Shown, lanes: Sequence[Lane]) -> None:
    if why := without_pictures(shown):
        st.info(why)
        return
    order = query.choose_order(shown, lanes)
    tiles.draw(tiles.payload(shown, lanes, order, st.session_state.get("images_start")), query.seen)


def without_pictures(shown: Shown) -> str:
    """Return why a race has no pictures; empty if it has."""
    if shown.pictures:
        return ""
    return text.PRIVATE if shown.private else text.NO_PICTURES


def words_in_full(words: str) -> None:
    with st.expander("As text", key="images_words"), st.container(width=860):
        st.markdown(words)


def files(shown: Shown, offered: dict[str, tuple[str, Callable[[], str]]]) -> None:
    """Draw a download button for each file: its label, what it is called, and what makes it."""
    with st.container(horizontal=True, gap="small", key="images_files"):
        for label, (name, made) in offered.items():
            st.download_button(
                label,
                made,
                f"{name}-{shown.key[:12]}.csv",
                "text/csv",
                key=f"images_{name}_csv",
                icon=":material/download:",
                on_click="ignore",
            )
