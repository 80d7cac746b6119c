"""Analyses of the weights of races: rows of ``runs`` with a parent, each with a file of arrays."""

import json

import numpy as np
from sqlalchemy import Engine, select, update

from ssam.experiment.analysis import AnalysisSpec, Found, Moment
from ssam.store import run_list
from ssam.store.arrays import load_arrays, save_arrays
from ssam.store.files import write_whole
from ssam.store.runs import NEWEST_FIRST, Runs
from ssam.store.schema import finite, runs
from ssam.store.views import RESUMABLE, Run

ARRAYS = "found.npz"


class Analyses:
    """The analyses of a store, as ``Store.analyses``."""

    def __init__(self, engine: Engine, all_runs: Runs, place: str) -> None:
        self._engine, self._runs, self._place = engine, all_runs, place

    def create(self, run: Run, analysis: AnalysisSpec, request_id: str, owner: str = "") -> str:
        """Queue an analysis of a race and return its id; the same ``request_id`` returns the id of the first."""
        return self._runs.insert(
            run.spec,
            request_id,
            owner,
            exclusive=False,
            digest=analysis.digest(run.id, run.checkpointed),
            parent=run.id,
            analysis=analysis.model_dump_json(exclude_defaults=True),
            place=self._place,  # where the weights are
        )

    def of_race(self, run_id: str) -> list[Run]:
        """Return the analyses of a race, finished or not, newest first."""
        newest = select(runs).where(runs.c.parent == run_id).order_by(*NEWEST_FIRST)
        with self._engine.connect() as connection:
            return run_list.views(connection, connection.execute(newest).all())

    def find(self, digest: str) -> Run | None:
        """Return the latest analysis of this digest that has not failed or been stopped, or None."""
        same = (runs.c.digest == digest) & runs.c.analysis.is_not(None) & runs.c.state.not_in(RESUMABLE)
        newest = select(runs).where(same).order_by(*NEWEST_FIRST).limit(1)
        with self._engine.connect() as connection:
            return next(iter(run_list.views(connection, connection.execute(newest).all())), None)

    def save_result(self, run_id: str, result: Found) -> None:
        """Save the result so far of an analysis. Raise OSError, and change nothing, if the disk is full."""
        folder = self._runs.folder(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        # The file first: whoever sees the row must find it complete.
        write_whole(folder / ARRAYS, lambda file: save_arrays(file, result.arrays))
        text = json.dumps(finite({"about": result.about, "rows": result.rows}))
        values = {"done": result.done, "message": result.message, "result": text}
        with self._engine.begin() as connection:
            connection.execute(update(runs).where(runs.c.id == run_id).values(values))

    def arrays(self, run_id: str) -> dict[str, np.ndarray]:
        """Return the arrays of the result so far (its numbers are in ``Run.result``); empty before there are any."""
        path = self._runs.folder(run_id) / ARRAYS
        return load_arrays(path) if path.exists() else {}

    def snapshots(self, run_id: str) -> list[Moment]:
        """Return the moments of a race whose weights are stored, by lane and step."""
        names = (path.stem.split("-") for path in (self._runs.folder(run_id) / "weights").glob("[0-9]*-[0-9]*.npz"))
        return sorted(Moment(int(lane), int(step)) for lane, step in names)
