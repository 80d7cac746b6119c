"""The run store: one home folder with its database, and the parts that read and write it."""

import platform
import time
from pathlib import Path

from sqlalchemy import delete, insert, select

from ssam import config
from ssam.imagefolder.uploads import Uploads
from ssam.store.analyses import Analyses
from ssam.store.classes import Classes
from ssam.store.curves import Curves
from ssam.store.database import default_url, open_database
from ssam.store.duels import Duels
from ssam.store.predictions import PredictionFiles
from ssam.store.queue import Queue
from ssam.store.runs import Runs
from ssam.store.schema import owners, runs
from ssam.store.sweeps import Sweeps
from ssam.store.writer import Writer


class Store:
    """All runs of one home folder, or of several that share a database: each has its own runner, and they share the queue.

    Args:
        home: database, run folders and uploads; default ``SSAM_HOME``, else ``~/.ssam-lab``.
        url: SQLite or PostgreSQL as a SQLAlchemy URL; default ``SSAM_DATABASE_URL``, else SQLite (WAL) in the home folder.

    Create what is missing and upgrade a database of an earlier version; raise ValueError for a later version and for a database
    that cannot be opened. The parts are ``runs``, ``queue``, ``curves``, ``predictions``, ``analyses``, ``classes``, ``sweeps``, ``duels`` and ``uploads``.
    ``place`` is the host and the home folder: a run that is alive keeps it as the place of its process. Safe to use from threads
    and from any number of processes; create a new one after a fork.
    """

    def __init__(self, home: Path | None = None, url: str | None = None) -> None:
        self.home = home.expanduser().resolve() if home else config.default_home()
        self.place = f"{platform.node()}:{self.home}"
        self.url = url or config.database_url() or default_url(self.home)
        self.home.mkdir(
            mode=0o700, parents=True, exist_ok=True
        )  # a new folder is accessible only to this server's user
        self.image_root = self.home / "images"
        self.image_root.mkdir(exist_ok=True)
        _refuse_emptied(self.home)
        self.engine = open_database(self.url)
        self.runs = Runs(self.engine, self.home, self.place)
        self.queue = Queue(self.engine, self.place)
        self.curves = Curves(self.engine, self.run_folder)
        self.predictions = PredictionFiles(self.run_folder)
        self.analyses = Analyses(self.engine, self.runs, self.place)
        self.classes = Classes(self.engine)
        self.sweeps = Sweeps(self.engine, self.place)
        self.duels = Duels(self.engine, self.place, self.sweeps)
        self.uploads = Uploads(self.image_root)

    def run_folder(self, run_id: str) -> Path:
        return self.runs.folder(run_id)

    def writer(self, run_id: str) -> Writer:
        """Return the one writer of a run's events; raise ValueError for an unknown id."""
        with self.engine.connect() as connection:
            key = connection.execute(select(runs.c.key).where(runs.c.id == run_id)).scalar_one_or_none()
        if key is None:
            raise ValueError(f"there is no run {run_id[:60]!r}")
        return Writer(self.engine, key, self.run_folder(run_id))

    def is_teacher(self, owner: str) -> bool:
        with self.engine.connect() as connection:
            return bool(connection.execute(select(owners.c.teacher).where(owners.c.id == owner)).scalar())

    def make_teacher(self, owner: str) -> None:
        """Let this owner control every race from now on. Whether they may become a teacher is decided by the caller."""
        if not self.is_teacher(owner):
            with self.engine.begin() as connection:
                connection.execute(delete(owners).where(owners.c.id == owner))
                connection.execute(insert(owners).values(id=owner, teacher=True, since=time.time()))

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()


def _refuse_emptied(home: Path) -> None:
    """Raise ValueError if the database file is empty: SQLite would take it for a new one, and all races would be lost."""
    database, page = home / "ssam.db", 4096
    if database.exists() and database.stat().st_size < page and any((home / "runs").glob("*")):
        raise ValueError(f"the run database {database} is empty, but runs/ is not: move it away and restore a back-up")
