"""The list of races: what is found, in which order; what is written on races; deletion that can be undone; and the page."""

import re
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from app.runs import query, view
from app.shell.identity import COOKIE
from app.ui import recorded, spec_diff
from ssam.experiment import RaceSpec, parse_spec
from ssam.jobs import disk
from ssam.jobs.client import Client
from ssam.store import Person, Run, Store, annotations, backup
from ssam.store.annotations import Labels, parse_labels
from ssam.store.search import PAGE, RunQuery
from ssam.store.views import AccuracyCurve
from tests import fake_class, fake_lab
from tests.browser import Watched, app_server
from tests.components import data_of
from tests.patience import SECONDS
from tests.people import ALICE, BOB, SESSION, open_page, owner

ROOT = Path(__file__).resolve().parents[1]
ADA = Person("ada")
TINY = RaceSpec(model="resnet20", rho=0.25)


@pytest.fixture
def kept(tmp_path: Path, database_url: str):
    with closing(Store(tmp_path / "home", database_url)) as store:
        yield store


def finished(store: Store, owner: str, seed: int, spec: RaceSpec = fake_class.SPEC) -> str:
    return fake_class.finish(store, owner, seed, None, spec)


def found(store: Store, owner: str | None = "ada", **wanted: object) -> list[str]:
    return [listed.run.id for listed in store.runs.search(RunQuery(**wanted), owner).rows]


# Finding


def test_races_are_found_by_what_is_raced_and_by_what_is_written(kept: Store) -> None:
    noisy, tiny, other = finished(kept, "ada", 3), kept.runs.create(TINY, "t", "ada"), finished(kept, "bob", 4)
    assert kept.runs.label(tiny, Labels("Größe", ("demo", "rho"), "For Monday."))
    assert found(kept) == [tiny, noisy]
    for text, expected in {
        "noisy labels": [noisy],
        '"seed 3" sam': [noisy],
        "ResNet-20": [tiny],
        "resnet20 größe": [tiny],
        "monday": [tiny],
        "rho=0.77": [],
        '"rho 0.25"': [tiny],
        "40 wrong": [noisy],
        tiny.lower(): [tiny],
        "100%_": [],
        other: [],
    }.items():
        assert found(kept, text=text) == expected, text
    assert found(kept, tag="demo") == found(kept, state="queued") == found(kept, model="resnet20") == [tiny]
    assert found(kept, method="ssam-d", state="finished") == [noisy]
    assert found(kept, dataset="cifar10") == []
    choices = kept.runs.search(RunQuery(), "ada").choices
    assert choices["tag"] == {"demo": 1, "rho": 1}
    assert choices["method"]["sgd"] == 2
    assert set(found(kept, None)) == {noisy, tiny, other}


def test_a_race_that_has_ended_meanwhile_is_read_again(kept: Store) -> None:
    run_id = fake_class.begin(kept, "ada", 0, None)
    assert kept.runs.search(RunQuery(), "ada").rows[0].accuracy is None
    fake_class.advance(kept, run_id, range(1, fake_class.SPEC.epochs + 1))
    (listed,) = kept.runs.search(RunQuery(), "ada").rows
    assert listed.accuracy == max(lane["test_accuracy"] for lane in listed.run.result["lanes"])
    assert [course.result for course in listed.courses] == [
        lane["test_accuracy"] for lane in listed.run.result["lanes"]
    ]


def test_the_order_is_what_was_asked_for(kept: Store) -> None:
    first, second, third = finished(kept, "ada", 0), finished(kept, "ada", 1), kept.runs.create(TINY, "t", "ada")
    kept.runs.label(second, Labels("aaa"))
    kept.queue.heartbeat(second, trained=5.0)
    kept.queue.heartbeat(first, trained=9.0)
    best = sorted(
        (first, second), key=lambda run_id: max(lane["test_accuracy"] for lane in kept.runs.get(run_id).result["lanes"])
    )
    assert found(kept, sort="oldest") == [first, second, third]
    assert found(kept, sort="name")[0] == second
    assert found(kept, sort="accuracy") == [*best[::-1], third]
    assert found(kept, sort="cost") == [second, first, third]


def test_pages_have_fifty_races_and_one_beyond_the_last_is_the_last(kept: Store) -> None:
    ids = [kept.runs.create(TINY.model_copy(update={"seed": seed}), str(seed), "ada") for seed in range(PAGE + 3)]
    page = kept.runs.search(RunQuery(page=9, sort="oldest"), "ada")
    assert ([listed.run.id for listed in page.rows], page.page, page.pages) == (ids[PAGE:], 2, 2)
    assert (page.matching, page.all) == (PAGE + 3, PAGE + 3)
    page = kept.runs.search(RunQuery(page=2, size=PAGE + 2, sort="oldest"), "ada")
    assert ([listed.run.id for listed in page.rows], page.page, page.pages) == (ids[PAGE + 2 :], 2, 2)


# Writing


@pytest.mark.parametrize(
    ("name", "tags", "note", "says"),
    [
        ("x" * 81, "", "", "name: 81 letters are too many; at most 80"),
        ("", " ".join(map(str, range(13))), "", "tags: 13 are too many; at most 12"),
        ("", "y" * 31, "", "must be printable and have at most 30 letters"),
        ("", "a\u202eb", "", "must be printable"),
        ("", "", "z" * 2001, "note: 2,001 letters are too many; at most 2,000"),
    ],
)
def test_what_is_too_long_is_refused_in_one_line(name: str, tags: str, note: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        parse_labels(name, tags, note)
    assert "\n" not in str(refused.value)


def test_labels_are_kept_replaced_and_go_with_the_race(kept: Store) -> None:
    run_id = kept.runs.create(TINY, "t", "ada")
    assert kept.runs.labels(run_id) == kept.runs.labels("no such race") == Labels()
    kept.runs.label(run_id, Labels("One", ("a",), "line\nline"))
    kept.runs.label(run_id, Labels("Two", ("b", "c")))
    assert kept.runs.labels(run_id) == Labels("Two", ("b", "c"))
    assert not kept.runs.label("no such race", Labels("x"))
    assert kept.runs.purge(run_id)
    assert kept.runs.labels(run_id) == Labels()


def test_a_back_up_keeps_them(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "old", f"sqlite:///{tmp_path / 'old.db'}")) as old:
        run_id, gone = finished(old, "ada", 0), finished(old, "ada", 1)
        old.runs.label(run_id, Labels("Mine", ("demo",), "A note."))
        old.runs.soft_delete(gone)
        backup.backup(old, tmp_path / "lab.tar.gz")
    with closing(Store(tmp_path / "new", f"sqlite:///{tmp_path / 'new.db'}")) as new:
        backup.restore(new, tmp_path / "lab.tar.gz")
        assert new.runs.labels(run_id) == Labels("Mine", ("demo",), "A note.")
        assert new.runs.soft_deleted() == [gone]


# Deleting


def test_a_deleted_race_is_nowhere_until_it_is_had_back(kept: Store) -> None:
    run_id = finished(kept, "ada", 0)
    spec = kept.runs.get(run_id).spec
    assert kept.runs.soft_delete(run_id)
    assert kept.runs.get(run_id) is kept.runs.find_identical(spec) is None
    assert found(kept) == kept.runs.newest(owner="ada") == list(kept.runs.get_many([run_id])) == []
    (listed,) = kept.runs.search(RunQuery(), "ada", deleted=True).rows
    assert (listed.run.id, listed.labels.deleted is not None) == (run_id, True)
    assert kept.runs.undelete(run_id)
    assert kept.runs.get(run_id).result
    assert found(kept) == [run_id]
    assert not kept.runs.soft_delete("no such race")


def test_a_race_under_way_is_not_deleted(kept: Store) -> None:
    for run_id in (kept.runs.create(TINY, "queued", "ada"), fake_class.begin(kept, "ada", 0, None)):
        with pytest.raises(ValueError, match=r"^.*running; stop .*$"):
            Client(kept).races.soft_delete(run_id, ADA)
        assert kept.runs.get(run_id)


def test_only_its_owner_and_teachers_write_on_a_race_and_delete_it(kept: Store) -> None:
    run_id, client, bob = finished(kept, "ada", 0), Client(kept), Person("bob")
    for act in (
        lambda who: client.races.soft_delete(run_id, who),
        lambda who: client.races.label(run_id, who, "Mine", "", ""),
    ):
        with pytest.raises(PermissionError, match="someone else"):
            act(bob)
        act(ADA)
        client.races.undelete(run_id, ADA)
    client.races.soft_delete(run_id, ADA)
    with pytest.raises(PermissionError, match="someone else"):
        client.races.undelete(run_id, bob)
    client.races.undelete(run_id, Person("eve", teacher=True))


def test_what_was_deleted_a_day_ago_goes_and_all_of_it_where_the_disk_is_full(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, stays = (finished(store, "ada", seed) for seed in range(3))
    for run_id in (old, new, stays):
        store.run_folder(run_id).mkdir(parents=True)
        (store.run_folder(run_id) / "log.txt").write_bytes(bytes(1_000_000))
    store.runs.soft_delete(old)
    with monkeypatch.context() as later:
        later.setattr(disk, "UNDO_SECONDS", -1.0)
        disk.make_room(store, 20.0)
    store.runs.soft_delete(new)
    disk.make_room(store, 20.0)
    assert [store.runs.get(run_id, deleted=True) is not None for run_id in (old, new, stays)] == [False, True, True]
    assert disk.make_room(store, 0.0015).used == 1_000_000
    assert [store.runs.get(run_id, deleted=True) is not None for run_id in (new, stays)] == [False, True]
    assert annotations.UNDO_SECONDS == 24 * 3600


# The page


def page(token: str = ALICE, **address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "runs.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = token
    app.query_params.update(address)
    app.run()
    assert not app.exception
    return app


def rows(app: AppTest) -> list[str]:
    """What the browser is told, by title."""
    return [row["title"] for row in data_of(app, "runs")["rows"]]


def test_a_line_says_what_was_raced_and_how_it_went(store: Store) -> None:
    run = fake_lab.race(store, owner(ALICE))
    store.runs.label(run.id, Labels("<b>Mine</b>", ("demo",), "n" * 200))
    (listed,) = store.runs.search(RunQuery(), owner(ALICE)).rows
    told = view.row(listed, Person(owner(ALICE)))
    assert told["title"] == "<b>Mine</b>"
    assert told["best"] == ["81.0%", "SSAM-F"]
    assert "\\" not in told["detail"]
    assert re.search("SGD .*69 .*61%.*SAM .*80 .*80%", told["words"])
    assert len(told["note"]) == view.EXCERPT
    assert len(told["curves"]) == len(run.spec.lanes)
    assert "someone else" not in told["says"]


def test_without_a_race_recorded_ones_are_listed_to_be_opened(store: Store) -> None:
    told = {row["id"]: row for row in data_of(open_page("runs"), "runs")["rows"]}
    assert list(told) == recorded.names()
    for name, row in told.items():
        result = recorded.read(name).run.result
        assert result
        assert row["recorded"]
        assert row["best"][0] == f"{100 * max(lane['test_accuracy'] or 0 for lane in result['lanes']):.1f}%"
        assert len(row["curves"]) == len(result["lanes"])
    in_class = open_page("race", **{"class": "MAY-7KQ"}).switch_page("../pages/runs.py").run()
    assert not data_of(in_class, "runs")["rows"], "a class predicts the outcome first"
    fake_lab.race(store, owner(ALICE))
    assert [row["recorded"] for row in data_of(open_page("runs"), "runs")["rows"]] == [False]


def test_small_curves_break_where_a_value_is_missing() -> None:
    course = AccuracyCurve("finished", (1.0, 2.0, 3.0, 4.0), (0.5, None, 0.7, 0.9), 0.9)
    drawn = view.curves((course,), ["#123456"])
    assert [line["points"] for line in drawn] == ["31.5,35.0", "88.5,19.0 117.0,3.0"]
    assert view.curves((AccuracyCurve("waiting", (), (), None),), ["#123456"]) == []


def test_settings_that_differ_are_set_side_by_side() -> None:
    one, other = (
        parse_spec({"rho": 0.1, "lanes": "sgd,sam"}),
        parse_spec({"rho": 0.2, "train_size": 500, "lanes": "sgd"}),
    )
    assert spec_diff.table([one, other], ["A", "B"]) == [
        {"Setting": "Methods (lanes)", "A": "SGD, SAM", "B": "SGD"},
        {"Setting": "Rho", "A": "0.1", "B": "0.2"},
        {"Setting": "Training images", "A": "–", "B": "500"},
    ]
    assert spec_diff.table([one, one], ["A", "B"]) == []


def test_races_are_searched_labelled_deleted_and_had_back(store: Store) -> None:
    first, second = (finished(store, owner(ALICE), seed) for seed in (1, 2))
    finished(store, owner(BOB), 3)
    app = page()
    assert any("2 races" in caption.value for caption in app.caption)
    app.text_input(key="runs_text").set_value('"seed 2"').run()
    assert any("1 of 2" in caption.value for caption in app.caption)
    assert app.query_params["text"] == '"seed 2"'
    app.text_input(key="runs_text").set_value("").run()
    app.session_state["runs_chosen"] = [first]
    app.run()
    app.text_input(key=f"runs_name_{first}").set_value("My first")
    app.text_input(key=f"runs_tags_{first}").set_value("Demo, rho")
    next(button for button in app.button if button.label == "Save").click().run()
    assert store.runs.labels(first) == Labels("My first", ("demo", "rho"))
    assert any(box.key == "runs_tag" for box in app.selectbox)
    app.session_state["runs_chosen"] = [first, second]
    app.run()
    app.toggle(key="runs_differ").set_value(True).run()
    assert not app.exception
    app.button(key="runs_delete").click().run()
    assert store.runs.newest(owner=owner(ALICE)) == []
    assert any("2 races deleted" in info.value for info in app.info)
    app.button(key="runs_undo_now").click().run()
    assert {run.id for run in store.runs.newest(owner=owner(ALICE))} == {first, second}
    assert not app.exception


def test_others_races_are_not_listed_but_found_by_their_link(store: Store) -> None:
    run_id = finished(store, owner(BOB), 3)
    app = page()
    assert any("No race yet" in text.value for text in app.markdown)
    app.text_input(key="runs_text").set_value(f"http://lab/?run={run_id}").run()
    assert any("1 race." in caption.value for caption in app.caption)
    app.session_state["runs_chosen"] = [run_id]
    app.run()
    app.button(key="runs_delete").click().run()
    assert store.runs.get(run_id), "a stranger deletes nothing"
    assert "someone else" in app.toast[0].value
    app.text_input(key="runs_text").set_value("").run()
    forged = page(show=query.EVERYBODYS)  # only a teacher's page offers it
    assert not any("1 race." in caption.value for caption in forged.caption)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ({"sort": "colour"}, "sort 'colour' must be one of newest, oldest, name, accuracy, cost"),
        ({"state": "gone"}, "state 'gone' must be one of queued, starting"),
        ({"x": "1"}, "'x' is no setting here; allowed: text, sort"),
    ],
)
def test_a_bad_address_is_one_line(store: Store, address: dict[str, str], says: str) -> None:
    app = page(**address)
    assert says in app.warning[0].value.replace("\\", "")


def test_an_address_sets_the_controls(store: Store) -> None:
    finished(store, owner(ALICE), 1)
    app = page(text="noisy", sort="accuracy")
    assert (app.text_input(key="runs_text").value, app.selectbox(key="runs_sort").value) == ("noisy", "accuracy")
    assert any("1 race." in caption.value for caption in app.caption)


@pytest.mark.browser
@pytest.mark.slow
def test_in_a_browser_races_are_ticked_and_opened(tmp_path: Path, browser: Browser) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    run: Run = fake_lab.race(store, owner(ALICE))
    finished(store, owner(ALICE), 7)
    try:
        with app_server(tmp_path, races=False) as address:
            watched = Watched(browser)
            page = watched.page
            page.context.add_cookies([{"name": COOKIE, "value": ALICE, "url": address}])
            page.goto(address)
            page.get_by_role("link", name="Runs", exact=True).first.click()
            boxes = page.locator(".ssam-runs li input")
            expect(boxes).to_have_count(2)
            boxes.first.focus()
            page.keyboard.press("Space")
            expect(page.get_by_text("1 selected")).to_be_visible()
            page.get_by_role("checkbox", name="Select all").check()
            expect(page.get_by_text("2 selected")).to_be_visible()
            page.get_by_role("button", name="Deselect all").click()
            expect(page.locator(".ssam-runs li input:checked")).to_have_count(0)
            page.set_viewport_size({"width": 390, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.locator(f'.ssam-runs a[href$="run={run.id}"]').click()
            watched.wait("live?.dataset.state === 'finished'")
            assert run.id in page.url
            page.context.close()
            assert watched.problems == []
    finally:
        store.close()
