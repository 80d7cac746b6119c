"""One race with several seeds: what is started, what is used again, and how far the group is."""

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.race import seeds
from ssam.experiment import RaceSpec, parse_spec, preset
from ssam.store import Person, Store
from tests import fake_class
from tests.golden import assert_one_line_error
from tests.patience import SECONDS
from tests.people import ALICE, BOB, SESSION, owner

ROOT = Path(__file__).resolve().parents[1]
SPEC = fake_class.SPEC


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No runner comes up: what is queued stays so."""
    monkeypatch.setattr("ssam.jobs.runner_process.RunnerProcess.ensure", lambda self: None)
    monkeypatch.setattr("ssam.jobs.runner_process.RunnerProcess.ensure_in_background", lambda self: None)


def page(**words: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = ALICE
    app.query_params.update(words or {"preset": "noisy-labels"})
    app.run()
    assert not app.exception
    return app


def queued(store: Store) -> list[int]:
    return sorted(run.spec.seed for run in store.runs.newest(100, owner(ALICE)) if run.state == "queued")


def test_races_that_differ_in_their_seed_only_belong_together(store: Store) -> None:
    for seed in (3, 1, 2):
        store.runs.create(SPEC.model_copy(update={"seed": seed}), f"s{seed}", "ada")
    store.runs.create(SPEC.model_copy(update={"seed": 1}), "bob", "bob")
    store.runs.create(parse_spec({"epochs": 3, "seed": 4}, SPEC), "other", "ada")
    found = store.runs.seed_replicas(SPEC.model_copy(update={"seed": 99}), "ada")
    assert [run.spec.seed for run in found] == [1, 2, 3]
    assert {run.owner for run in found} == {"ada"}
    odd = RaceSpec(dataset="images", data='100%_"seed":0,.zip')
    store.runs.create(odd, "odd", "ada")
    store.runs.create(odd.model_copy(update={"data": '100x_"seed":0,.zip', "seed": 5}), "odder", "ada")
    assert [run.spec.data for run in store.runs.seed_replicas(odd.model_copy(update={"seed": 7}), "ada")] == [odd.data]


def test_start_starts_as_many_seeds_as_wanted(store: Store, idle: None) -> None:
    app = page()
    app.number_input(key="seed").set_value(3).run()
    app.slider(key="seeds").set_value(4).run()
    assert any("3 to 6" in caption.value for caption in app.caption)
    app.button(key="start_race").click().run()
    assert not app.exception
    assert queued(store) == [3, 4, 5, 6]
    assert store.runs.get(app.session_state["run"]).spec.seed == 3
    app.button(key="start_race").click().run()
    assert queued(store) == [3, 4, 5, 6], "a second click finds them"
    assert any("0 of 4" in text.value for text in app.markdown)
    (link,) = [link for link in app.get("page_link") if link.proto.label == "Compare"]
    assert link.proto.query_string.count("%2C") == 3


def test_what_has_been_run_is_used_again_whoever_ran_it(store: Store, idle: None) -> None:
    done = fake_class.finish(store, owner(BOB), 1, None, preset("noisy-labels").spec)
    app = page()
    app.number_input(key="seed").set_value(0).run()
    app.slider(key="seeds").set_value(3).run()
    app.button(key="start_race").click().run()
    assert queued(store) == [0, 2]
    (link,) = [link for link in app.get("page_link") if link.proto.label == "Compare"]
    assert done in link.proto.query_string
    assert any("1 of 3" in text.value for text in app.markdown)


def test_a_full_queue_is_one_line_that_says_what_is_there(
    store: Store, idle: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSAM_OWNER_QUEUED", "2")
    app = page()
    app.slider(key="seeds").set_value(5).run()
    app.button(key="start_race").click().run()
    assert len(queued(store)) == 2
    (notice,) = [warning.value for warning in app.warning]
    assert_one_line_error(notice, ["2 of 5", "2 races"])


def test_a_finished_race_is_repeated_with_the_seeds_after_the_last(store: Store, idle: None) -> None:
    run_id = fake_class.finish(store, owner(ALICE), 5, None)
    fake_class.finish(store, owner(ALICE), 7, None)
    app = page(run=run_id)
    app.slider(key="seeds_more").set_value(2).run()
    app.button(key="seeds_go").click().run()
    assert not app.exception
    assert queued(store) == [8, 9]
    assert app.session_state["run"] == run_id, "the race stays"
    assert any("2 of 4" in text.value for text in app.markdown)


def test_in_a_class_that_gives_the_seeds_there_is_no_such_control(store: Store, idle: None) -> None:
    app = page(**{"preset": "noisy-labels", "class": fake_class.CODE, "seed": "own"})
    assert [slider.key for slider in app.slider if slider.key == "seeds"] == []


def test_progress_counts_each_seed_once(store: Store) -> None:
    run_id = fake_class.finish(store, "ada", 0, None)
    fake_class.begin(store, "ada", 1, None)
    store.runs.create(SPEC.model_copy(update={"seed": 1}), "again", "ada")
    assert [run.spec.seed for run in store.runs.seed_replicas(SPEC, "ada")] == [0, 1, 1]
    group = [run for run in store.runs.seed_replicas(SPEC, "ada") if run.state != "queued"]
    assert re.findall(r"\d", seeds.progress(group)) == ["1", "2", "1"]
    assert Person("ada").may_steer(store.runs.get(run_id))
