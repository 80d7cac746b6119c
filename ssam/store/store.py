"""The run store as others see it: where races are put, found, steered and read."""

import math
import os
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from sqlalchemy import (
    ColumnElement,
    bindparam,
    delete,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec, Found, Moment
from ssam.imagefolder import upload
from ssam.imagefolder.preview import Preview
from ssam.planning.estimate import Rate
from ssam.store import analyses, class_queries, compare_queries, reader, run_list, search, step_rows
from ssam.store import annotations as labels
from ssam.store.annotations import KEPT, Labels
from ssam.store.database import default_url, open_database
from ssam.store.places import without_folders
from ssam.store.schema import new_id, owners, runs
from ssam.store.sweeps import Sweeps
from ssam.store.views import ALIVE, ENDED, RESUMABLE, ClassRace, Heatmap, LaneCourse, Run, State, Want, Window
from ssam.store.writer import Writer
from ssam.system import default_home

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Job:
    """A queued or living run as the runner sees it; ``pid`` and ``pid_started`` name the race process, ``digest`` the
    specification, ``class_code`` the class whose wall it is on, ``sweep`` the one that it is a trial of."""

    id: str
    owner: str
    created: float
    state: State
    want: Want
    pid: int | None
    pid_started: float | None
    shared: bool
    exclusive: bool
    digest: str
    device: str
    slot: str | None
    attempts: int
    class_code: str | None = None
    sweep: str | None = None


LOG_TAIL_BYTES = 20_000  # of a log are looked at

_JOBS = (  # built once: the runner asks many times a second
    select(*(runs.c[field.name] for field in fields(Job)))
    .where(
        ((runs.c.state == "queued") & (runs.c.place.is_(None) | (runs.c.place == bindparam("here"))))
        | (runs.c.state.in_(ALIVE) & (runs.c.place == bindparam("here")))
    )
    .order_by(runs.c.created, runs.c.key)
)


class Store:
    """All runs of one home folder, or of several that share a database: each has its own runner, and they share the queue.

    Args:
        home: database, run folders and uploads; default ``SSAM_HOME``, else ``~/.ssam-lab``.
        url: SQLite or PostgreSQL as a SQLAlchemy URL; default ``SSAM_DATABASE_URL``, else SQLite (WAL) in the home folder.

    Creates what is missing and upgrades a database of an earlier version; raises ValueError, one line, for one of a later
    version or one that cannot be opened. ``sweeps`` are its sweeps. ``place`` is the host and the home folder: what a run that is alive keeps as the
    place of its process. Safe to use from threads and from any number of processes; make a new one after a fork.
    """

    def __init__(self, home: Path | None = None, url: str | None = None) -> None:
        self.home = home.expanduser().resolve() if home else default_home()
        self.place = f"{platform.node()}:{self.home}"
        self.url = url or os.environ.get("SSAM_DATABASE_URL") or default_url(self.home)
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)  # a new one is for this server's user only
        self.image_root.mkdir(exist_ok=True)
        _refuse_emptied(self.home)
        self._engine = open_database(self.url)
        self._known = search.Known()
        self.sweeps = Sweeps(self._engine, self.place)

    @property
    def image_root(self) -> Path:
        return self.home / "images"

    def run_folder(self, run_id: str) -> Path:
        return self.home / "runs" / run_id

    def close(self) -> None:
        """Lets the database connections go."""
        self._engine.dispose()

    # Putting in and finding again

    def create_run(
        self,
        spec: RaceSpec,
        request_id: str,
        owner: str = "",
        exclusive: bool = False,
        class_code: str | None = None,
        sweep: str | None = None,
    ) -> str:
        """Queues a race and returns its id, which cannot be guessed. The same ``request_id`` again makes no second
        race: it returns the id of the first."""
        about = {"digest": spec.digest, "class_code": class_code, "sweep": sweep}
        return self._create(spec, request_id, owner, exclusive, about)

    def _create(self, spec: RaceSpec, request_id: str, owner: str, exclusive: bool, about: dict[str, Any]) -> str:
        run_id = new_id()
        row: dict[str, Any] = {"id": run_id, "request_id": request_id, "owner": owner, "spec": spec.model_dump_json()}
        row |= {"device": spec.device, "exclusive": exclusive, **about}
        row |= {"created": time.time(), "state": "queued", "want": "run"}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(runs).values(**row, message="", shared=False, trained=0.0, attempts=0))
        except IntegrityError:
            known = self.requested(request_id)
            assert known is not None
            return known
        return run_id

    def create_analysis(self, run: Run, analysis: AnalysisSpec, request_id: str, owner: str = "") -> str:
        """Queues an analysis of a race and returns its id; the same ``request_id`` again returns the first one's."""
        about = {"parent": run.id, "analysis": analysis.model_dump_json(exclude_defaults=True)}
        about |= {"digest": analysis.digest(run.id, run.checkpointed), "place": self.place}  # here the weights lie
        return self._create(run.spec, request_id, owner, False, about)

    def requested(self, request_id: str) -> str | None:
        """The run that this request made; None where it has made none."""
        with self._engine.connect() as connection:
            return connection.execute(select(runs.c.id).where(runs.c.request_id == request_id)).scalar()

    def run(self, run_id: str, deleted: bool = False) -> Run | None:
        """One run, None where there is none of that id. One that was deleted and can be had back is there only for who asks so."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(runs).where(runs.c.id == run_id, true() if deleted else KEPT)).all()
            return next(iter(run_list.views(connection, rows)), None)

    def runs(self, limit: int = 50, owner: str | None = None, trials: bool = True, begins: str = "") -> list[Run]:
        """The newest races, newest first: everybody's, or one owner's; with the ``trials`` of sweeps or without them; those whose
        id ``begins`` so."""
        mine = runs.c.analysis.is_(None) & KEPT & (true() if owner is None else runs.c.owner == owner)
        mine &= true() if trials else runs.c.sweep.is_(None)
        mine &= func.substr(runs.c.id, 1, len(begins)) == begins if begins else true()
        with self._engine.connect() as connection:
            newest = select(runs).where(mine).order_by(runs.c.created.desc(), runs.c.key.desc()).limit(limit)
            return run_list.views(connection, connection.execute(newest).all())

    def some_runs(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Several runs by their ids; those that do not exist are left out."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(runs).where(runs.c.id.in_(run_ids), KEPT)).all()
            return {run.id: run for run in run_list.views(connection, rows)}

    def twin(self, spec: RaceSpec, class_code: str | None = None) -> Run | None:
        """The newest finished run of just this race, anybody's or within a class; None where it has not been run."""
        same = (runs.c.digest == spec.digest) & (runs.c.state == "finished") & KEPT
        if class_code is not None:
            same &= runs.c.class_code == class_code
        with self._engine.connect() as connection:
            newest = select(runs).where(same).order_by(runs.c.created.desc(), runs.c.key.desc()).limit(1)
            return next(iter(run_list.views(connection, connection.execute(newest).all())), None)

    def delete(self, run_id: str) -> bool:
        """Takes a run away with all that was kept of it, its analyses too; False where a process of one is alive, or there is none."""
        whole = (runs.c.id == run_id) | (runs.c.parent == run_id)
        with self._engine.begin() as connection:
            found = connection.execute(select(runs.c.id, runs.c.state).where(whole)).all()
            if run_id not in {row.id for row in found} or any(row.state in ALIVE for row in found):
                return False
            gone = delete(runs).where(whole, runs.c.state.not_in(ALIVE))  # the other tables follow by themselves
            if connection.execute(gone).rowcount != len(found):  # one has just started
                connection.rollback()
                return False
        for row in found:
            if self.run_folder(row.id).exists():
                shutil.rmtree(self.run_folder(row.id))
        return True

    # What people write on races; who may is the caller's business

    def search(
        self,
        wanted: search.Wanted,
        owner: str | None = None,
        ids: Sequence[str] | None = None,
        deleted: bool = False,
    ) -> search.Found:
        """One page of an owner's races, of everybody's (None) or of those with these ``ids``; deleted ones that can be had back
        only where asked for, and then no others."""
        with self._engine.connect() as connection:
            return search.search(connection, self._known, wanted, owner, ids, deleted)

    def labels(self, run_id: str) -> Labels:
        """Name, tags and note of a race; empty ones where nobody has written any."""
        with self._engine.connect() as connection:
            return labels.read(connection, run_id)

    def label(self, run_id: str, written: Labels) -> bool:
        """Writes name, tags and note on a race, in place of what was there; False where there is no such race."""
        with self._engine.begin() as connection:
            return labels.write(connection, run_id, written)

    def discard(self, run_id: str) -> bool:
        """Deletes a race so that it can be had back for a while (``labels.UNDO_SECONDS``); False where it is queued or alive, or
        there is none. ``delete`` is for good."""
        with self._engine.begin() as connection:
            return labels.discard(connection, run_id)

    def restore(self, run_id: str) -> bool:
        """Takes ``discard`` back; False where the race is gone by now."""
        with self._engine.begin() as connection:
            return labels.restore(connection, run_id)

    def discarded(self, before: float | None = None) -> list[str]:
        """The races that ``discard`` has deleted, before a time where it is given; the longest ago first."""
        with self._engine.connect() as connection:
            return list(labels.discarded(connection, before))

    # Steering: every change of state is one UPDATE that says which states it may leave

    def want(self, run_id: str, want: Want) -> None:
        """Says what should become of a run. One without a process is paused or stopped at once; a race process sees to it
        itself. Runs that have ended and unknown ids are left alone."""
        if want == "stop" and self.move(run_id, ("queued", "paused"), "stopped", want="stop"):
            return
        if want == "pause" and self.move(run_id, ("queued",), "paused", want="run"):
            return
        self._update((runs.c.id == run_id) & runs.c.state.in_(ALIVE) & (runs.c.want != "stop"), want=want)

    def resume(self, run_id: str) -> None:
        """Queues a run again that was paused, stopped, interrupted or failed, at its old place; takes back a wish to pause that was
        not yet fulfilled."""
        if not self.move(run_id, RESUMABLE, "queued", want="run", message="", attempts=0):
            self.want(run_id, "run")

    def take(self, run_id: str, slot: str) -> bool:
        """The runner takes a queued run to its place, on a device; False where it may not any more."""
        ready = (runs.c.id == run_id) & (runs.c.state == "queued")
        fresh = {"pid": None, "pid_started": None, "heartbeat": None, "started": time.time(), "ended": None}
        return self._update(ready, state="starting", place=self.place, slot=slot, attempts=runs.c.attempts + 1, **fresh)

    def claim(self, run_id: str, pid: int, pid_started: float | None) -> bool:
        """The race process takes over the run it was started for; False where it was given up meanwhile."""
        free = (runs.c.id == run_id) & (runs.c.state == "starting") & runs.c.pid.is_(None)
        return self._update(free, pid=pid, pid_started=pid_started, heartbeat=time.time())

    def move(self, run_id: str, leave: Sequence[State], state: State, **values: Any) -> bool:
        """Changes the state if it is one of ``leave``; returns whether it did."""
        which = (runs.c.id == run_id) & runs.c.state.in_(leave)
        return self._update(which, state=state, **_ended(state), **values)

    def give_up(self, job: Job, state: State, message: str) -> bool:
        """The process of this job is gone: its run takes the state. False, and nothing done, where the run has another state,
        wish or process by now."""
        same = runs.c.pid.is_(None) if job.pid is None else runs.c.pid == job.pid
        want = "stop" if state == "stopped" else "run"
        which = (runs.c.id == job.id) & runs.c.state.in_(ALIVE) & (runs.c.want == job.want) & same
        return self._update(which, state=state, message=message, want=want, **_ended(state))

    def heartbeat(self, run_id: str, trained: float = 0.0) -> Want:
        """The race process says that it lives, and how many seconds it has trained since it last said so, by a clock that
        nobody sets; it is told what is wanted."""
        self._update(runs.c.id == run_id, heartbeat=time.time(), trained=runs.c.trained + trained)
        return self.wanted(run_id)

    def wanted(self, run_id: str) -> Want:
        with self._engine.connect() as connection:
            return connection.execute(select(runs.c.want).where(runs.c.id == run_id)).scalar_one()

    def checkpointed(self, run_id: str) -> None:
        """Notes that a checkpoint was written: the race has got somewhere."""
        self._update(runs.c.id == run_id, checkpointed=time.time(), attempts=0)

    def mark_shared(self, run_ids: Sequence[str]) -> None:
        """Notes that these runs ran beside others: their step times are not to be trusted."""
        self._update(runs.c.id.in_(run_ids), shared=True)

    def _update(self, which: ColumnElement[bool], **values: Any) -> bool:
        """One UPDATE of runs, so that what it looks at cannot change before it writes; whether there was any."""
        with self._engine.begin() as connection:
            return connection.execute(update(runs).where(which).values(**values)).rowcount > 0

    def jobs(self) -> list[Job]:
        """What is queued or alive, oldest first. A run that has been at another place before is that place's: there its
        checkpoint lies."""
        with self._engine.connect() as connection:
            return [Job(*row) for row in connection.execute(_JOBS, {"here": self.place})]

    def last_served(self, owner_ids: Sequence[str]) -> dict[str, float]:
        """When a race of each of these owners last started; who never had one is left out."""
        query = select(runs.c.owner, func.max(runs.c.started)).where(runs.c.owner.in_(owner_ids)).group_by(runs.c.owner)
        with self._engine.connect() as connection:
            return {owner: started for owner, started in connection.execute(query) if started is not None}

    def ended(self) -> list[str]:
        """The runs that have ended, the longest ago first."""
        with self._engine.connect() as connection:
            return list(
                connection.execute(select(runs.c.id).where(runs.c.state.in_(ENDED)).order_by(runs.c.ended)).scalars()
            )

    # Owners

    def is_teacher(self, owner: str) -> bool:
        with self._engine.connect() as connection:
            return bool(connection.execute(select(owners.c.teacher).where(owners.c.id == owner)).scalar())

    def make_teacher(self, owner: str) -> None:
        """From now on this owner may steer every race. Whether they may become one is the caller's business."""
        if not self.is_teacher(owner):
            with self._engine.begin() as connection:
                connection.execute(delete(owners).where(owners.c.id == owner))
                connection.execute(insert(owners).values(id=owner, teacher=True, since=time.time()))

    def writer(self, run_id: str) -> Writer:
        """The one writer of a run's events; raises ValueError for an unknown id."""
        with self._engine.connect() as connection:
            key = connection.execute(select(runs.c.key).where(runs.c.id == run_id)).scalar_one_or_none()
        if key is None:
            raise ValueError(f"there is no run {run_id[:60]!r}")
        return Writer(self._engine, key, self.run_folder(run_id))

    # Reading

    def log_tail(self, run_id: str, lines: int = 20) -> str:
        """The last lines that the race process printed, with its traceback if it failed; empty where it said nothing."""
        log = self.run_folder(run_id) / "log.txt"
        if not log.exists():
            return ""
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            return without_folders("\n".join(file.read().decode("utf-8", errors="replace").splitlines()[-lines:]))

    def window(self, run_id: str, points: int = 300) -> Window | None:
        """A run at this moment, at most ``points`` points a curve; None for an unknown id."""
        with self._engine.connect() as connection:
            return reader.window(connection, run_id, points)

    def records(self, run_ids: Sequence[str]) -> list[compare_queries.RaceRecord]:
        """Several races with the courses of their lanes and what was measured on them; those that do not exist are left out."""
        with self._engine.connect() as connection:
            return compare_queries.records(connection, run_ids)

    def siblings(self, spec: RaceSpec, owner: str) -> list[Run]:
        """An owner's races with these settings whatever the seed, by seed."""
        with self._engine.connect() as connection:
            return compare_queries.siblings(connection, spec, owner)

    def heatmap(self, run_id: str, lane: str, layer: str, step: int | None = None) -> Heatmap | None:
        """One layer's mask as it was made at ``step`` (default: the newest); None where there is none."""
        with self._engine.connect() as connection:
            return reader.heatmap(connection, self.run_folder(run_id), run_id, lane, layer, step)

    def mask_bits(self, run_id: str, lane: str, step: int | None = None) -> dict[str, np.ndarray] | None:
        """The mask made at ``step`` (default: the newest) to the bit: by layer, a bool array of its shape, True = perturbed. None
        where there is none, where it is no longer kept, and for networks of more than a million weights."""
        with self._engine.connect() as connection:
            return reader.mask_bits(connection, self.run_folder(run_id), run_id, lane, step)

    def mask_densities(self, run_id: str, lane: str) -> list[tuple[int, float, dict[str, float]]]:
        """Step, epoch and the share perturbed of each layer of every mask of a lane, the oldest first."""
        with self._engine.connect() as connection:
            return reader.mask_densities(connection, run_id, lane)

    # Classes

    def class_races(self, code: str, limit: int = 300) -> list[ClassRace]:
        """The newest races under a class code, the oldest of them first."""
        with self._engine.connect() as connection:
            return class_queries.races(connection, code, limit)

    def class_courses(self, keys: Sequence[int]) -> dict[int, list[LaneCourse]]:
        """How the lanes of these races have fared, by the race's ``key``; those that have not begun are left out."""
        with self._engine.connect() as connection:
            return class_queries.courses(connection, keys)

    def taken_seeds(self, code: str, spec: RaceSpec) -> set[int]:
        """The seeds under a class code with the settings of ``spec``, its own seed aside."""
        with self._engine.connect() as connection:
            return class_queries.taken_seeds(connection, code, spec)

    def class_count(self, code: str, owner: str) -> int:
        """How many races this owner has under a class code."""
        with self._engine.connect() as connection:
            return class_queries.count(connection, code, owner)

    # Analyses

    def analyses(self, run_id: str) -> list[Run]:
        """What has been or is being measured on a race, newest first."""
        with self._engine.connect() as connection:
            return analyses.of_race(connection, run_id)

    def measured(self, digest: str) -> Run | None:
        """The newest analysis of this digest that has not failed or been stopped; None where there is none."""
        same = (runs.c.digest == digest) & runs.c.analysis.is_not(None) & runs.c.state.not_in(RESUMABLE)
        with self._engine.connect() as connection:
            newest = select(runs).where(same).order_by(runs.c.created.desc(), runs.c.key.desc()).limit(1)
            return next(iter(run_list.views(connection, connection.execute(newest).all())), None)

    def keep_found(self, run_id: str, found: Found) -> None:
        """Keeps what an analysis knows so far. Raises OSError where there is no room: then everything is as it was."""
        analyses.keep_arrays(self.run_folder(run_id), found)  # first: who sees the row finds the whole file
        with self._engine.begin() as connection:
            analyses.keep_rows(connection, run_id, found)

    def found_arrays(self, run_id: str) -> dict[str, np.ndarray]:
        """What an analysis has to draw so far (its numbers are in ``Run.result``); empty before there is anything."""
        return analyses.arrays(self.run_folder(run_id))

    def snapshots(self, run_id: str) -> list[Moment]:
        """The moments of a race whose weights are kept, by lane and step."""
        return analyses.snapshots(self.run_folder(run_id))

    def table(self, run_id: str) -> "DataFrame | None":
        """One row per lane and evaluation, for a CSV file; None for an unknown id."""
        from pandas import DataFrame  # slow to import, and the runner has no use for it

        columns = (
            "lane method sparsity rho epoch step gradients seconds lr train_loss test_loss test_accuracy test_size final "
            "eigenvalue eigenvalue_residual eigenvalue_ms validation_loss validation_accuracy"
        )
        with self._engine.connect() as connection:
            rows = reader.epoch_rows(connection, run_id)
        return None if rows is None else DataFrame(rows, columns=columns.split())

    def steps_table(self, run_id: str) -> "DataFrame | None":
        """One row per lane and training step, for a file; None for an unknown id."""
        from pandas import DataFrame

        with self._engine.connect() as connection:
            columns = step_rows.read(connection, run_id)
        return None if columns is None else DataFrame(columns)

    def rate(self, device: str, model: str | None = None, shared: bool = False) -> Rate:
        """The speed of recent races on this machine and device (``auto``: those that left the choice to the engine), of this
        model where it has raced here before; else a guess that says so. Races that shared the machine count only where
        ``shared`` says so."""
        with self._engine.connect() as connection:
            return run_list.rate(connection, self.place, device, model, shared)

    # Uploaded images

    def save_images(self, name: str, data: bytes | BinaryIO, owner: str = "", most_bytes: float = math.inf) -> str:
        """Keeps an uploaded zip of images after checking it; returns the name to put into ``RaceSpec.data``. Everybody's together
        take at most ``most_bytes``. Raises ValueError (one line) where it is not acceptable."""
        return upload.save(self.image_root, name, data, owner, most_bytes)

    def delete_images(self, name: str, owner: str) -> None:
        """Takes an upload out of an owner's list, and from the disk where it is in nobody else's."""
        upload.delete(self.image_root, name, owner)

    def image_sizes(self, name: str) -> tuple[int, int]:
        """How many training and test images an upload lists. Raises ValueError where there is no such upload."""
        return upload.sizes(self.image_root, name)

    def preview(self, name: str) -> Preview:
        """What a race would find in an upload; the first time every picture is read. Raises ValueError, one line, where there is no
        such upload, or its layout is refused."""
        return upload.look(self.image_root, name)

    def thumbnails(self, name: str, size: int) -> tuple[tuple[str, bytes], ...]:
        """A few images of an upload as a network with an input of ``size`` × ``size`` gets them: class and PNG."""
        return upload.strip(self.image_root, name, size)

    def check_images(self, spec: RaceSpec) -> None:
        """Raises ValueError, one line, where a race of own images would not find them any more."""
        if spec.data and spec.data not in self.images():
            raise ValueError(f"the images {spec.data[:60]!r} are not on this server any more: upload them again")

    def races_of_images(self, name: str) -> list[Run]:
        """The races that use an upload, the newest first."""
        using = runs.c.analysis.is_(None) & KEPT & runs.c.spec.contains(f'"data":"{name}"', autoescape=True)
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(runs).where(using).order_by(runs.c.created.desc(), runs.c.key.desc())
            ).all()
            return run_list.views(connection, rows)

    def images(self, owner: str | None = None) -> list[str]:
        """The names of the uploads: everybody's, or one owner's."""
        return upload.names(self.image_root, owner)


def _refuse_emptied(home: Path) -> None:
    """SQLite takes a file that lost its content for a new database, and all races would seem never to have been."""
    database, page = home / "ssam.db", 4096
    if database.exists() and database.stat().st_size < page and any((home / "runs").glob("*")):
        raise ValueError(f"the run database {database} is empty, but runs/ is not: move it away and put a back-up back")


def _ended(state: State) -> dict[str, float]:
    return {"ended": time.time()} if state in ENDED else {}
