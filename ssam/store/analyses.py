"""What was measured on the weights of races: rows of ``runs`` with a parent, and a file of arrays each.

All functions take a connection or a folder; ``Store`` is how others reach them.
"""

import json
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, select, update

from ssam.experiment.analysis import Found, Moment
from ssam.store.arrays import load_arrays, save_arrays
from ssam.store.files import write_whole
from ssam.store.run_list import views
from ssam.store.schema import finite, runs
from ssam.store.views import Run

ARRAYS = "found.npz"


def of_race(connection: Connection, run_id: str) -> list[Run]:
    """The analyses of a race, newest first."""
    newest = select(runs).where(runs.c.parent == run_id).order_by(runs.c.created.desc(), runs.c.key.desc())
    return views(connection, connection.execute(newest).all())


def keep_arrays(folder: Path, found: Found) -> None:
    """What there is to draw takes the place of what was."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / ARRAYS, lambda file: save_arrays(file, found.arrays))


def keep_rows(connection: Connection, run_id: str, found: Found) -> None:
    """The same for the numbers, and for how far it is."""
    told = json.dumps(finite({"about": found.about, "rows": found.rows}))
    which = update(runs).where(runs.c.id == run_id)
    connection.execute(which.values(done=found.done, message=found.message, result=told))


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """What an analysis has to draw so far; empty before there is anything."""
    path = folder / ARRAYS
    return load_arrays(path) if path.exists() else {}


def snapshots(folder: Path) -> list[Moment]:
    """The kept weights of a race, by lane and step."""
    names = (path.stem.split("-") for path in (folder / "weights").glob("[0-9]*-[0-9]*.npz"))
    return sorted(Moment(int(lane), int(step)) for lane, step in names)
