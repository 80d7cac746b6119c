"""``python -m ssam runs``, ``export`` and ``report``: list and export the races of the lab."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ssam.catalogue import DATASETS, MODELS
from ssam.cli.lab import one_line
from ssam.cli.program import PROGRAM
from ssam.methods import METHODS
from ssam.store import Run, Store
from ssam.store.search import PAGE, SORTS, RunQuery, RunRow, facts
from ssam.store.views import State

if TYPE_CHECKING:
    from ssam.export.source import Weights

LINE = "{:<24}{:<13}{:<18}{:<52}{:>9}{:>9}"
MANY = 500  # races read at once
NEWEST = "last"
RACE = f"its id, a prefix of it, or {NEWEST!r}"


def flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_list)
    command.add_argument(
        "words", metavar="WORD", nargs="*", help="words that must all occur in the settings, name, tags, note or id"
    )
    for name, allowed in (("state", get_args(State)), ("dataset", DATASETS), ("model", MODELS), ("method", METHODS)):
        command.add_argument(f"--{name}", choices=list(allowed), help=f"only races of this {name}")
    command.add_argument("--tag", metavar="X", help="only races with this tag")
    command.add_argument("--sort", choices=SORTS, default=SORTS[0], help=f"(default {SORTS[0]})")
    command.add_argument("--limit", metavar="N", type=int, default=PAGE, help=f"at most N races (default {PAGE})")
    command.add_argument("--owner", metavar="X", help="only races of this owner, as named by the lab; default all")
    command.add_argument("--json", action="store_true", help="one JSON object per line, one line per race")


def export_flags(command: argparse.ArgumentParser) -> None:
    from ssam.export import ALL, FORMATS

    command.set_defaults(run=_export)
    command.add_argument("races", metavar="RACE", nargs="+", help=RACE)
    command.add_argument(
        "--kinds", metavar="X", default=ALL, help=f"separated by commas: {', '.join(FORMATS)} (default {ALL})"
    )
    _take_flags(command)


def report_flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_export, kinds="report")
    command.add_argument("races", metavar="RACE", nargs="+", help=RACE)
    _take_flags(command)


def _take_flags(command: argparse.ArgumentParser) -> None:
    about = "folder in which to create a folder per race (default: the current one)"
    command.add_argument("--to", metavar="FOLDER", type=Path, default=Path(), help=about)
    command.add_argument("--json", action="store_true", help="one JSON object per line, one line per race")


def _list(options: argparse.Namespace) -> int:
    if options.limit < 1:
        raise ValueError(f"limit '{options.limit}' must be a whole number from 1")
    with closing(Store()) as store:
        rows = list(_found(store, options))
    if not options.json:
        if rows:
            print(LINE.format("id", "state", "begun", "what", "accuracy", "seconds"))
        else:
            print("no race matches", file=sys.stderr)
    for listed in rows:
        print(json.dumps(_object(listed), allow_nan=False) if options.json else _line(listed), flush=True)
    return 0 if rows else 1


def _found(store: Store, options: argparse.Namespace) -> Iterator[RunRow]:
    filters = {name: getattr(options, name) for name in ("state", "dataset", "model", "method", "tag", "sort")}
    left, size = options.limit, min(options.limit, MANY)
    page = pages = 1
    while page <= pages and left > 0:
        result = store.runs.search(
            RunQuery(text=" ".join(options.words), page=page, size=size, **filters), options.owner
        )
        yield from result.rows[:left]
        left, page, pages = left - len(result.rows), page + 1, result.pages


def _title(run: Run) -> str:
    return facts(run.id, run.spec.model_dump_json(), None).title


def _line(listed: RunRow) -> str:
    run = listed.run
    begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created))
    lanes = ", ".join(run.spec.lane_names)
    what = f"{listed.labels.name or _title(run)}: {lanes}"
    accuracy = "–" if listed.accuracy is None else f"{listed.accuracy:.2%}"
    return LINE.format(
        run.id, run.state, begun, what if len(what) <= 50 else f"{what[:49]}…", accuracy, f"{listed.seconds:.0f}"
    )


def _object(listed: RunRow) -> dict[str, Any]:
    run, written = listed.run, listed.labels
    about = {"id": run.id, "state": run.state, "created": run.created, "owner": run.owner, "progress": run.progress}
    about |= {"name": written.name, "tags": list(written.tags), "note": written.note, "title": _title(run)}
    about |= {"accuracy": listed.accuracy, "seconds": listed.seconds, "shared": run.shared, "message": run.message}
    return about | {"spec": run.spec.model_dump(mode="json", exclude_defaults=True), "result": run.result}


def find(store: Store, named: str) -> Run:
    """Return a race by its id, by a unique prefix of it, or the latest one. Raise ValueError, one line."""
    if (run := store.runs.get(named)) is not None and run.analysis is None:
        return run
    fitting = store.runs.newest(1) if named == NEWEST else store.runs.newest(2, begins=named) if len(named) >= 4 else []
    if len(fitting) != 1:
        why = "several races match" if fitting else "no such race"
        raise ValueError(f"race {named[:40]!r}: {why}; allowed: an id, its first 4 or more characters, or {NEWEST}")
    return fitting[0]


def _export(options: argparse.Namespace) -> int:
    from ssam import export  # imported late: matplotlib and pandas are slow to load

    names = export.check_formats(options.kinds)
    with closing(Store()) as store:
        runs = [find(store, named) for named in options.races]  # check all of them first
        for run in runs:
            folder = options.to / f"race-{run.id[:8]}"
            source = export.Source(
                store, run, labels=store.runs.labels(run.id), last_weights=partial(_last_weights, store, run)
            )
            with one_line(folder):
                missing = export.write(source, names, folder)
            for kind, why in missing.items():
                print(f"{PROGRAM} {options.command}: {run.id[:8]} {kind}: {why}", file=sys.stderr)
            files = sorted(str(path) for path in folder.rglob("*") if path.is_file())
            if options.json:
                print(json.dumps({"id": run.id, "folder": str(folder), "files": files, "missing": missing}), flush=True)
            else:
                print("\n".join(files), flush=True)
    return 0


def _last_weights(store: Store, run: Run) -> "dict[str, tuple[int, Weights]]":
    """Return, by lane, the number of steps and the weights of the latest readable checkpoint. Import torch. Raise ValueError if
    there is none."""
    from ssam.jobs import checkpoints

    lanes = checkpoints.read_newest(store.run_folder(run.id)).state["lanes"]
    return {
        name: (lane["step_count"], {key: value.cpu().numpy() for key, value in lane["model"].items()})
        for name, lane in lanes.items()
        if not lane["diverged"]
    }
