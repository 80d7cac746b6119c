"""Races as rows: create, find, label, delete. Permissions are checked by the caller."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, delete, func, insert, select, true
from sqlalchemy.exc import IntegrityError

from ssam.experiment import RaceSpec
from ssam.planning.estimate import Rate
from ssam.store import run_list, search
from ssam.store.annotations import KEPT, Labels, of_row, update_labels
from ssam.store.classes import seedless
from ssam.store.places import without_folders
from ssam.store.schema import labels, new_id, runs
from ssam.store.views import ALIVE, ENDED, Run

LOG_TAIL_BYTES = 20_000  # bytes of a log that are read

NEWEST_FIRST = (runs.c.created.desc(), runs.c.key.desc())
IS_RACE = runs.c.analysis.is_(None) & KEPT  # neither an analysis nor deleted


class Runs:
    """The races of a store, as ``Store.runs``."""

    def __init__(self, engine: Engine, home: Path, place: str) -> None:
        self._engine, self._home, self._place = engine, home, place
        self._facts = search.FactsCache()

    def folder(self, run_id: str) -> Path:
        return self._home / "runs" / run_id

    def create(
        self,
        spec: RaceSpec,
        request_id: str,
        owner: str = "",
        exclusive: bool = False,
        class_code: str | None = None,
        sweep: str | None = None,
    ) -> str:
        """Queue a race and return its id, which cannot be guessed. The same ``request_id`` returns the id of the first."""
        return self.insert(
            spec, request_id, owner, exclusive=exclusive, digest=spec.digest, class_code=class_code, sweep=sweep
        )

    def insert(self, spec: RaceSpec, request_id: str, owner: str, **values: Any) -> str:
        """Queue a run, a race or an analysis, with these ``values`` of its row; return its id, as ``create`` does."""
        run_id = new_id()
        values |= {"id": run_id, "request_id": request_id, "owner": owner, "spec": spec.model_dump_json()}
        values |= {"device": spec.device, "created": time.time(), "state": "queued", "want": "run"}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(runs).values(**values, message="", shared=False, trained=0.0, attempts=0))
        except IntegrityError:
            first = self.find_by_request(request_id)
            assert first is not None
            return first
        return run_id

    # Finding

    def get(self, run_id: str, deleted: bool = False) -> Run | None:
        """Return the run with this id, or None. Soft-deleted runs only with ``deleted``."""
        return next(iter(self._views((runs.c.id == run_id) & (true() if deleted else KEPT))), None)

    def get_many(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Return several runs by their ids; unknown ids are left out."""
        return {run.id: run for run in self._views(runs.c.id.in_(run_ids) & KEPT)}

    def newest(self, limit: int = 50, owner: str | None = None, trials: bool = True, begins: str = "") -> list[Run]:
        """Return the latest races, newest first: of all users or of one owner, with or without the ``trials`` of sweeps, with ids
        that start with ``begins``."""
        which = IS_RACE & (true() if owner is None else runs.c.owner == owner)
        which &= true() if trials else runs.c.sweep.is_(None)
        which &= func.substr(runs.c.id, 1, len(begins)) == begins if begins else true()
        return self._views(which, limit)

    def find_by_request(self, request_id: str) -> str | None:
        """Return the id of the run that this request made, or None."""
        with self._engine.connect() as connection:
            return connection.execute(select(runs.c.id).where(runs.c.request_id == request_id)).scalar()

    def find_identical(self, spec: RaceSpec, class_code: str | None = None) -> Run | None:
        """Return the newest finished run of the same race, by any user or within a class; None if it has not been run."""
        same = (runs.c.digest == spec.digest) & (runs.c.state == "finished") & KEPT
        same &= true() if class_code is None else runs.c.class_code == class_code
        return next(iter(self._views(same, 1)), None)

    def seed_replicas(self, spec: RaceSpec, owner: str) -> list[Run]:
        """Return an owner's races with these settings and any seed, by seed, the newest of each seed first."""
        begin = spec.model_dump_json().partition('"lanes":')[0]
        # Older specifications lack later settings, in their lanes and behind them.
        alike = runs.c.spec.startswith(begin, autoescape=True)
        candidates = self._views((runs.c.owner == owner) & IS_RACE & alike)
        same = [run for run in candidates if seedless(run.spec) == seedless(spec)]
        return sorted(same, key=lambda run: run.spec.seed)

    def using_upload(self, name: str) -> list[Run]:
        """Return the races that use an upload, newest first."""
        return self._views(IS_RACE & runs.c.spec.contains(f'"data":"{name}"', autoescape=True))

    def search(
        self, query: search.RunQuery, owner: str | None = None, ids: Sequence[str] | None = None, deleted: bool = False
    ) -> search.RunPage:
        """Return one page of an owner's races, of all users' (None) or of those with these ``ids``; with ``deleted`` the
        soft-deleted ones and no others."""
        with self._engine.connect() as connection:
            return search.search(connection, self._facts, query, owner, ids, deleted)

    def ended(self) -> list[str]:
        """Return the ids of the runs that have ended, the longest ago first."""
        query = select(runs.c.id).where(runs.c.state.in_(ENDED)).order_by(runs.c.ended)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def log_tail(self, run_id: str, lines: int = 20) -> str:
        """Return the last lines that the race process printed, with its traceback if it failed; empty if it printed nothing."""
        log = self.folder(run_id) / "log.txt"
        if not log.exists():
            return ""
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            return without_folders("\n".join(file.read().decode("utf-8", errors="replace").splitlines()[-lines:]))

    def rate(self, device: str, model: str | None = None, shared: bool = False) -> Rate:
        """Return the speed of recent races on this machine and device (``auto``: of those that left the choice to the engine), of
        this model if it has raced here; else a guess that says so. Races that shared the machine count only with ``shared``."""
        with self._engine.connect() as connection:
            return run_list.rate(connection, self._place, device, model, shared)

    def _views(self, which: ColumnElement[bool], limit: int | None = None) -> list[Run]:
        """Return the runs that match, newest first."""
        with self._engine.connect() as connection:
            newest = select(runs).where(which).order_by(*NEWEST_FIRST).limit(limit)
            return run_list.views(connection, connection.execute(newest).all())

    # Labelling and deleting

    def labels(self, run_id: str) -> Labels:
        """Return name, tags and note of a race; empty if none have been set."""
        query = select(labels).join(runs, runs.c.key == labels.c.run).where(runs.c.id == run_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return Labels() if row is None else of_row(row)

    def label(self, run_id: str, new: Labels) -> bool:
        """Replace name, tags and note of a race; return False if there is no such race."""
        with self._engine.begin() as connection:
            return update_labels(connection, run_id, name=new.name, tags=" ".join(new.tags), note=new.note)

    def soft_delete(self, run_id: str) -> bool:
        """Hide a race; ``undelete`` brings it back for ``annotations.UNDO_SECONDS``. Return False if it is queued, alive or unknown."""
        with self._engine.begin() as connection:
            return update_labels(connection, run_id, idle=True, deleted=time.time())

    def undelete(self, run_id: str) -> bool:
        """Restore a soft-deleted race; return False if it is gone."""
        with self._engine.begin() as connection:
            return update_labels(connection, run_id, deleted=None)

    def soft_deleted(self, before: float | None = None) -> list[str]:
        """Return the ids of the soft-deleted races, those deleted ``before`` a time if given; the longest ago first."""
        deleted = labels.c.deleted.is_not(None) if before is None else labels.c.deleted < before
        query = select(runs.c.id).join(labels, runs.c.key == labels.c.run).where(deleted).order_by(labels.c.deleted)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def purge(self, run_id: str) -> bool:
        """Delete a run permanently, with its files and its analyses. Return False if one of their processes is alive, or the id is
        unknown."""
        family = (runs.c.id == run_id) | (runs.c.parent == run_id)
        with self._engine.begin() as connection:
            rows: Sequence[Row] = connection.execute(select(runs.c.id, runs.c.state).where(family)).all()
            if run_id not in {row.id for row in rows} or any(row.state in ALIVE for row in rows):
                return False
            gone = delete(runs).where(family, runs.c.state.not_in(ALIVE))  # the other tables cascade
            if connection.execute(gone).rowcount != len(rows):  # one has just started
                connection.rollback()
                return False
        for row in rows:
            if self.folder(row.id).exists():
                shutil.rmtree(self.folder(row.id))
        return True
