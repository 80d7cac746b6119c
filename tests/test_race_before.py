"""The race before stays as thin lines: which race that is, and how it is drawn."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from app.ui import live_panel, recorded
from ssam.experiment import parse_spec, presets
from ssam.store import Run, Store
from tests import fake_lab
from tests.browser import LIVE, PATIENCE, Watched, app_server, at_rest, start_race, wait_until
from tests.components import data_of
from tests.fake_race import FakeRace
from tests.people import ALICE, BOB, owner
from tests.race_page import page

CHART = f"document.querySelector('{LIVE} [data-panel=%s] .chart')"


def race(store: Store, who: str = ALICE, **settings: str | float) -> Run:
    return fake_lab.race(store, owner(who), parse_spec(settings, fake_lab.SPEC))


def before(app: AppTest) -> dict | None:
    return data_of(app, "live")["before"]


def opened(app: AppTest, run: Run) -> dict | None:
    """The race before another one, which is opened now."""
    app.session_state["run"] = run.id
    return before(app.run())


def test_the_race_before_is_the_one_that_was_shown_last(store: Store) -> None:
    first, second, third = (race(store, rho=rho) for rho in (0.1, 0.3, 0.7))
    app = page(run=first.id)
    assert before(app) is None
    for earlier, present in ((first, second), (second, third), (third, first)):
        found = opened(app, present)
        assert found
        assert found["version"] == f"{earlier.id} finished"
        assert [lane["title"] for lane in found["lanes"]][:2] == ["SGD", "SAM"]
        assert f"{earlier.spec.rho:g} instead of {present.spec.rho:g}" in found["words"]
        assert before(app.run()) == found, "a rerun is no other race"


def test_a_deleted_race_is_no_race_before(store: Store) -> None:
    first, second = race(store), race(store, rho=0.3)
    app = page(run=first.id)
    assert store.runs.soft_delete(first.id)
    assert opened(app, second) is None


def test_somebody_elses_race_has_none_but_may_be_one(store: Store) -> None:
    own, other = race(store), race(store, BOB, rho=0.3)
    app = page(run=own.id)
    assert opened(app, other) is None
    found = opened(app, own)
    assert found
    assert found["version"].startswith(other.id)


def test_the_curves_are_not_sent_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = race(store), race(store, rho=0.3)
    app = page(run=first.id)
    found = opened(app, second)
    assert found
    monkeypatch.setattr(live_panel, "kept", lambda: found["version"])
    assert before(app.run()) == {name: found[name] for name in ("version", "words")}


def test_a_recording_is_one_for_a_race_of_the_same_data_and_model(store: Store) -> None:
    spec = next(iter(presets().values())).spec
    name = recorded.of(spec)
    same, other = (
        fake_lab.race(store, owner(ALICE), parse_spec(settings, spec))
        for settings in ({"rho": 0.3}, {"model": "resnet20"})
    )
    for run, version in ((same, f"recording {name}"), (other, None)):
        app = page()
        assert before(app) is None
        found = opened(app, run)
        assert (found and found["version"]) == version


def test_a_recording_has_ones_own_race_before(store: Store) -> None:
    own, other = race(store), race(store, BOB)
    for run, version in ((own, f"{own.id} finished"), (other, None)):
        app = page(run=run.id)
        app.button(key="new_race").click().run()
        app.selectbox(key="preset").set_value(next(iter(presets()))).run()
        found = before(app)
        assert (found and found["version"]) == version


def train(store: Store, run_id: str) -> None:
    """Make up 20 steps of every lane of a race that waits."""
    run = store.runs.get(run_id)
    assert run
    store.queue.assign(run_id, "cpu")
    with store.writer(run_id) as writer:
        for event in FakeRace(run.spec, store.home, store.home, 1).events():
            writer.add(event)
    assert store.queue.transition(run_id, ("starting",), "finished")


@pytest.mark.browser
def test_thin_lines_in_a_browser(tmp_path: Path, browser: Browser) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            tab = watched.page
            tab.goto(f"{address}/?lanes=sgd,sam&epochs=2&rho=0.1")
            start_race(tab)
            (first,) = store.runs.newest()
            train(store, first.id)
            watched.wait("live?.dataset.state === 'finished'")
            toggle = tab.get_by_role("button", name="Race before")
            expect(toggle).to_have_count(0)

            tab.locator(".st-key-rho input").fill("0.4")
            tab.locator(".st-key-rho input").press("Enter")
            at_rest(tab)
            tab.locator(".st-key-start_race button").click()
            wait_until(lambda: len(store.runs.newest()) == 2)
            expect(toggle).to_have_attribute("aria-pressed", "true")
            train(store, store.runs.newest()[0].id)
            watched.wait("live?.dataset.state === 'finished'")
            names = f"{CHART}.data.filter(({{ name }}) => name?.startsWith('before')).map(({{ name }}) => name).join()"
            for panel in ("accuracy", "steps"):
                tab.wait_for_function(f"{names % panel} === 'before: SGD,before: SAM'", timeout=PATIENCE)
            expect(tab.locator(f"{LIVE} .ghosts span")).to_contain_text("0.1 instead of 0.4")
            expect(tab.locator(f"{LIVE} .whole tbody tr")).to_have_count(4)

            places = f"{CHART % 'accuracy'}.data.find(({{ name }}) => name === 'before: SAM').x.join()"
            assert tab.evaluate(places) == "1,2"
            tab.locator(f"{LIVE} .axis label").nth(1).click()
            tab.wait_for_function(f"{places} === '20,40'", timeout=PATIENCE)

            toggle.click()
            expect(toggle).to_have_attribute("aria-pressed", "false")
            for panel in ("accuracy", "steps"):
                tab.wait_for_function(f"{names % panel} === ''", timeout=PATIENCE)
            expect(tab.locator(f"{LIVE} .whole tbody tr")).to_have_count(2)
            assert watched.problems == []
    finally:
        store.close()
