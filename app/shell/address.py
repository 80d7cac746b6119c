"""A page's address as one table of words: what each may be, and what holds where it is left out.

Reading, the complaint and writing follow from the table, and so do the browser's back and forward. The value of a word is in
the session state, under ``PREFIX_WORD``.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app.shell import classroom, share_link, url_state
from app.ui import texts


@dataclass(frozen=True)
class Field:
    """A word. ``parse`` raises ValueError with the name, the value and what is allowed. The default is not written unless ``always``."""

    name: str
    parse: Callable[[str], Any] = str
    to_text: Callable[[Any], str] = str
    default: Any = None
    always: bool = False


def choice(name: str, allowed: Iterable[str], default: str | None = None, always: bool = False) -> Field:
    known = tuple(allowed)

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"{name} {text[:40]!r} must be one of {', '.join(known)}")
        return text

    return Field(name, parse, str, default, always)


def number(name: str, low: float, high: float, default: float | None = None) -> Field:
    """A number from ``low`` to ``high``; a whole one where ``low`` is an int."""
    whole = isinstance(low, int)

    def parse(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"{name} {text[:40]!r} must be a {'whole ' * whole}number from {low:g} to {high:g}")
        return value

    return Field(name, parse, "{:d}".format if whole else "{:g}".format, default)


def epoch(said: str) -> float:
    """Return an epoch from 0. Raise ValueError, one line, for what is no number."""
    try:
        return min(max(float(said), 0.0), 1e9)  # NaN becomes 0
    except ValueError:
        raise ValueError(f"epoch {said[:40]!r} must be a number from 0") from None


def parts(text: str) -> list[str]:
    """What stands between commas, each once.

    >>> parts("a,,b,a")
    ['a', 'b']
    """
    return [part for part in dict.fromkeys(text.split(",")) if part]


@dataclass(frozen=True)
class Table:
    """The words of a page. ``prefix`` is that of its keys; the address of a ``shared`` page also says what belongs to the class."""

    page: str
    prefix: str
    fields: tuple[Field, ...]
    shared: bool = False

    def key(self, name: str) -> str:
        return f"{self.prefix}_{name}"

    def parse(self, words: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
        """Return what an address says, and a line about each word that is not understood and left out."""
        known = {field.name: field for field in self.fields}
        values: dict[str, Any] = {}
        problems = []
        for name, text in words.items():
            if name not in known:
                problems.append(f"{name[:40]!r} is no setting here; allowed: {', '.join(known)}")
                continue
            try:
                values[name] = known[name].parse(text)
            except ValueError as error:
                problems.append(str(error))
        return values, problems

    def words(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the address that says these values; ``parse`` reads it back."""
        said = [(field, values[field.name]) for field in self.fields if field.name in values]
        return {
            field.name: field.to_text(value)
            for field, value in said
            if value != field.default or (field.always and value is not None)
        }

    # With the browser and the session state

    def moved(self) -> bool:
        """True when the reader has come to the page, or gone to another of its addresses."""
        return url_state.moved(self.page)

    def asked(self) -> dict[str, str] | None:
        """Return the words of the browser's address; None for an empty one that leaves all as it was."""
        words = dict(st.query_params)
        words = share_link.split(words)[1] if self.shared else words
        return words if words or url_state.resets() else None

    def load_from_url(self) -> list[str]:
        """Set the state to the browser's address; return a line about each word that is not understood."""
        return self.load(self.asked())

    def load(self, asked: Mapping[str, str] | None) -> list[str]:
        """A word that is left out gets its default; one that is ``always`` there stays as it was, and so do all without an address."""
        values, problems = self.parse(asked or {})
        for field in self.fields:
            key, stays = self.key(field.name), asked is None or field.always
            if field.name in values or not stays or key not in st.session_state:
                st.session_state[key] = values.get(field.name, copy(field.default))
        return problems

    def state(self) -> dict[str, Any]:
        return {field.name: st.session_state.get(self.key(field.name), field.default) for field in self.fields}

    def push_url(self, **values: Any) -> None:
        """Put the state into the browser's address; ``values`` stand for what the state has."""
        self.put(self.words(self.state() | values))

    def put(self, words: Mapping[str, str]) -> None:
        url_state.put({**words, **(classroom.words() if self.shared else {})}, self.page)

    def complain(self, problems: Iterable[str]) -> None:
        """Keep what is wrong for ``notice``, as one line."""
        said = "; ".join(problems)
        st.session_state[self.key("notice")] = f"Address: {said}." if said else ""

    def notice(self) -> None:
        """Draw what is wrong, with the address or with what was asked for."""
        if said := st.session_state.get(self.key("notice")):
            st.warning(texts.plain(said))
