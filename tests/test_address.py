"""A page's address as one table: read, complained of and written by the same rows, and gone back through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from app.shell.address import Field, Table, choice, number, parts
from ssam.store import Store
from tests.golden import assert_one_line_error
from tests.people import open_page

TABLE = Table(
    "page",
    "p",
    (
        choice("card", ["a", "b"], "a", always=True),
        choice("state", ["open", "shut"]),
        number("rho", 0.0, 1.0, 0.5),
        number("seed", 0, 99, 7),
        Field("lanes", parts, ",".join, []),
    ),
)
DEFAULTS: dict[str, Any] = {field.name: field.default for field in TABLE.fields}
VALUES = st.fixed_dictionaries(
    {
        "card": st.sampled_from("ab"),
        "state": st.sampled_from([None, "open", "shut"]),
        "rho": st.integers(0, 100).map(lambda part: part / 100),
        "seed": st.integers(0, 99),
        "lanes": st.lists(st.text("xyz", min_size=1), unique=True),
    }
)


@given(VALUES)
def test_what_is_written_is_read_back(values: dict[str, Any]) -> None:
    words = TABLE.words(values)
    said, problems = TABLE.parse(words)
    assert {**DEFAULTS, **said} == values
    assert problems == []
    assert set(words) == {name for name in values if name == "card" or values[name] != DEFAULTS[name]}


def test_only_what_is_given_is_written() -> None:
    assert TABLE.words({"rho": 0.1}) == {"rho": "0.1"}


@pytest.mark.parametrize(
    ("word", "text", "allowed"),
    [
        ("card", "c", ["a", "b"]),
        ("state", "", ["open", "shut"]),
        ("rho", "2", ["0", "1"]),
        ("rho", "nan", ["0", "1"]),
        ("rho", "much", ["0", "1"]),
        ("seed", "1.5", ["whole", "0", "99"]),
        ("seed", "<b>" * 99, ["whole", "0", "99"]),
        ("color", "red", ["card", "state", "rho", "seed", "lanes"]),
        ("c\n" * 99, "", ["card", "state", "rho", "seed", "lanes"]),
    ],
)
def test_a_bad_word_is_left_out_alone_and_its_line_says_what_is_allowed(
    word: str, text: str, allowed: list[str]
) -> None:
    values, (problem,) = TABLE.parse({"lanes": "x,y", word: text, **({"card": "b"} if word != "card" else {})})
    assert values == {"lanes": ["x", "y"]} | ({"card": "b"} if word != "card" else {})
    assert_one_line_error(problem, allowed)


# In the pages: the browser's back and forward


def address_of(app: AppTest) -> dict[str, str]:
    return {name: "".join(value) for name, value in app.query_params.items()}


def go_to(app: AppTest, address: dict[str, str]) -> None:
    """As the browser's back and forward do."""
    app.query_params.clear()
    app.query_params.update(address)
    app.run()
    assert not app.exception


def back_and_forward(app: AppTest, key: str, value: Any) -> None:
    """Sets a control, goes back to the address before, and forward again."""
    before, first = app.session_state[key], address_of(app)
    assert before != value
    app.session_state[key] = value
    app.run()
    app.run()  # the browser has told the new address
    assert not app.exception
    second = address_of(app)
    assert second != first
    go_to(app, first)
    assert (app.session_state[key], address_of(app)) == (before, first)
    go_to(app, second)
    assert (app.session_state[key], address_of(app)) == (value, second)


def test_back_on_the_methods_page(store: Store) -> None:
    app = open_page("methods")
    app.run()
    back_and_forward(app, "methods_view", "compare")
    back_and_forward(app, "methods_method", "asam")
