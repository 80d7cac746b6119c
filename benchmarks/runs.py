"""The time to list, compare and export races: ``python -m benchmarks.runs``.

One owner has 5,000 races of four lanes, written directly into the tables of a new lab, once in SQLite and once in PostgreSQL. Each kind
of listing is requested several times; the very first one, on a newly started server, is reported separately. Then twenty of the races are
compared (read, grouped, drawn and put into tables, as on the page Compare); the seeds of one race are found; one race of five lanes, 250
steps and three masks is exported in each format, as by the button *Export*; it is found by the first characters of its id; and
``ssam runs`` lists some races and all races.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

from sqlalchemy import insert

from app.compare import charts, groups, text
from app.ui import alt_text
from benchmarks.machine import machine
from ssam import export
from ssam.cli.runs import find
from ssam.experiment import ASSETS, RaceSpec, preset
from ssam.experiment.events import LaneResult, Result
from ssam.store import Store
from ssam.store.annotations import Labels
from ssam.store.database import open_database
from ssam.store.schema import epochs, lanes, runs
from ssam.store.search import RunQuery
from tests import fake_lab
from tests.browser import ROOT
from tests.postgres import Server, programs

FILE = ASSETS / "measured" / "runs.json"
OWNER, OTHER = "ada", "bob"
RACES, ROUNDS = 5000, 15
TAGGED = 50  # races with labels
COMPARED = 20
TAKEN = ("report", "csv", "parquet", "figures", "masks", "code", "race", "tensorboard")
LISTINGS = {
    "newest": RunQuery(),
    "page 60": RunQuery(page=60),
    "search": RunQuery(text='ssam-f "seed 7" noisy'),
    "search, nothing": RunQuery(text="xylophone"),
    "filters": RunQuery(state="finished", dataset="fashion-mnist-10k", model="cnn8", method="sam"),
    "tag": RunQuery(tag="demo"),
    "by name": RunQuery(sort="name"),
    "by accuracy": RunQuery(sort="accuracy"),
    "by cost": RunQuery(sort="cost"),
}


def fill(store: Store, races: int = RACES) -> None:
    """Add ``races`` finished races of one owner, and a tenth as many of another. The new lab may already have one race."""
    base, chance = preset("noisy-labels").spec, random.Random(0)
    engine = open_database(store.url)
    for begin in range(0, races + races // 10, 500):
        rows: dict = {runs: [], lanes: [], epochs: []}
        for key in range(begin + 1, begin + 501):
            spec = base.model_copy(update={"seed": key % 20, "rho": round(0.01 * (key % 37 + 1), 2)})
            rows[runs].append(race(key + 1, spec, OWNER if key <= races else OTHER, chance))
            for at, (name, lane) in enumerate(zip(spec.lane_names, spec.lanes, strict=True)):
                place = {"run": key + 1, "lane": at}
                done = {"total_steps": 465, "last_step": 465, "gradients": 930, "seconds": 12.0}
                about = {"name": name, "method": lane.method, "state": "finished", "refreshes": 15, "refresh_ms": 150.0}
                rows[lanes].append(place | about | done)
                rows[epochs] += [place | evaluation(epoch, chance) for epoch in range(1, spec.epochs + 1)]
        with engine.begin() as connection:
            for table, some in rows.items():
                connection.execute(insert(table), some)
    engine.dispose()
    for run in store.runs.newest(limit=TAGGED, owner=OWNER):
        store.runs.label(run.id, Labels("My own name", ("demo", "rho"), "A note."))


def race(key: int, spec: RaceSpec, owner: str, chance: random.Random) -> dict:
    ends = tuple(
        LaneResult(name, lane.method, 0.5, 0.1, 0.7 + 0.1 * chance.random(), 0.6, 12.3, 2.0, 12.0, False)
        for name, lane in zip(spec.lane_names, spec.lanes, strict=True)
    )
    about = {"id": f"race-{key:017d}", "request_id": str(key), "owner": owner, "spec": spec.model_dump_json()}
    about |= {"state": "finished", "want": "run", "created": 1e9 + key, "started": 1e9 + key, "ended": 2e9 + key}
    about |= {"message": "", "shared": False, "trained": 50 * chance.random(), "digest": spec.digest, "key": key}
    return about | {"result": json.dumps(asdict(Result("cpu", ends))), "attempts": 0, "exclusive": False}


def evaluation(epoch: int, chance: random.Random) -> dict:
    losses = {"train_loss": 0.5, "test_loss": 0.6, "test_accuracy": 0.8 - 0.5 / epoch + 0.01 * chance.random()}
    at = {"step": 31 * epoch, "epoch": float(epoch), "gradients": 62 * epoch, "seconds": 0.8 * epoch, "lr": 0.1}
    return {**at, **losses, "test_size": 2000, "final": False}


def measure(home: Path, url: str) -> dict:
    """Return milliseconds by kind of listing."""
    with closing(Store(home, url)) as store:
        whole = fake_lab.race(store, OTHER)
        fill(store)
    with closing(Store(home, url)) as store:  # a newly started server
        first = timed(store, RunQuery())
        told: dict = {"races": RACES, "first_ms": first}
        for name, wanted in LISTINGS.items():
            times = [timed(store, wanted) for _ in range(ROUNDS)]
            told[name] = {"median_ms": round(statistics.median(times), 1), "worst_ms": max(times)}
        found = store.runs.newest(limit=COMPARED, owner=OWNER)
        ids = [run.id for run in found]
        acts: dict[str, Callable[[], object]] = {
            f"compare {COMPARED}": lambda: compared(store, ids),
            "seeds of one": lambda: store.runs.seed_replicas(found[0].spec, OWNER),
            "find by the beginning of the id": lambda: find(store, whole.id[:8]),
            **{f"take away: {kind}": partial(export.download, export.Source(store, whole), [kind]) for kind in TAKEN},
        }
        for name, act in acts.items():
            times = [taken(act) for _ in range(ROUNDS)]
            told[name] = {"median_ms": round(statistics.median(times), 1), "worst_ms": max(times)}
    return told | {"command line, once_ms": command_line(home, url)}


def command_line(home: Path, url: str) -> dict[str, float]:
    """Return the milliseconds of whole commands, including the start of Python; each is run once."""
    environment = os.environ | {"SSAM_HOME": str(home), "SSAM_DATABASE_URL": url}

    def run(*words: str) -> bytes:
        command = [sys.executable, "-m", "ssam", *words]
        return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True).stdout

    listed = run("runs", "--limit", str(RACES), "--owner", OWNER, "--json")
    assert len(listed.splitlines()) == RACES
    commands = {
        "ssam runs --json, all": ("runs", "--limit", str(RACES), "--owner", OWNER, "--json"),
        "ssam runs": ("runs",),
    }
    return {name: taken(partial(run, *words)) for name, words in commands.items()}


def compared(store: Store, ids: list[str]) -> None:
    """Do the work of the server for one view of the page Compare, without Streamlit."""
    every = groups.groups(store.curves.records(ids))
    figure = charts.figure(every, every, every[0], "seconds", "test_accuracy", 3, charts.MINMAX)
    assert alt_text.summary(figure)
    assert alt_text.table(figure)
    text.summary(every, every[0])
    text.accuracy_rows(every, every[0])
    text.cost_rows(every)
    text.sharpness_rows(every)


def taken(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return round(1000 * (time.perf_counter() - begin), 1)


def timed(store: Store, wanted: RunQuery) -> float:
    begin = time.perf_counter()
    found = store.runs.search(wanted, OWNER)
    taken = round(1000 * (time.perf_counter() - begin), 1)
    assert found.all == RACES
    return taken


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    record: dict = {"command": "python -m benchmarks.runs", **machine(), "rounds": ROUNDS}
    binaries = programs()
    with closing(Server(binaries)) if binaries else nullcontext() as server:
        for kind in ("sqlite", *(["postgresql"] if server else [])):
            with tempfile.TemporaryDirectory() as folder:
                if kind == "postgresql":
                    assert server
                    server.start()
                url = f"sqlite:///{folder}/ssam.db" if kind == "sqlite" else server.new_database()
                record[kind] = measure(Path(folder), url)
                print(kind, json.dumps(record[kind], indent=1), flush=True)
    FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
