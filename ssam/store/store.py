"""The run store as others see it: where races are put, found, steered and read."""

import os
import platform
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock
from sqlalchemy import (
    URL,
    ColumnElement,
    Engine,
    bindparam,
    case,
    create_engine,
    event,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from ssam.spec import RaceSpec
from ssam.spec.estimate import Rate
from ssam.spec.host import default_home
from ssam.store import images, listing, reader, schema
from ssam.store.schema import runs
from ssam.store.views import ALIVE, ENDED, Heatmap, Run, State, Want, Window
from ssam.store.writer import Writer

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Job:
    """A queued or living run as the runner sees it; ``pid`` and ``pid_started`` name the race process."""

    id: str
    owner: str
    created: float
    state: State
    want: Want
    pid: int | None
    pid_started: float | None
    shared: bool


_JOBS = (  # built once: the runner asks many times a second
    select(*(runs.c[field.name] for field in fields(Job)))
    .where((runs.c.state == "queued") | (runs.c.state.in_(ALIVE) & (runs.c.place == bindparam("here"))))
    .order_by(runs.c.created, runs.c.key)
)


class Store:
    """All runs of one home folder, or of several that share a database: each has its own runner, and they share the queue.

    Args:
        home: database, run folders and uploads; default ``SSAM_HOME``, else ``~/.ssam-lab``.
        url: a SQLAlchemy URL; default ``SSAM_DATABASE_URL``, else SQLite (WAL) in the home folder.

    Creates what is missing; raises ValueError where the database is of another version. ``place`` is the host and the
    home folder: what a run that is alive keeps as the place of its process. Safe to use from threads
    and from any number of processes; make a new one after a fork.
    """

    def __init__(self, home: Path | None = None, url: str | None = None) -> None:
        self.home = home.expanduser().resolve() if home else default_home()
        self.place = f"{platform.node()}:{self.home}"
        self.url = url or os.environ.get("SSAM_DATABASE_URL") or _default_url(self.home)
        self.image_root.mkdir(parents=True, exist_ok=True)
        self._engine = _engine(self.url)
        with self._engine.connect() as connection:
            ready = schema.is_ready(connection)
        if not ready:
            with FileLock(self.home / "schema.lock"), self._engine.begin() as connection:
                if not schema.is_ready(connection):  # another process may have been faster
                    schema.create(connection)

    @property
    def image_root(self) -> Path:
        return self.home / "images"

    def run_folder(self, run_id: str) -> Path:
        return self.home / "runs" / run_id

    def close(self) -> None:
        """Lets the database connections go."""
        self._engine.dispose()

    # Putting in and finding again

    def create_run(self, spec: RaceSpec, request_id: str, owner: str = "") -> str:
        """Queues a race and returns its id, which cannot be guessed. The same ``request_id`` again makes no second
        race: it returns the id of the first."""
        run_id = secrets.token_urlsafe(16)
        row: dict[str, Any] = {"id": run_id, "request_id": request_id, "owner": owner, "spec": spec.model_dump_json()}
        row |= {"created": time.time(), "state": "queued", "want": "run"}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(runs).values(**row, message="", shared=False, trained=0.0))
        except IntegrityError:
            with self._engine.connect() as connection:
                return connection.execute(select(runs.c.id).where(runs.c.request_id == request_id)).scalar_one()
        return run_id

    def run(self, run_id: str) -> Run | None:
        """One run, None where there is none of that id."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(runs).where(runs.c.id == run_id)).all()
            return next(iter(listing.views(connection, rows)), None)

    def runs(self, limit: int = 50) -> list[Run]:
        """The newest runs, newest first."""
        with self._engine.connect() as connection:
            newest = select(runs).order_by(runs.c.created.desc(), runs.c.key.desc()).limit(limit)
            return listing.views(connection, connection.execute(newest).all())

    # Steering: every change of state is one UPDATE that says which states it may leave

    def want(self, run_id: str, want: Want) -> None:
        """Says what should become of a run. A queued run that is to stop is stopped at once; runs that have ended
        and unknown ids are left alone."""
        if want == "stop" and self.move(run_id, ("queued",), "stopped", want="stop"):
            return
        living = (runs.c.id == run_id) & runs.c.state.in_(("queued", *ALIVE)) & (runs.c.want != "stop")
        self._update(living, want=want)

    def take(self, run_id: str) -> bool:
        """The runner takes a queued run to its place; False where it may not any more."""
        ready = (runs.c.id == run_id) & (runs.c.state == "queued") & (runs.c.want == "run")
        return self._update(ready, state="starting", started=time.time(), place=self.place)

    def claim(self, run_id: str, pid: int, pid_started: float | None) -> bool:
        """The race process takes over the run it was started for; False where it was given up meanwhile."""
        free = (runs.c.id == run_id) & (runs.c.state == "starting") & runs.c.pid.is_(None)
        return self._update(free, pid=pid, pid_started=pid_started, heartbeat=time.time())

    def move(self, run_id: str, leave: Sequence[State], state: State, **values: Any) -> bool:
        """Changes the state if it is one of ``leave``; returns whether it did. Keeps the clocks: the training time
        runs in the state ``running`` only, and for an interrupted run it ended with the last heartbeat."""
        now = time.time()
        until = func.coalesce(runs.c.heartbeat, now) if state == "interrupted" else literal(now)
        stretch = case((until > runs.c.training_since, until - runs.c.training_since), else_=0.0)  # NULL: not training
        clocks = {"trained": runs.c.trained + stretch, "training_since": now if state == "running" else None}
        if state in ENDED:
            clocks["ended"] = now
        return self._update((runs.c.id == run_id) & runs.c.state.in_(leave), state=state, **clocks, **values)

    def heartbeat(self, run_id: str) -> Want:
        """The race process says that it lives, and is told what is wanted."""
        self._update(runs.c.id == run_id, heartbeat=time.time())
        return self.wanted(run_id)

    def wanted(self, run_id: str) -> Want:
        with self._engine.connect() as connection:
            return connection.execute(select(runs.c.want).where(runs.c.id == run_id)).scalar_one()

    def mark_shared(self, run_ids: Sequence[str]) -> None:
        """Notes that these runs ran beside others: their step times are not to be trusted."""
        self._update(runs.c.id.in_(run_ids), shared=True)

    def _update(self, which: ColumnElement[bool], **values: Any) -> bool:
        """One UPDATE of runs, so that what it looks at cannot change before it writes; whether there was any."""
        with self._engine.begin() as connection:
            return connection.execute(update(runs).where(which).values(**values)).rowcount > 0

    def jobs(self) -> list[Job]:
        """What is queued (any runner may take it) or alive at this place, oldest first."""
        with self._engine.connect() as connection:
            return [Job(*row) for row in connection.execute(_JOBS, {"here": self.place})]

    def writer(self, run_id: str) -> Writer:
        """The one writer of a run's events; raises ValueError for an unknown id."""
        with self._engine.connect() as connection:
            key = connection.execute(select(runs.c.key).where(runs.c.id == run_id)).scalar_one_or_none()
        if key is None:
            raise ValueError(f"there is no run {run_id[:60]!r}")
        return Writer(self._engine, key, self.run_folder(run_id))

    # Reading

    def window(self, run_id: str, points: int = 300) -> Window | None:
        """A run at this moment, at most ``points`` points a curve; None for an unknown id."""
        with self._engine.connect() as connection:
            return reader.window(connection, run_id, points)

    def heatmap(self, run_id: str, lane: str, layer: str, step: int | None = None) -> Heatmap | None:
        """One layer's mask as it was made at ``step`` (default: the newest); None where there is none."""
        with self._engine.connect() as connection:
            return reader.heatmap(connection, self.run_folder(run_id), run_id, lane, layer, step)

    def table(self, run_id: str) -> "DataFrame | None":
        """One row per lane and evaluation, for a CSV file; None for an unknown id."""
        from pandas import DataFrame  # slow to import, and the runner has no use for it

        columns = "lane method sparsity rho epoch step gradients seconds lr train_loss test_loss test_accuracy test_size final"
        with self._engine.connect() as connection:
            rows = reader.epoch_rows(connection, run_id)
        return None if rows is None else DataFrame(rows, columns=columns.split())

    def rate(self, device: str, model: str | None = None) -> Rate:
        """The speed of recent races on this machine and device (``auto``: those that left the choice to the engine), of this
        model where it has raced here before; else a guess that says so. Races that shared the machine do not count."""
        with self._engine.connect() as connection:
            return listing.rate(connection, self.place, device, model)

    # Uploaded images

    def save_images(self, name: str, data: bytes | BinaryIO) -> str:
        """Keeps an uploaded zip of images after checking it; returns the name to put into ``RaceSpec.data``.
        Raises ValueError (one line) where it is not acceptable."""
        return images.save(self.image_root, name, data)

    def image_sizes(self, name: str) -> tuple[int, int]:
        """How many training and test images an upload lists. Raises ValueError where there is no such upload."""
        return images.sizes(self.image_root, name)

    def images(self) -> list[str]:
        """The names of the uploads."""
        return images.names(self.image_root)


def _default_url(home: Path) -> str:
    """Composed, not concatenated: a folder may have a ``?`` in its name."""
    return URL.create("sqlite", database=str(home / "ssam.db")).render_as_string()


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _set_up(connection: Any, _: object) -> None:
            for setting in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {setting}")

    return engine
