"""Back-up of a lab in one file: made while races run, restored into another home folder or database.

It is a .tar.gz of ``ssam.db`` (SQLite, whichever database the lab uses, so that a lab can move from one to the other),
``runs/<id>/…``, ``images/…`` and, last, ``manifest.json`` with the SHA-256 of every file. Downloads, which can be repeated,
and the teacher key are not included.
"""

import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, Table, delete, func, insert, select, text, update

from ssam.store import schema
from ssam.store.database import copy_sqlite, default_url, open_database
from ssam.store.files import write_whole
from ssam.store.schema import duels, runs, sweeps
from ssam.store.store import Store
from ssam.store.views import ALIVE

FORMAT = 1
DATABASE, MANIFEST = "ssam.db", "manifest.json"
CHECKPOINT = "checkpoint.pt"
# Names allowed in an archive: nothing absolute, no "..", and below images/ the owners' marks.
NAME = re.compile(
    r"ssam\.db|manifest\.json|runs/[\w-]{1,40}(/[\w-][\w.-]{0,99}){1,3}|images/(\.owners/\w+/)?[\w-][\w.-]{0,99}", re.A
)
ALIVE_SECONDS = 10.0  # a heartbeat younger than this many seconds means that a race is running
ROWS = 5000  # bytes copied at a time
KEPT_TABLES: tuple[Table, ...] = tuple(table for table in schema.metadata.sorted_tables if table is not schema.meta)


# Back-up


def backup(store: Store, file: Path) -> dict[str, Any]:
    """Write the back-up to ``file`` and return its manifest.

    It contains everything acknowledged before the call. Raise ValueError, one line, if the file exists, another back-up is in
    progress, or the database is damaged; OSError if the disk is full.
    """
    if file.exists():
        raise ValueError(f"{file} exists already; a back-up is never overwritten")
    with _alone(store), closing(_Staging(store.home / ".backup")) as staging:
        _hold_checkpoints(store, staging.folder)  # before the rows: a checkpoint may not be ahead of them
        counts = _snapshot(store, staging.folder / DATABASE)
        manifest = {
            "format": FORMAT,
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "host": platform.node(),
            "place": store.place,
            "schema": schema.SCHEMA_VERSION,
            "rows": counts,
            "files": {},
        }
        write_whole(file, lambda draft: _write(draft, _members(store, staging.folder), manifest))
    return manifest


def _hold_checkpoints(store: Store, staging: Path) -> None:
    """Make hard links to the latest checkpoints: a race replaces its checkpoints, it never writes into one."""
    for path in (store.home / "runs").glob(f"*/{CHECKPOINT}"):
        held = staging / "runs" / path.parent.name
        held.mkdir(parents=True)
        with suppress(FileNotFoundError):  # the race was deleted meanwhile
            os.link(path, held / CHECKPOINT)


def _snapshot(store: Store, file: Path) -> dict[str, int]:
    """Save the database at one moment as an SQLite file; return the number of rows by table."""
    with _opened(store.url) as source:
        if is_sqlite := source.dialect.name == "sqlite":
            copy_sqlite(source, file)
        with _opened(default_url(file.parent)) as copy, copy.begin() as writing:
            if not is_sqlite:
                with source.connect().execution_options(isolation_level="REPEATABLE READ") as reading:
                    _copy_rows(reading, writing)
            _check(writing)
            counts = {table: select(func.count()).select_from(table) for table in KEPT_TABLES}
            return {table.name: writing.execute(count).scalar_one() for table, count in counts.items()}


def _check(connection: Connection) -> None:
    answer = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
    if answer != "ok":
        raise ValueError(f"the run database is damaged: {' '.join(answer.split())[:200]}")


def _members(store: Store, staging: Path) -> Iterator[tuple[str, Path]]:
    """Yield names in the archive and their files. Files still being written have names that start with a dot."""
    yield DATABASE, staging / DATABASE
    for folder, where in ((store.home, "images"), (store.home, "runs"), (staging, "runs")):
        for path in sorted((folder / where).rglob("*")):
            name = path.relative_to(folder).as_posix()
            ours = path.name.startswith("checkpoint") == (folder is staging)
            if ours and NAME.fullmatch(name) and path.is_file() and not path.is_symlink():
                yield name, path


def _write(draft: BinaryIO, members: Iterator[tuple[str, Path]], manifest: dict[str, Any]) -> None:
    os.chmod(draft.name, 0o600)  # only the owner may know whose race is whose
    with tarfile.open(fileobj=draft, mode="w:gz", compresslevel=1) as archive:
        for name, path in members:
            with suppress(FileNotFoundError), path.open("rb") as file:  # the race was deleted meanwhile
                manifest["files"][name] = _add(archive, name, file, os.fstat(file.fileno()).st_size)
        data = json.dumps(manifest, indent=1).encode()
        _add(archive, MANIFEST, io.BytesIO(data), len(data))


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> str:
    """Add the first ``size`` bytes (a log may grow meanwhile) and return their SHA-256."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, int(time.time()), 0o600
    reader = _Hashed(file)
    archive.addfile(info, cast(IO[bytes], reader))  # it is only read from
    return reader.digest.hexdigest()


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


# Restore


def restore(store: Store, file: Path, force: bool = False) -> dict[str, Any]:
    """Restore a back-up into this home folder and its database, and return its manifest. Races that were running are queued.

    The whole file is checked first; the rows then change in one transaction. Raise ValueError, one line, for a file that is not
    a back-up or is damaged, if a race is running, or if there are races already; with ``force`` those are deleted.
    """
    with _alone(store), closing(_Staging(store.home / ".restore")) as staging:
        manifest = _unpack(file, staging.folder)
        with (
            _opened(default_url(staging.folder)) as source,
            _opened(store.url) as target,
            source.connect() as reading,
            target.begin() as writing,
        ):
            _check(reading)
            _check_target(writing, force)
            run_ids = _run_ids(reading)
            for table in reversed(KEPT_TABLES):
                writing.execute(delete(table))
            _copy_rows(reading, writing)
            _queue_what_was_alive(writing)
            _bring_home(writing, str(manifest["place"]), store.place)
            _move_files(staging.folder, store.home)
        for folder in (store.home / "runs").iterdir() if (store.home / "runs").exists() else ():
            if folder.name not in run_ids:
                shutil.rmtree(folder)
    return manifest


def _unpack(file: Path, folder: Path) -> dict[str, Any]:
    """Unpack plain files with names that a back-up has, and nothing else, and compare them with the manifest."""
    digests: dict[str, str] = {}
    try:
        with gzip.open(file) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                data = archive.extractfile(member) if member.isreg() and NAME.fullmatch(member.name) else None
                if data is None or member.name in digests:
                    raise ValueError(f"{file.name} is not a back-up: it names {member.name[:80]!r}")
                path, reader = folder / member.name, _Hashed(data)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as target:
                    shutil.copyfileobj(reader, target)
                digests[member.name] = reader.digest.hexdigest()
            while stream.read(1 << 20):  # to the checksum at its end, which covers the manifest too
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file.name} is not a back-up, damaged or truncated: {error}") from None
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) if digests.pop(MANIFEST, None) else {}
    if manifest.get("format", FORMAT) > FORMAT:
        raise ValueError(f"{file.name} was made by a newer version of the lab")
    if DATABASE not in digests or digests != manifest.get("files"):
        raise ValueError(f"{file.name} is damaged or truncated: its files do not match its manifest")
    return manifest


def _check_target(connection: Connection, force: bool) -> None:
    fresh = runs.c.state.in_(ALIVE) & (runs.c.heartbeat > time.time() - ALIVE_SECONDS)
    if connection.execute(select(func.count()).where(fresh)).scalar_one():
        raise ValueError("a race is running; stop the runner and all races first")
    count = connection.execute(select(func.count()).select_from(runs)).scalar_one()
    if count and not force:
        raise ValueError(
            f"there are {count} races here already; --force deletes them and restores the back-up in their place"
        )


def _run_ids(connection: Connection) -> set[str]:
    """Check ids, which become names of folders."""
    ids = set(connection.execute(select(runs.c.id)).scalars())
    for run_id in ids:
        if not re.fullmatch(r"[\w-]{1,40}", run_id, re.A):
            raise ValueError(
                f"the back-up contains a race with the id {run_id[:40]!r}, which this program never generates"
            )
    return ids


def _copy_rows(source: Connection, target: Connection) -> None:
    for table in KEPT_TABLES:
        rows = source.execution_options(yield_per=ROWS).execute(select(table)).mappings()
        for part in rows.partitions():
            target.execute(insert(table), [dict(row) for row in part])
    if target.dialect.name == "postgresql":  # PostgreSQL does not derive the next key from the rows
        newest = select(func.coalesce(func.max(runs.c.key), 1)).scalar_subquery()
        target.execute(select(func.setval(func.pg_get_serial_sequence("runs", "key"), newest)))


def _queue_what_was_alive(connection: Connection) -> None:
    """Requeue running races, as the runner does with a run whose process is gone."""
    alive = runs.c.state.in_(ALIVE)
    gone = {"pid": None, "pid_started": None, "heartbeat": None, "attempts": 0}
    for want, state in (("stop", "stopped"), ("pause", "paused"), ("run", "queued")):
        ended = {"ended": time.time()} if state == "stopped" else {"want": "run"}
        connection.execute(update(runs).where(alive, runs.c.want == want).values(state=state, **ended, **gone))


def _bring_home(connection: Connection, there: str, here: str) -> None:
    """Move unfinished runs to this place, where their files are. Finished ones keep that of the machine that ran them."""
    connection.execute(update(runs).where(runs.c.place == there, runs.c.state != "finished").values(place=here))
    for table in (sweeps, duels):
        connection.execute(update(table).where(table.c.place == there).values(place=here))


def _move_files(staging: Path, home: Path) -> None:
    for where in ("images", "images/.owners", "runs"):
        (home / where).mkdir(parents=True, exist_ok=True)
        for path in (staging / where).iterdir() if (staging / where).exists() else ():
            if path.name != ".owners":
                kept = home / where / path.name
                if kept.is_dir():
                    shutil.rmtree(kept)
                os.replace(path, kept)


class _Staging:
    """Yield an empty temporary folder beside its target, removed at the end; remove leftovers of killed programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.close()
        folder.mkdir()

    def close(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    try:
        with FileLock(store.home / "backup.lock", timeout=0):
            yield
    except Timeout:
        raise ValueError("another back-up or restore of this home folder is in progress") from None
