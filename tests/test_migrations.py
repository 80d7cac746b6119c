"""A database of an earlier version becomes just what a new one is, with every race as it was; or it stays as it is.

``data/schema-1.sql`` is a database that version 1 of the tables was written to, with a race in every state.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, event, inspect, select, text

from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.sweep import parse_sweep
from ssam.store import Store, migrations
from ssam.store.database import open_database
from tests.old_database import engine_of, write_old_database

PROJECT = Path(__file__).resolve().parents[1]
TWO = parse_spec({"lanes": "sgd,ssam-f:sparsity=0.8", "seed": 3})
STATES = {  # after the upgrade, by number
    1: "finished", 2: "failed", 3: "stopped", 4: "interrupted", 5: "interrupted", 6: "stopped", 7: "running", 8: "paused", 9: "queued",
}  # fmt: skip


def race(number: int) -> str:
    return f"race-number-{number:02d}-------"


@pytest.fixture
def old_url(database_url: str, tmp_path: Path) -> str:
    """A version 1 database, once of each kind."""
    if database_url.startswith("sqlite"):
        write_old_database(Path(database_url.removeprefix("sqlite:///")))
        return database_url
    file = tmp_path / "version-1.db"
    write_old_database(file)
    source, target = create_engine(f"sqlite:///{file}"), engine_of(database_url)
    tables = MetaData()
    event.listen(
        tables, "column_reflect", lambda inspector, table, column: column.update(type=column["type"].as_generic())
    )
    tables.reflect(source)
    tables.create_all(target)
    with source.connect() as reading, target.begin() as writing:
        for table in tables.sorted_tables:
            writing.execute(table.insert(), [row._asdict() for row in reading.execute(select(table))])
        writing.execute(text("SELECT setval(pg_get_serial_sequence('runs', 'key'), 9)"))
    source.dispose()
    target.dispose()
    return database_url


@pytest.fixture
def upgraded(tmp_path: Path, old_url: str) -> Iterator[Store]:
    store = Store(tmp_path / "home", old_url)
    yield store
    store.close()


def described(url: str) -> dict[str, Any]:
    """Everything that the database says about its tables."""
    engine = engine_of(url)
    inspector = inspect(engine)
    told = {}
    for name in sorted(inspector.get_table_names()):
        columns = [{**column, "type": repr(column["type"])} for column in inspector.get_columns(name)]
        indexes = sorted(inspector.get_indexes(name), key=lambda index: str(index["name"]))
        told[name] = {"columns": columns, "indexes": indexes, "key": inspector.get_pk_constraint(name)}
        told[name] |= {"unique": inspector.get_unique_constraints(name), "foreign": inspector.get_foreign_keys(name)}
        for foreign in told[name]["foreign"]:
            foreign.pop("referred_schema", None)
    engine.dispose()
    return told


def test_the_tables_are_those_of_a_new_database(upgraded: Store, new_database: Callable[[], str]) -> None:
    new_url = new_database()
    open_database(new_url).dispose()
    new = described(new_url)
    assert {"runs", "owners", "labels", "sweeps", "trials", "duels", "steps", "masks"} <= set(new)
    assert described(upgraded.url) == new


def test_every_race_reads_as_before(upgraded: Store) -> None:
    runs = {run.id: run for run in upgraded.runs.newest()}
    assert {run_id: run.state for run_id, run in runs.items()} == {
        race(number): state for number, state in STATES.items()
    }
    finished = runs[race(1)]
    assert (finished.owner, finished.spec, finished.slot, finished.exclusive) == ("ada", TWO, None, False)
    assert finished.result is not None
    assert finished.result["lanes"][0]["test_loss"] is None
    sgd, ssam = upgraded.curves.window(finished.id).lanes
    assert (sgd.state, sgd.last_step, sgd.steps["loss"]) == ("finished", 12, [1 / number for number in range(1, 13)])
    assert [told["test_accuracy"] for told in ssam.epochs] == [0.5]
    assert [(told["step"], told["overlap"]) for told in ssam.masks] == [(1, None), (11, 0.6)]
    failed = upgraded.curves.window(race(2)).lanes[0]
    assert (failed.state, failed.steps["loss"][7:10]) == ("diverged", [1 / 8, None, 1 / 10])
    assert runs[race(2)].message.endswith(": out of memory")
    assert (runs[race(4)].want, runs[race(8)].want) == ("stop", "run")  # one had a process, one was held back
    assert runs[race(7)].spec.device == "cuda:0"


def test_the_new_columns_are_filled_and_used(upgraded: Store) -> None:
    twin = upgraded.runs.find_identical(TWO)
    assert twin is not None
    assert twin.id == race(1)
    assert upgraded.runs.find_identical(RaceSpec()) is None
    upgraded.queue.resume(race(8))
    assert [(job.id, job.device, job.attempts) for job in upgraded.queue.jobs()] == [
        (race(8), "auto", 0),
        (race(9), "auto", 0),
    ]
    elapsed = upgraded.curves.window(race(7)).elapsed
    assert elapsed == pytest.approx(0.5)  # until its last heartbeat
    new = upgraded.runs.create(TWO, "after the upgrade", "ada")
    assert next(run.id for run in upgraded.runs.newest(owner="ada")) == new
    assert upgraded.runs.purge(race(1))
    assert upgraded.curves.window(race(1)) is None


def test_evaluations_of_old_races_have_no_validation(upgraded: Store) -> None:
    table = upgraded.curves.epochs_table(race(1))
    assert table is not None
    assert len(table)
    assert table["validation_accuracy"].isna().all()
    assert all(told["validation_accuracy"] is None for told in upgraded.curves.window(race(1)).lanes[1].epochs)


def test_races_kept_before_a_setting_was_there_are_found_with_their_siblings(upgraded: Store) -> None:
    """The specification that was written down lacks the settings that came later."""
    assert {run.id for run in upgraded.runs.seed_replicas(TWO, "ada")} >= {race(1)}


def test_old_sweeps_keep_what_they_were_chosen_by(tmp_path: Path, old_url: str) -> None:
    """The scores of version 5 are test accuracies; those of pruned races are of a part of the test images."""
    engine = engine_of(old_url)
    spec = parse_sweep({"base": TWO, "vary": ["rho=0.1,0.2"], "lane": 2})
    with engine.begin() as connection:
        for version in range(1, 5):
            migrations.STEPS[version](connection)
        connection.execute(text("UPDATE meta SET schema_version = 5"))
        connection.execute(
            text(
                "INSERT INTO sweeps (id, request_id, owner, spec, state, created, place, message) "
                "VALUES ('old', 'once', 'ada', :spec, 'finished', 1.0, 'here', '')"
            ),
            {"spec": spec.model_dump_json(exclude_defaults=True)},
        )
        for number, state, score in ((0, "done", 0.7), (1, "pruned", 0.4)):
            connection.execute(
                text(
                    'INSERT INTO trials (sweep, number, seed, fresh, "values", state, score, message) '
                    "VALUES ('old', :number, 0, :fresh, :values, :state, :score, '')"
                ),
                {
                    "number": number,
                    "fresh": False,
                    "values": f'{{"rho": 0.{number + 1}}}',
                    "state": state,
                    "score": score,
                },
            )
    engine.dispose()
    with closing(Store(tmp_path / "home", old_url)) as store:
        found = store.sweeps.get("old")
        assert found is not None
        assert (found.spec, found.spec.chooses_by) == (spec, "test")
        assert [(trial.score, trial.test) for trial in store.sweeps.trials("old")] == [(0.7, 0.7), (0.4, None)]


def test_a_copy_of_the_old_database_is_kept(tmp_path: Path) -> None:
    write_old_database(tmp_path / "ssam.db")
    with ThreadPoolExecutor(6) as pool:  # all at once: one of them upgrades
        for store in pool.map(lambda _: Store(tmp_path), range(6)):
            assert len(store.runs.newest()) == len(STATES)
            store.close()
    with closing(sqlite3.connect(tmp_path / "ssam.db.v1.backup")) as copy, closing(sqlite3.connect(":memory:")) as old:
        old.executescript((PROJECT / "tests/data/schema-1.sql").read_text(encoding="utf-8"))
        assert list(copy.iterdump()) == list(old.iterdump())
    assert not list(tmp_path.glob("*.part"))


KILLED_AT_EVERY_STATEMENT = """
import os, signal, sys
from sqlalchemy import event
from ssam.store import database

url, stride, rounds = sys.argv[1], int(sys.argv[2]), 0
while True:
    rounds += stride
    if (child := os.fork()) == 0:
        left = rounds
        make = database.make_engine
        def counted(parsed):
            engine = make(parsed)
            @event.listens_for(engine, "after_cursor_execute")
            def count(*_):
                global left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return engine
        database.make_engine = counted
        database.open_database(url).dispose()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print("survived" if status == 0 else "killed" if os.WIFSIGNALED(status) else "error", flush=True)
    sys.stdin.readline()
    if status == 0:
        break
"""


def columns_of_runs(url: str) -> int:
    engine = engine_of(url)
    with engine.connect() as connection:
        number = len(connection.execute(text("SELECT * FROM runs")).keys())
    engine.dispose()
    return number


def test_killed_at_any_statement_it_is_old_or_new(old_url: str) -> None:
    stride = 1 if old_url.startswith("sqlite") else 6  # slower, and its transactions are less of our making
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_AT_EVERY_STATEMENT, old_url, str(stride)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        rounds = 0
        while (said := process.stdout.readline().strip()) == "killed":
            rounds += 1
            assert columns_of_runs(old_url) in (20, 28, 29, 30)
            process.stdin.write("\n")
            process.stdin.flush()
    assert said == "survived"
    assert rounds * stride > 15


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path, database_url: str) -> None:
    open_database(database_url).dispose()
    engine = engine_of(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE meta SET schema_version = 99"))
    engine.dispose()
    before = described(database_url)
    with pytest.raises(ValueError, match=r"^.*version 99, .* 8; .*newer") as refused:
        Store(tmp_path / "home", database_url)
    assert "\n" not in str(refused.value)
    assert described(database_url) == before
    assert not list(tmp_path.glob("*.backup"))


def test_what_old_races_did_not_record_is_filled_in_once(upgraded: Store) -> None:
    """So that nothing that reads them asks whether it is there. The tables of version 1 had neither stages nor a load."""
    run = upgraded.runs.get(race(1))
    assert run is not None
    assert run.started_info is not None
    assert run.result is not None
    assert {"stages", "warnings", "validation_size"} <= set(run.started_info)
    assert run.started_info["lanes"][0].keys() >= {"plan", "predicted_ratio", "exact", "total_steps"}
    assert {"load", "cores"} <= set(run.result)
    assert run.result["lanes"][1]["validation_accuracy"] is None


def test_complete_facts_keeps_what_is_there() -> None:
    started = {"stages": [{"name": "one", "share": 1.0}], "warnings": ["w"], "lanes": [{"plan": "two passes"}]}
    result = {"load": 1.5, "lanes": [{"validation_accuracy": 0.5}]}
    migrations.complete_facts(started, result)
    assert (started["stages"][0]["name"], started["warnings"], started["lanes"][0]["plan"]) == (
        "one",
        ["w"],
        "two passes",
    )
    assert (result["load"], result["cores"], result["lanes"][0]["validation_accuracy"]) == (1.5, None, 0.5)
