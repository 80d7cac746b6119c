"""A page's address as one table: read, complained of and written by the same rows, and gone back through."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect
from streamlit.testing.v1 import AppTest

from app.anatomy import query as anatomy_query
from app.compare import query as compare_query
from app.duel import query as duel_query
from app.flatness import query as flatness_query
from app.images import query as images_query
from app.lessons import query as lessons_query
from app.masks import query as masks_query
from app.methods import view as methods_view
from app.methods.cards import cards
from app.runs import query as runs_query
from app.shell import nav, share_link, url_state
from app.shell.address import Field, Table, choice, number, parts
from app.shell.identity import COOKIE
from app.surface import query as surface_query
from app.sweeps import query as sweeps_query
from app.ui.lesson_content import lessons
from ssam.experiment import parse_spec
from ssam.experiment.choosing import new_sweep
from ssam.store import Store
from tests import fake_masks, fake_sweep
from tests.browser import Watched, app_server, at_rest, wait_until
from tests.golden import assert_one_line_error
from tests.people import ALICE, address_of, open_page, owner

ROOT = Path(__file__).resolve().parents[1]
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


@settings(deadline=None)
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


# Addresses that people have

ADDRESSES = {  # page: addresses with all of its words, as it has written them
    "anatomy": ["run=abc&epoch=3&lane=ssam-d&layer=head.linear.weight&phase=mask", "lane=sam"],
    "compare": ["runs=abc,def&lanes=0a1b,2c&baseline=0a1b&x=gradients&smooth=3&show=train_loss&band=sd", "runs=abc"],
    "duel": [
        "duel=abc&images=mnist&model=resnet20&methods=sam,ssam-d&noise=20&size=0&trials=7&rounds=3&epochs=4"
        "&budget=epochs&margin=0.5"
    ],
    "flatness": ["run=abc&kind=better", *(f"run=abc&kind={kind}&images=64&seed=3" for kind in flatness_query.SETTINGS)],
    "images": ["run=abc&view=test&lanes=sam,sgd&epoch=2.5&sort=sgd", "run=noisy-labels&view=memorisation"],
    "lessons": ["lesson=where", "lesson=noisy-labels&step=watch&run=abc", "lesson=where&step=3"],
    "masks": ["run=abc&view=often&layer=stem.norm.weight&lanes=ssam-d,ssam-f&epoch=2.5"],
    "methods": ["method=asam", "method=sam&view=compare"],
    "runs": [
        "text=noisy+rho&sort=accuracy&show=deleted&state=finished&tag=demo",
        "dataset=cifar10&model=cnn8&method=ssam-d",
    ],
    "surface": [
        "preset=canyon",
        "surface=valleys&methods=sgd,sam&rho=0.2&lr=0.05&momentum=0.5&noise=1&noisy=all&seed=4",
        "surface=bowl&mask=y&x=1&y=-1.5&view=perspective&turn=90&pace=10&follow=sam",
    ],
    "sweeps": [
        "sweep=abc&figure=front&lane=1&vary=lane1.rho=0.1,0.2;lr=0.01..0.5:log&method=grid&pruning=median&cost=seconds",
        "lane=0&seeds=3&races=none&minutes=5.0&gradients=100",
    ],
}


def table_of(page: str, words: dict[str, str]) -> Table:
    """The table that reads an address; of Flatness that of its kind."""
    if page == "flatness":
        return flatness_query.table(words.get("kind", ""))
    if page in ("lessons", "methods"):
        return lessons_query.table(lessons()) if page == "lessons" else methods_view.table(cards())
    modules = {
        "anatomy": anatomy_query,
        "compare": compare_query,
        "duel": duel_query,
        "images": images_query,
        "masks": masks_query,
        "runs": runs_query,
    }
    return {**modules, "surface": surface_query, "sweeps": sweeps_query}[page].TABLE


@pytest.mark.parametrize(("page", "query"), [(page, query) for page in ADDRESSES for query in ADDRESSES[page]])
def test_an_address_of_before_is_understood_and_written_alike(page: str, query: str) -> None:
    words = dict(parse_qsl(query, strict_parsing=True))
    table = table_of(page, words)
    values, problems = table.parse(words)
    assert problems == []
    always = {"lesson": "where", "step": "reveal"} if words.get("step") == "3" else words
    assert table.words(values) == always


@pytest.mark.parametrize("page", ADDRESSES)
def test_these_addresses_have_all_words_of_the_page(page: str) -> None:
    asked = [dict(parse_qsl(query)) for query in ADDRESSES[page]]
    known = {field.name for words in asked for field in table_of(page, words).fields}
    optional = {"plane", "points", "span", "directions", "rho", "batchnorm", "epochs"} if page == "flatness" else set()
    said = {name for words in asked for name in words}
    assert known - optional <= said | {"preset"}


def documented() -> list[tuple[str, str]]:
    """The pages and addresses that the texts name."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    names = "|".join(name for name in nav.PAGES if name != "race")
    return sorted(
        {found for text in texts for found in re.findall(rf"/({names}|)\?([\w.,:;=&%+-]+=[\w.,:;=&%+-]*)", text)}
    )


def test_every_documented_address_is_understood() -> None:
    found = documented()
    assert len({page for page, _ in found}) > 2, "the race page, the lessons and the wall at least"
    for page, query in found:
        words = dict(parse_qsl(query))
        if page in ("", "wall"):
            share_link.parse(words, page or "race")
        elif words.get("lesson") != "my-lesson":  # the reader's own file
            assert table_of(page, words).parse(words)[1] == [], query


@pytest.mark.parametrize("back", [{}, {"x": "1"}])
def test_an_address_that_was_replaced_is_the_readers_going_back_unless_it_is_still_on_its_way(
    monkeypatch: pytest.MonkeyPatch, back: dict[str, str]
) -> None:
    class Query(dict[str, str]):
        from_dict = dict.update

    now = [100.0]
    fake = SimpleNamespace(query_params=Query(), session_state={})
    monkeypatch.setattr(url_state, "st", fake)
    monkeypatch.setattr(url_state, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert url_state.moved("page")
    url_state.put({"x": "1"}, "page")
    url_state.put({"x": "2"}, "page")  # by a part of the page that runs alone
    fake.query_params = Query(back)
    now[0] += 1.0
    assert not url_state.moved("page")
    url_state.put({"x": "2"}, "page")
    now[0] += url_state.STALE_SECONDS
    assert url_state.moved("page")
    url_state.put(back, "page")
    assert not url_state.moved("page")


# In the pages: the browser's back and forward


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


def own_race(store: Store) -> str:
    return fake_masks.race(store, parse_spec({"lanes": "sgd,ssam-f,ssam-d"}), owner(ALICE)).id


SWEEPS = [
    new_sweep({"base": parse_spec({"lanes": "sam"}), "vary": [f"lane1.rho={rhos}"]}) for rhos in ("0.1,0.2", "0.1,0.4")
]
PAGES: dict[str, list[tuple[str, Any]]] = {  # controls, and what they are set to
    "runs": [("runs_text", "noisy"), ("runs_sort", "name")],
    "compare": [("cmp_x", "gradients"), ("cmp_smooth", "3")],
    "masks": [("masks_view", "often"), ("masks_layer", "stem.norm.weight"), ("masks_lanes", ["ssam-d"])],
    "flatness": [("flat_kind", "profile"), ("flat_profile_images", 64), ("flat_kind", "better")],
    "anatomy": [("anatomy_lane", "sam"), ("anatomy_phase", "mask")],
    "sweeps": [("sweep_method", "grid"), ("sweep_races", 8), ("sweep_minutes", 5.0)],
}


@pytest.mark.parametrize("name", PAGES)
def test_back_and_forward_through_a_pages_controls(store: Store, name: str) -> None:
    run_id = own_race(store)
    app = open_page(name, **({"runs": run_id} if name == "compare" else {"run": run_id} if name == "masks" else {}))
    app.run()
    for key, value in PAGES[name]:
        back_and_forward(app, key, value)


def test_back_on_the_toy_surface(store: Store) -> None:
    app = open_page("surface", preset="canyon")
    app.run()
    go_to(app, {"surface": "canyon", "rho": "0.3"})
    assert app.session_state["surface_toy"].rho == 0.3
    go_to(app, {"preset": "canyon"})
    assert app.session_state["surface_toy"] == surface_query.presets()["canyon"]


def test_back_to_another_sweep(store: Store) -> None:
    older, newer = (fake_sweep.fill(store, owner(ALICE), spec) for spec in SWEEPS)
    app = open_page("sweeps", sweep=older)
    app.run()
    assert app.session_state["sweep_pick"] == older
    first = address_of(app)
    app.selectbox(key="sweep_pick").set_value(newer).run()
    app.run()  # the browser has told the new address
    assert address_of(app)["sweep"] == newer
    go_to(app, first)
    assert (app.session_state["sweep_pick"], address_of(app)["sweep"]) == (older, older)


def test_from_another_page_the_navigation_finds_a_page_as_it_was(store: Store) -> None:
    app = open_page("runs", text="noisy")
    app.switch_page("../pages/frontier.py").run()
    app.switch_page("../pages/runs.py")
    app.query_params.clear()
    app.run()
    assert app.session_state["runs_text"] == "noisy"
    assert address_of(app) == {"text": "noisy"}


BAD = [  # a page, its address, and the controls that the good part sets
    ("runs", {"text": "x", "sort": "colour", "color": "red"}, {"runs_text": "x", "runs_sort": "newest"}),
    ("compare", {"x": "seconds", "smooth": "4", "color": "red"}, {"cmp_x": "seconds", "cmp_smooth": "1"}),
    ("methods", {"method": "sam", "view": "<b>"}, {"methods_method": "sam", "methods_view": "cards"}),
    ("sweeps", {"races": "7", "seeds": "many", "vary": "seed=1"}, {"sweep_races": 7, "sweep_seeds": 1}),
    ("sweeps", {"races": "7", "rho": "99"}, {"sweep_races": 7}),
    ("sweeps", {"lanes": "sam", "method": "x", "figure": "x"}, {"sweep_method": "tpe", "sweep_lane": 0}),
    (
        "flatness",
        {"kind": "surface", "points": "20", "images": "64", "rho": "1"},
        {"flat_surface_images": 64, "flat_surface_points": 21},
    ),
    ("anatomy", {"lane": "sam", "epoch": "late", "phase": "lunch"}, {"anatomy_lane": "sam", "anatomy_epoch": "newest"}),
    ("lessons", {"lesson": "where", "step": "9"}, {"lesson": "where"}),
]


@pytest.mark.parametrize(("name", "address", "state"), BAD)
def test_a_bad_word_costs_nothing_but_itself(
    store: Store, name: str, address: dict[str, str], state: dict[str, Any]
) -> None:
    own_race(store)
    app = open_page(name, **address)
    (warning,) = app.warning
    assert_one_line_error(warning.value, [])
    assert {key: app.session_state[key] for key in state} == state


def test_a_bad_word_leaves_the_rest_of_a_surface() -> None:
    toy, (problem,) = surface_query.read({"preset": "canyon", "rho": "9", "turn": "90"})
    assert toy == replace(surface_query.presets()["canyon"], turn=90)
    assert_one_line_error(problem, ["rho", "9", "0", "1"])


def typed(page: Page, key: str, text: str) -> None:
    page.locator(f".st-key-{key} input").fill(text)
    page.keyboard.press("Enter")


def clicked(page: Page, key: str, label: str) -> None:
    page.locator(f".st-key-{key} button", has_text=label).click()


def picked(page: Page, key: str, option: str) -> None:
    page.locator(f".st-key-{key} input").click()
    page.get_by_role("option", name=option, exact=True).click()


MOVES: dict[str, tuple[str, str, Callable[[Page, str, str], None], str, str]] = {
    # a control, its first value, how it is set, to what, the new word
    "methods": ("methods_view", "Cards", clicked, "Compare", "view=compare"),
    "runs": ("runs_text", "", typed, "noisy", "text=noisy"),
    "compare": ("cmp_x", "Epoch", picked, "Gradient evaluations", "x=gradients"),
    "masks": ("masks_view", "Network", clicked, "Selection frequency", "view=often"),
    "flatness": ("flat_kind", "Surface", clicked, "Flatness vs accuracy", "kind=better"),
    "sweeps": ("sweep_races", "24", typed, "8", "races=8"),
}


def state_of(page: Page, key: str) -> str:
    """What a control shows: the text of a box, or the chosen button."""
    shown = "(host) => [...host.querySelectorAll('input')].map((box) => box.value).join() + (host.querySelector('[aria-checked=true], [kind*=Active]')?.innerText ?? '')"
    return str(page.locator(f".st-key-{key}").evaluate(shown))


def back_forward_and_back(page: Page, name: str) -> None:
    key, before, move, after, word = MOVES[name]
    wait_until(lambda: page.locator(f".st-key-{key}").count() and state_of(page, key) == before)
    at_rest(page)
    page.wait_for_timeout(1000 * url_state.STALE_SECONDS)
    move(page, key, after)
    expect(page).to_have_url(re.compile(re.escape(word)))
    for step, shown in ((page.go_back, before), (page.go_forward, after), (page.go_back, before)):
        at_rest(page)
        page.wait_for_timeout(1000 * url_state.STALE_SECONDS)
        step()
        wait_until(lambda shown=shown: state_of(page, key) == shown)
        at_rest(page)
        assert (word in page.url) == (shown == after), page.url
        assert state_of(page, key) == shown


@pytest.mark.browser
@pytest.mark.slow
def test_the_browsers_back_and_forward(tmp_path: Path, browser: Browser) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    run_id = own_race(store)
    first = {"masks": f"?run={run_id}&view=network", "compare": f"?runs={run_id}", "methods": "?method=sam"}
    try:
        with app_server(tmp_path, races=False) as lab:
            for name in MOVES:
                watched = Watched(browser)
                watched.page.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": lab}])
                watched.page.goto(f"{lab}/{name}{first.get(name, '')}")
                back_forward_and_back(watched.page, name)
                watched.page.context.close()
                assert [said for said in watched.problems if "404" not in said] == []
    finally:
        store.close()
