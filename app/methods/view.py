"""The page Methods: one card with its equation, costs, measurements and code; and all of them in one table."""

from collections.abc import Mapping, Sequence

import streamlit as st

from app.methods import index
from app.methods import table as methods_table
from app.methods import text as methods_text
from app.methods.cards import Card, citations
from app.methods.measured import Measured, of
from app.methods.source_excerpt import excerpt
from app.shell import nav, url_state
from app.shell.address import Table, choice
from app.ui import theme, tradeoff_sources
from app.ui.quoted_numbers import lengths
from ssam.experiment import LaneSpec, RaceSpec, preset
from ssam.methods import METHODS

VIEWS = {"cards": "Cards", "compare": "Compare"}
LESSON = "noisy-labels"
COLUMN, WIDE = 620, 690  # pixels: side by side where there is room


def table(cards: Mapping[str, Card]) -> Table:
    """What an address says."""
    first = next(iter(cards))
    return Table("methods", "methods", (choice("method", cards, first, always=True), choice("view", VIEWS, "cards")))


def chosen() -> None:
    """Show the card that the reader has chosen in the index."""
    st.session_state["methods_method"], st.session_state["methods_notice"] = index.choice(), ""


def race(card: Card) -> RaceSpec:
    """Return the lesson's race with SGD and this method; with SAM for the card SGD."""
    other = card.lanes[0] if METHODS[card.method].perturbs else LaneSpec(method="sam")
    return preset(LESSON).spec.model_copy(update={"lanes": (LaneSpec(method="sgd"), other)})


def draw(card: Card, found: Sequence[Measured]) -> None:
    """Draw one card: text on one side, numbers and code on the other if there is room, else below."""
    with st.container(border=True, key=f"methods_card_{card.method}"):
        st.markdown(f"### {card.title}\n\n{card.summary}")
        with st.container(horizontal=True, gap="medium"):
            with st.container(width=COLUMN, key="methods_words"):
                _words(card)
            with st.container(width=WIDE):
                _measured(card, found)
                _code(card)


def _words(card: Card) -> None:
    st.latex(card.equation)
    _links(card)
    st.table([*methods_text.facts(card), _drawn(card)], border="horizontal", hide_index=True, hide_header=True)
    for heading, text in card.sections.items():
        st.markdown(f"#### {heading}\n\n{text}")
    source = f"[{card.source}](https://arxiv.org/abs/{card.arxiv})" if card.arxiv else card.source
    st.markdown(f"#### Source\n\n{source}")
    with st.expander("BibTeX"):
        st.code(methods_text.bibtex(card, citations()), language="latex", wrap_lines=True)


def _drawn(card: Card) -> tuple[str, str]:
    style = theme.METHOD_STYLES[card.method]
    return "Plot style", f"{style.glyph} as {METHODS[card.method].title}, with a {theme.DASHES[style.dash].word} line"


def _links(card: Card) -> None:
    with st.container(horizontal=True, key="methods_links", vertical_alignment="center"):
        label = "Race it against SGD" if METHODS[card.method].perturbs else "Race it against SAM"
        if st.button(label, key="methods_race", type="primary", icon=":material/flag:"):
            nav.open_page("race", url_state.of(race(card)))
        nav.link("surface")
        nav.link("anatomy")


def _code(card: Card) -> None:
    st.markdown("#### Code")
    for number, reference in enumerate(card.code):
        part = excerpt(reference)
        with st.expander(f"`{part.name}`", expanded=number == 0):
            st.caption(f"{part.file}, lines {part.first}–{part.last}, as installed")
            st.code(part.text, language="python", wrap_lines=True)


def _measured(card: Card, found: Sequence[Measured]) -> None:
    """Draw the measurements of the lane that is raced, and on demand those of the others. Searched lanes have their own table."""
    st.markdown("#### Measured")
    sound = [one for one in found if not methods_text.is_searched(one)]
    first = methods_text.measured(card, card.lanes[:1], sound)
    others = methods_text.measured(card, card.lanes[1:], sound)
    kept = [one for one in of(card.lanes, found) if methods_text.is_searched(one)]
    searched = methods_text.measured(card, card.lanes, kept)
    if not first and not searched:
        st.markdown("Not measured.")
        return
    told = f"Measurements of {card.title}"
    if first:
        st.caption(f"Measured as lane {first[0]['Lane']}")
        methods_table.draw([_without(row, "Lane") for row in first], told, key="methods_measured")
    if others:
        with st.expander("With other settings"):
            methods_table.draw(others, f"{told}, with other settings", key="methods_others")
    if searched:
        with st.expander("Searched only", expanded=not first):
            methods_table.draw(searched, f"{told}, searched only", key="methods_searched")
    _notes(bool(searched))
    if card.method == card.name and card.method in {lane.method for lane in preset(LESSON).spec.lanes}:
        st.caption(lengths(LESSON))


def _without(row: dict[str, str], column: str) -> dict[str, str]:
    return {name: text for name, text in row.items() if name != column}


def compare(cards: Sequence[Card], found: Sequence[Measured]) -> None:
    """Draw all cards in one table."""
    rows = methods_text.compared(cards, found)
    styles = [theme.METHOD_STYLES[card.method] for card in cards]
    marks = [(style.glyph, style.color) for style in styles]
    methods_table.draw(rows, methods_text.table_summary(rows), "methods_compared", marks)
    with st.container(width=860):
        st.markdown(methods_text.COMPARE)
    searched = methods_text.only_searched(cards, found)
    if searched:
        st.markdown("#### Searched only")
        methods_table.draw(searched, "Methods that were searched only", key="methods_compared_searched")
    with st.container(width=860):
        _notes(bool(searched))


def _notes(searched: bool) -> None:
    words = [methods_text.SEARCHED] * searched
    if study := tradeoff_sources.study():
        words.append(methods_text.machine(study.facts))
    st.caption(" ".join(words))
