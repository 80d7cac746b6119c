"""Who may see and do what: owners, teachers, logins. On pages that are run as scripts, and on the web server around them."""

import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from app.shell import identity, middleware
from app.ui.lab import Lab
from ssam import config
from ssam.experiment import preset
from ssam.jobs.client import Client
from ssam.store import Person, Store
from tests.golden import assert_one_line_error
from tests.people import ALICE, BOB, open_page, owner
from tests.race_page import two_classes

ROOT = Path(__file__).resolve().parents[1]
ISSUER = {"iss": "https://login.example.org", "is_logged_in": True}


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def race_of(store: Store, token: str, seed: int = 0, state: str = "queued", **values: object) -> str:
    spec = preset("demo").spec.model_copy(update={"seed": seed})
    run_id = store.runs.create(spec, f"request {token} {seed}", owner(token))
    if state != "queued":
        assert store.queue.transition(run_id, ("queued",), state, **values)
    return run_id


# What a stranger sees and may do


def test_races_are_listed_for_their_owner_only(store: Store) -> None:
    run_id = race_of(store, ALICE, state="stopped")
    assert f"open_{run_id}" in keys(open_page(token=ALICE))
    assert f"open_{run_id}" not in keys(open_page(token=BOB))


@pytest.mark.parametrize("state", ["queued", "running", "paused", "stopped", "failed"])
def test_a_stranger_can_watch_but_has_no_buttons(store: Store, state: str) -> None:
    run_id = race_of(store, ALICE, state=state)
    steering = {"pause_now", "resume_now", "stop_race", "delete_for_good"}
    stranger = open_page(token=BOB, run=run_id)
    assert not keys(stranger) & steering
    assert any("omeone else's race" in caption.value for caption in stranger.caption)
    assert not stranger.code, "the log may name folders"
    assert keys(open_page(token=ALICE, run=run_id)) & steering


def test_a_forged_session_is_refused_in_one_line(store: Store) -> None:
    """As if the buttons were there: the client asks whose race it is, whatever a page shows."""
    run_id, client = race_of(store, ALICE, state="paused"), Client(store)
    for forged in (Person(owner(BOB)), Person(""), Person(owner(ALICE).upper())):
        for action in (client.races.pause, client.races.resume, client.races.stop, client.races.purge):
            with pytest.raises(PermissionError, match=r"^[^\n]+$"):
                action(run_id, forged)
    assert store.runs.get(run_id).state == "paused"


def test_a_button_pressed_by_who_may_not_any_more_says_so(store: Store) -> None:
    run_id = race_of(store, ALICE, state="running")
    store.make_teacher(owner(BOB))
    app = open_page(token=BOB, run=run_id)
    forget_teachers(store)
    app.button(key="stop_race").click().run()
    assert store.runs.get(run_id).want == "run"
    assert ["someone else" in toast.value for toast in app.toast] == [True]


def forget_teachers(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM owners")


def test_uploads_are_offered_to_who_made_them_only(store: Store) -> None:
    name = store.uploads.save("pets.zip", two_classes(), owner(ALICE))
    for token, offered in ((ALICE, True), (BOB, False)):
        app = open_page(token=token)
        app.selectbox(key="dataset").set_value("images").run()
        assert any(box.key == "data" for box in app.selectbox) == offered
    app = open_page(token=BOB, data=name, dataset="images", batch_size="2")
    assert not app.error, "who was given the address may use it"
    assert "delete_upload_for_good" not in {button.key for button in app.button}
    app = open_page(token=ALICE, data=name, dataset="images", batch_size="2")
    app.button(key="delete_upload_for_good").click().run()
    assert store.uploads.names() == []


# What the owner may do


def test_a_paused_race_is_resumed_or_deleted(store: Store) -> None:
    run_id = race_of(store, ALICE)
    app = open_page(run=run_id)
    app.button(key="pause_now").click().run()
    assert store.runs.get(run_id).state == "paused"
    app.button(key="resume_now").click().run()
    assert store.runs.get(run_id).state == "queued"
    app.button(key="stop_race").click().run()
    assert store.runs.get(run_id).state == "stopped"
    assert "resume_now" in keys(app)
    app.button(key="delete_for_good").click().run()
    assert store.runs.get(run_id) is None
    assert not app.exception
    assert "run" not in app.query_params


def test_a_race_that_failed_before_a_checkpoint_cannot_be_resumed(store: Store) -> None:
    run_id = race_of(store, ALICE, state="failed", message="train_size 4000 must be at most 96")
    assert "resume_now" not in keys(open_page(run=run_id))
    store.queue.record_checkpoint(run_id)
    assert "resume_now" in keys(open_page(run=run_id))


def test_the_end_of_a_failed_races_log_is_folded_away(store: Store) -> None:
    run_id = race_of(store, ALICE, state="failed", message="two lines")
    store.run_folder(run_id).mkdir(parents=True, exist_ok=True)
    (store.run_folder(run_id) / "log.txt").write_text("first\n<b>last</b>\n")
    (tail,) = open_page(run=run_id).code
    assert "<b>last</b>" in tail.value


def test_a_race_may_run_alone(store: Store) -> None:
    app = open_page(preset="demo")
    assert not app.checkbox(key="exclusive").value
    app.checkbox(key="exclusive").check().run()
    app.button(key="start_race").click().run()
    assert [run.exclusive for run in store.runs.newest()] == [True]


def test_a_race_that_has_been_run_is_shown_where_a_new_one_would_wait(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSAM_SLOTS", "1")
    finished = race_of(store, BOB, state="finished")
    app = open_page(preset="demo")
    app.button(key="start_race").click().run()
    (own,) = store.runs.newest(owner=owner(ALICE))  # the place is free: it is run for real
    assert store.queue.assign(own.id, "cpu")
    other = open_page(token="c" * 43, preset="demo")
    other.button(key="start_race").click().run()
    assert finished in other.query_params["run"]
    assert len(other.info) == 1
    assert "stop_race" not in keys(other)
    other.button(key="run_anyway").click().run()
    (again,) = store.runs.newest(owner=owner("c" * 43))
    assert again.state == "queued"
    assert not other.info


def test_a_limit_is_told_in_one_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAM_OWNER_QUEUED", "1")
    race_of(store, ALICE)
    app = open_page(preset="demo", seed="1")
    app.button(key="start_race").click().run()
    assert len(store.runs.newest()) == 1
    (warning,) = app.warning
    assert_one_line_error(warning.value, ["1 race"])


# Teachers


def test_the_key_makes_a_teacher(store: Store) -> None:
    run_id = race_of(store, ALICE, state="running")
    app = open_page("system", BOB)
    file = store.home / "teacher.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for wrong in ("", "x", file.read_text()[:-2]):
        app.session_state["_tried"] = 0.0
        app.text_input(key="teacher_key").set_value(wrong)
        submit(app)
        assert ["teacher key" in error.value for error in app.error] == [True]
    app.text_input(key="teacher_key").set_value(file.read_text())
    submit(app)
    assert ["second" in error.value for error in app.error] == [True]
    assert not store.is_teacher(owner(BOB))
    app.session_state["_tried"] = 0.0
    submit(app)
    assert store.is_teacher(owner(BOB))
    teacher = open_page(token=BOB, run=run_id)
    assert keys(teacher) >= {"pause_now", "stop_race"}
    teacher.button(key="stop_race").click().run()
    assert store.runs.get(run_id).want == "stop"
    other = race_of(store, ALICE, seed=1, state="stopped")
    assert f"open_{other}" not in keys(open_page(token=BOB))
    everybody = open_page(token=BOB)
    everybody.toggle(key="everybody").set_value(True).run()
    assert f"open_{other}" in keys(everybody)


def submit(app: AppTest) -> None:
    next(button for button in app.button if button.label == "Become a teacher").click().run()


@pytest.mark.parametrize("text", ["", "\n", "short\n"])
def test_a_teacher_key_that_could_be_guessed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "teacher.key").write_text(text)
    with pytest.raises(ValueError, match="20 characters"):
        identity.teacher_key(tmp_path)


# Logins


def test_a_login_is_the_owner_wherever_one_logs_in(store: Store) -> None:
    one = open_page(token=ALICE, user={**ISSUER, "sub": "1"})
    one.button(key="start_race").click().run()
    (run,) = store.runs.newest()
    assert run.owner not in (owner(ALICE), "1")
    there = open_page(token=BOB, user={**ISSUER, "sub": "1"}, run=run.id)
    assert "stop_race" in keys(there)
    for other in (
        {**ISSUER, "sub": "2"},
        {**ISSUER, "sub": "1", "iss": "https://evil.example"},
        {"is_logged_in": False},
    ):
        assert "stop_race" not in keys(open_page(token=ALICE, user=other, run=run.id))


@pytest.mark.parametrize(
    ("claims", "is_teacher"),
    [
        ({"email": "T@School.example", "email_verified": True}, True),
        ({"email": "t@school.example", "email_verified": "true"}, True),
        ({"email": "t@school.example", "email_verified": False}, False),
        ({"email": "t@school.example"}, False),
        ({"email": "student@school.example", "email_verified": True}, False),
        ({}, False),
    ],
)
def test_a_teachers_address_must_be_verified(
    store: Store, monkeypatch: pytest.MonkeyPatch, claims: dict, is_teacher: bool
) -> None:
    monkeypatch.setenv("SSAM_TEACHERS", "other@school.example, t@school.example")
    run_id = race_of(store, ALICE)
    app = open_page(token=BOB, user={**ISSUER, "sub": "7", **claims}, run=run_id)
    assert ("stop_race" in keys(app)) == is_teacher


def test_where_people_log_in_the_key_counts_for_nothing(store: Store) -> None:
    run_id = race_of(store, ALICE)
    store.make_teacher(owner(BOB))
    assert "stop_race" not in keys(open_page(token=BOB, user={"is_logged_in": False}, run=run_id))


def test_a_teacher_list_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAM_TEACHERS", "a@b.example; c@d.example")
    with pytest.raises(ValueError, match=r"SSAM_TEACHERS 'a@b\.example; c@d\.example' .*e-mail"):
        config.teachers()


# The web server


@pytest.fixture
def web() -> Starlette:
    return Starlette(
        routes=[Route("/", lambda request: HTMLResponse("page")), Route("/data", lambda request: JSONResponse({}))],
        middleware=middleware.MIDDLEWARE,
    )


def test_every_browser_gets_a_cookie_that_scripts_cannot_read_and_keeps_it(web: Starlette) -> None:
    browser, another = TestClient(web), TestClient(web)
    cookie = browser.get("/").headers["set-cookie"]
    found = re.match(f"ssam_owner=({identity.TOKEN}); Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax$", cookie)
    assert found
    assert browser.get("/").headers["set-cookie"].startswith(f"ssam_owner={found[1]};")
    assert found[1] not in another.get("/").headers["set-cookie"]
    assert "set-cookie" not in browser.get("/data").headers
    accepts = {"accept": "text/html"}
    assert "set-cookie" in browser.get("/data", headers=accepts).headers, "as where the browser has the page already"
    chosen = TestClient(web, "https://lab.example", cookies={"ssam_owner": "admin"}).get("/").headers["set-cookie"]
    assert chosen.endswith("; Secure")
    assert not chosen.startswith("ssam_owner=admin;")


def test_pages_and_data_carry_the_headers(web: Starlette) -> None:
    for path in ("/", "/data", "/nowhere"):
        headers = TestClient(web).get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'self'" in headers["content-security-policy"]


def test_health_tells_whether_races_can_be_read_and_nothing_else(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    probe = TestClient(Starlette(routes=middleware.ROUTES))
    answer = probe.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "runner": False})

    def broken() -> Lab:
        raise ValueError("postgresql://ssam:secret@db.example/ssam cannot be reached")

    monkeypatch.setattr(middleware.services, "lab", broken)
    answer = probe.get("/health")
    assert (answer.status_code, list(answer.json())) == (503, ["status"])
    assert "postgresql" not in answer.text
    assert "secret" not in caplog.text


def test_the_entry_is_the_application_for_the_server_and_the_navigation_for_a_session(store: Store) -> None:
    from streamlit.web.server.app_discovery import discover_asgi_app

    entry = ROOT / "app" / "main.py"
    assert discover_asgi_app(entry).import_string == "main:app"
    namespace: dict = {"__name__": "main", "__file__": str(entry)}
    exec(compile(entry.read_text(), str(entry), "exec"), namespace)
    assert namespace["app"].script_path == entry


# The System page


def test_the_system_page_tells_everybody_about_the_server_and_only_teachers_about_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = race_of(store, ALICE, state="failed", message="the race process was killed (signal 9)")
    race_of(store, ALICE, seed=1)
    race_of(store, BOB, seed=2)
    monkeypatch.setattr("ssam.jobs.runner_process.RunnerProcess.ensure", lambda self: None)
    bob = open_page("system", BOB)
    shown = {metric.label: metric.value for metric in bob.metric}
    assert shown["In the queue"] == "2"
    assert shown["Runner"] == "down"
    assert re.match(r"\d+\.\d GB$", shown["Memory"])
    text = told(bob)
    assert "signal 9" not in text
    assert "seed 1" not in text
    assert "seed 2" in text
    assert "None." in text
    alice = told(open_page("system", ALICE))
    assert "signal 9" in alice
    store.make_teacher(owner(BOB))
    teacher = told(open_page("system", BOB))
    assert "signal 9" in teacher
    assert all(f"seed {seed}" in teacher for seed in (1, 2))
    assert failed not in text
    assert owner(ALICE) not in teacher, "not even a teacher gets what the store knows an owner by"


def told(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.text, *app.expander, *app.metric]
    tables = [table.value.to_string() for table in app.table]
    return "\n".join([str(getattr(part, "value", "") or getattr(part, "label", "")) for part in parts] + tables)


def test_the_database_password_is_never_shown(store: Store) -> None:
    from app.system import data

    class Told:
        url = "postgresql+psycopg://ssam:geheim@db.example/ssam"

    text = str(data.versions(replace(Lab(store, Client(store)), store=Told())))
    assert "PostgreSQL" in text
    assert "geheim" not in text
    assert "db.example" not in text
