"""Class codes from the link to the store: who belongs to a class, what is run for it, and which seed it gets."""

import dataclasses
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import event, text
from streamlit.testing.v1 import AppTest

from app.shell import share_link
from app.teach import link_builder
from ssam.experiment import parse_spec, preset
from ssam.experiment.class_code import LONGEST, SHORTEST, class_code, new_class_code
from ssam.experiment.events import LaneEnded
from ssam.jobs.client import Client
from ssam.store import Person, Store, backup, schema
from ssam.store.database import open_database
from tests import fake_class
from tests.fake_class import CODE, SPEC
from tests.fake_race import evaluation
from tests.old_database import engine_of, write_old_database
from tests.people import ALICE, open_page, owner
from tests.race_page import page, shown, start

ADA, BEN = Person("ada"), Person("ben")


@pytest.fixture
def either_store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    """A store on SQLite, and one on PostgreSQL where there is one."""
    with closing(Store(tmp_path, database_url)) as store:
        yield store


@pytest.fixture
def client(either_store: Store, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Of a lab without a runner, where every place is taken: races stay queued, and what has been run is shown instead."""
    monkeypatch.setattr("ssam.jobs.runner_process.RunnerProcess.ensure", lambda self: None)
    monkeypatch.setattr("ssam.jobs.race_client.RaceClient.must_wait", lambda self, spec, person, exclusive=False: True)
    return Client(either_store)


# Codes


def test_codes_are_made_and_read_back() -> None:
    made = {new_class_code() for _ in range(200)}
    assert len(made) == 200
    for code in made:
        assert class_code(code.lower()) == code
        assert SHORTEST <= len(code) <= LONGEST
        assert not re.search("[AEIOU01]", code)


# The store


def test_a_race_keeps_its_class(either_store: Store) -> None:
    inside = either_store.runs.create(SPEC, "a", "ada", class_code=CODE)
    outside = either_store.runs.create(SPEC, "b", "ada")
    run = either_store.runs.get(inside)
    assert run
    assert run.class_code == CODE
    assert [race.id for race in either_store.classes.races(CODE)] == [inside]
    assert either_store.runs.get(outside).class_code is None
    assert either_store.classes.count(CODE, "ada") == 1
    assert either_store.classes.count(CODE, "ben") == 0


def test_a_wall_is_read_as_it_was_told(either_store: Store) -> None:
    whole = fake_class.finish(either_store, "ada", 0)
    part = fake_class.begin(either_store, "ben", 1)
    fake_class.advance(either_store, part, range(1, 4))
    fake_class.begin(either_store, "cleo", 2, code="OTHER")
    races = either_store.classes.races(CODE)
    assert [(race.id, race.owner, race.spec.seed, race.state) for race in races] == [
        (whole, "ada", 0, "finished"),
        (part, "ben", 1, "running"),
    ]
    courses = either_store.classes.courses([race.key for race in races])
    for race in races:
        window = either_store.curves.window(race.id)
        assert window
        for course, lane in zip(courses[race.key], window.lanes, strict=True):  # the slow way
            assert course.state == lane.state
            assert list(course.epochs) == [told["epoch"] for told in lane.epochs]
            assert list(course.accuracies) == [told["test_accuracy"] for told in lane.epochs]
            assert course.result == next((told["test_accuracy"] for told in lane.epochs if told["final"]), None)
    assert either_store.classes.races(CODE, limit=1)[0].id == part
    assert either_store.classes.courses([]) == {}


def test_a_deleted_race_leaves_the_wall_until_it_is_had_back(either_store: Store) -> None:
    run_id = fake_class.finish(either_store, "ada", 0)
    assert either_store.runs.soft_delete(run_id)
    assert (either_store.classes.races(CODE), either_store.classes.count(CODE, "ada")) == ([], 0)
    assert either_store.runs.undelete(run_id)
    assert [race.id for race in either_store.classes.races(CODE)] == [run_id]
    assert either_store.classes.count(CODE, "ada") == 1


def test_an_epoch_that_was_measured_twice_counts_by_all_images(either_store: Store) -> None:
    run_id = fake_class.begin(either_store, "ada", 0)
    with either_store.writer(run_id) as writer:
        for accuracy, final in ((0.5, False), (0.6, True)):
            writer.add(dataclasses.replace(evaluation("sgd", 10, final), test_accuracy=accuracy))
        writer.add(LaneEnded("sgd", 10, "diverged"))
    (race,) = either_store.classes.races(CODE)
    sgd = either_store.classes.courses([race.key])[race.key][0]
    assert (sgd.epochs, sgd.accuracies) == ((1.0,), (0.6,))
    assert sgd.result is None, "a lane that diverged has no result"


def test_few_queries_however_many_races(store: Store) -> None:
    fake_class.furnish(store, 8)
    asked: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    races = store.classes.races(CODE)
    store.classes.courses([race.key for race in races])
    assert len(asked) == 3


def test_a_version_2_database_gets_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_old_database(tmp_path / "ssam.db")
    url = f"sqlite:///{tmp_path / 'ssam.db'}"
    with monkeypatch.context() as then:
        then.setattr(schema, "SCHEMA_VERSION", 2)
        open_database(url).dispose()
    with closing(sqlite3.connect(tmp_path / "ssam.db")) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        assert "done" in columns
        assert "class_code" not in columns
        before = connection.execute(f"SELECT {', '.join(columns)} FROM runs ORDER BY key").fetchall()
    with monkeypatch.context() as then:
        then.setattr(schema, "SCHEMA_VERSION", 3)
        open_database(url).dispose()
    engine = engine_of(url)
    with engine.connect() as connection:
        after = connection.execute(text(f"SELECT {', '.join(columns)} FROM runs ORDER BY key")).all()
        assert [tuple(row) for row in after] == before
        codes = connection.execute(text("SELECT class_code FROM runs")).scalars()
        assert set(codes) == {None}
        version = connection.execute(text("SELECT schema_version FROM meta")).scalar_one()
        assert version == 3
    engine.dispose()
    assert (tmp_path / "ssam.db.v2.backup").exists()


def test_a_back_up_keeps_classes(tmp_path: Path, database_url: str) -> None:
    with closing(Store(tmp_path / "here", database_url)) as here, closing(Store(tmp_path / "there")) as there:
        fake_class.furnish(here, 2)
        backup.backup(here, tmp_path / "lab.tar.gz")
        backup.restore(there, tmp_path / "lab.tar.gz")
        assert [race.id for race in there.classes.races(CODE)] == [race.id for race in here.classes.races(CODE)]


# What is run for a class


def test_what_a_class_is_shown_has_been_run_for_it(client: Client) -> None:
    """A race that somebody has run is shown instead of another one; for a class only one that is on its wall."""
    store = client.store
    outside = fake_class.finish(store, "zoe", 0, code=None)
    other = fake_class.finish(store, "yan", 0, code="OTHER")
    assert client.races.submit(SPEC, "1", ADA).run_id in (outside, other)
    first = client.races.submit(SPEC, "2", ADA, class_code="may-7kq")
    assert not first.reused
    assert store.runs.get(first.run_id).class_code == CODE
    again = client.races.submit(SPEC, "3", ADA, class_code=CODE)
    assert (again.run_id, again.reused) == (first.run_id, True)
    assert store.queue.transition(first.run_id, ("queued",), "finished")
    theirs = client.races.submit(SPEC, "4", BEN, class_code=CODE)
    assert (theirs.run_id, theirs.reused) == (first.run_id, True)
    assert len(store.classes.races(CODE)) == 1


def test_a_race_under_way_outside_is_not_on_the_wall(client: Client) -> None:
    outside = client.races.submit(SPEC, "1", ADA).run_id
    inside = client.races.submit(SPEC, "2", ADA, class_code=CODE).run_id
    assert inside != outside
    assert client.races.submit(SPEC, "3", ADA).reused, "outside of a class either will do"


def test_everybody_of_a_class_gets_another_seed(client: Client) -> None:
    def join(student: int) -> int:
        submitted = client.races.submit(
            SPEC, f"request {student}", Person(f"student {student}"), class_code=CODE, own_seed=True
        )
        return client.store.runs.get(submitted.run_id).spec.seed

    with ThreadPoolExecutor(6) as pool:
        seeds = list(pool.map(join, range(12)))
    assert sorted(seeds) == list(range(12))


def test_the_lowest_free_seed_of_these_settings(client: Client) -> None:
    for seed in (0, 1, 3):
        fake_class.begin(client.store, "zoe", seed)
    fake_class.begin(client.store, "zoe", 2, code="OTHER")
    fake_class.begin(client.store, "zoe", 2, spec=preset("demo").spec)
    first = client.races.submit(SPEC, "1", ADA, class_code=CODE, own_seed=True)
    assert client.store.runs.get(first.run_id).spec == SPEC.model_copy(update={"seed": 2})
    assert client.races.submit(SPEC, "1", ADA, class_code=CODE, own_seed=True).run_id == first.run_id, (
        "one click sent twice"
    )
    again = client.races.submit(SPEC, "2", ADA, class_code=CODE, own_seed=True)
    assert (again.run_id, again.reused) == (first.run_id, True), "theirs is still under way"
    assert (
        client.store.runs.get(client.races.submit(SPEC, "3", BEN, class_code=CODE, own_seed=True).run_id).spec.seed == 4
    )


def test_a_bad_code_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match=r"^class code 'x' .*4 to 12"):
        client.races.submit(SPEC, "1", ADA, class_code="x")
    assert client.store.runs.newest() == []


# The race page


def keys(app: AppTest) -> set[str]:
    every = (*app.button, *app.selectbox, *app.number_input, *app.multiselect, *app.slider, *app.toggle)
    return {widget.key for widget in every if widget.key}


def test_a_link_joins_a_class_and_starts_with_a_seed_of_ones_own(store: Store) -> None:
    fake_class.begin(store, "zoe", 0, spec=preset("demo").spec)
    app = page(preset="demo", **{"class": "may-7kq", "seed": "own"})
    assert not app.exception
    assert not app.warning
    assert any(CODE in text.value for text in app.markdown)
    assert any("no race" in caption.value for caption in app.caption)
    assert app.number_input(key="seed").disabled
    start(app)
    run = store.runs.newest(owner=owner(ALICE))[0]
    assert (run.class_code, run.spec.seed) == (CODE, 1)
    assert app.session_state["seed"] == 1
    assert any("1 race" in caption.value for caption in app.caption)
    assert app.button(key="start_race").disabled, "it is under way"
    assert app.query_params["class"] == CODE
    assert app.query_params["seed"] == "own"
    again = page(**app.query_params)
    assert not again.warning
    assert shown(again) == shown(app), "a reload shows the same"
    assert again.button(key="start_race").disabled


def test_leaving_a_class_shows_everything_and_starts_outside_of_it(store: Store) -> None:
    app = page(preset="demo", hide="more,lanes", **{"class": CODE, "seed": "own"})
    assert not {"more", "lanes"} & keys(app)
    app.button(key="leave_class").click().run()
    assert not app.exception
    assert "lanes" in keys(app)
    assert "class" not in app.query_params
    start(app)
    assert store.runs.newest()[0].class_code is None


@pytest.mark.parametrize("hidden", [["sidebar"], ["preset", "more"], list(share_link.GROUPS)[1:]])
def test_hidden_controls_keep_their_settings(store: Store, hidden: list[str]) -> None:
    lanes = "sgd,sam:ascent_batch=32,ssam-f:sparsity=0.8:rho=0.3"
    asked = {"lanes": lanes, "rho": "0.3", "epochs": "4", "train_size": "2000", "batch_size": "64", "augment": "flip"}
    app = page(**asked, hide=",".join(hidden))
    assert not app.exception
    gone = {"preset", "dataset", "model", "lanes", "sparsity", "rho", "epochs", "seed", "batch_size"}
    if hidden == ["sidebar"]:
        assert not keys(app) & gone
    for _ in range(3):
        app.run()  # what is not drawn must not be forgotten
    start(app)
    (run,) = store.runs.newest()
    assert run.spec == parse_spec(asked)
    app.session_state["hidden"] = ()
    app.run()
    assert gone <= keys(app)
    assert app.session_state["rho"] == 0.3


def test_hidden_controls_are_validated_all_the_same(store: Store) -> None:
    app = page(hide="sidebar", epochs="1000000000")
    (warning,) = app.warning
    assert "epochs '1000000000'" in warning.value.replace("\\", "")
    app.session_state["lr"] = -1.0
    app.run()
    assert app.button(key="start_race").disabled
    assert any("Learning rate" in error.value for error in app.error)


@pytest.mark.parametrize(
    "bad", [{"class": "<b>"}, {"class": CODE, "hide": "all"}, {"view": "cinema"}, {"class": "x", "seed": "own"}]
)
def test_a_bad_link_gives_one_line(store: Store, bad: dict[str, str]) -> None:
    app = page(preset="demo", **bad)
    assert not app.exception
    (warning,) = app.warning
    assert "\n" not in warning.value
    assert app.session_state["class_code"] is None if "class_code" in app.session_state else True
    start(app)
    assert store.runs.newest()[0].spec == preset("demo").spec


def test_the_keys_of_who_presents_are_there_on_the_projector_only(store: Store) -> None:
    run_id = fake_class.begin(store, owner(ALICE), 0)
    for view, key in ((None, ""), ("projector", "p")):
        app = page(run=run_id, **({"view": view} if view else {}))
        assert not app.exception
        assert app.button(key="pause_now").proto.shortcut.lower() == key
        assert app.button(key="start_race").proto.shortcut.lower() == ("s" if view else "")
        assert ("preset" in keys(app)) == (view is None), "no form on a projector"
    app.toggle(key="projector").set_value(False).run()
    assert "preset" in keys(app)
    assert "view" not in app.query_params


# The page for teachers


def teach() -> AppTest:
    return open_page("teach")


def link_of(app: AppTest) -> str:
    return str(app.code[0].value)


def test_the_builder_makes_links_that_can_be_read(store: Store) -> None:
    app = teach()
    assert link_of(app) == "/?preset=noisy-labels"
    app.button(key="generate_code").click().run()
    code = app.session_state["link_code"]
    assert link_of(app) == f"/?preset=noisy-labels&class={code}&seed=own"
    app.multiselect(key="link_hidden").set_value(["more", "preset"]).run()
    app.toggle(key="link_own_seed").set_value(False).run()
    app.toggle(key="link_projector").set_value(True).run()
    assert link_of(app) == f"/?preset=noisy-labels&class={code}&hide=preset,more&view=projector"
    app.segmented_control(key="link_page").set_value("wall").run()
    assert link_of(app) == f"/wall?class={code}&view=projector"
    app.segmented_control(key="link_page").set_value("lessons").run()
    app.selectbox(key="link_lesson").set_value("noisy-labels").run()
    app.selectbox(key="link_step").set_value("reveal").run()
    assert link_of(app).startswith("/lessons?lesson=noisy-labels&step=reveal&class=")
    app.text_input(key="link_code").set_value("no good!").run()
    assert not app.exception
    assert "class code" in app.error[0].value
    assert not app.code


def test_the_builder_takes_the_race_page_as_it_was_left(store: Store) -> None:
    app = page(preset="demo", epochs="2")
    app.switch_page("../pages/teach.py").run()
    assert not app.exception
    app.selectbox(key="link_preset").set_value(link_builder.HERE).run()
    words = dict(parse_qsl(urlsplit(link_of(app)).query))
    assert share_link.read_settings(words) == parse_spec({"epochs": 2}, preset("demo").spec)


def test_the_guides_links_are_links(store: Store) -> None:
    guide = (Path(__file__).resolve().parents[1] / "docs" / "teaching.md").read_text(encoding="utf-8")
    found = re.findall(r"`(/[^`]*\?[^`]*)`", guide)
    assert len(found) >= 4
    for address in found:
        parts = urlsplit(address)
        share_link.parse(dict(parse_qsl(parts.query)), parts.path.strip("/") or "race")
    app = teach()
    assert any("45 minutes" in expander.label for expander in app.expander)
    assert any("The plan" in text.value for text in app.markdown)
