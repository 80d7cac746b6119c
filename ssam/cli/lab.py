"""``python -m ssam backup`` and ``restore``: the whole lab in one file."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

from ssam.jobs import processes
from ssam.store import Store, backup


def backup_flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_run_backup)
    command.add_argument(
        "file", metavar="FILE", type=Path, help="a new file, such as lab.tar.gz; races may continue meanwhile"
    )


def restore_flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_run_restore)
    command.add_argument(
        "file", metavar="FILE", type=Path, help="a file written by backup; stop app, runner and races first"
    )
    command.add_argument("--force", action="store_true", help="delete the existing races")


def _run_backup(options: argparse.Namespace) -> None:
    with closing(Store()) as store, one_line(options.file):
        print(f"{options.file}: {_contents(backup.backup(store, options.file))}")


def _run_restore(options: argparse.Namespace) -> None:
    with closing(Store()) as store, one_line(options.file), _no_runner(store):
        print(f"{store.home}: {_contents(backup.restore(store, options.file, options.force))}")


def _contents(manifest: dict[str, Any]) -> str:
    rows = manifest["rows"]
    return f"{rows['runs']} races, {rows['steps']:,} steps, {len(manifest['files'])} files, of {manifest['made']}"


@contextmanager
def _no_runner(store: Store) -> Iterator[None]:
    """Keep runners from starting. Raise ValueError if one serves this home folder, or one of its races is running."""
    try:
        with FileLock(store.home / "runner.lock", timeout=0):
            if any(processes.is_alive(job.pid, job.pid_started) for job in store.queue.jobs()):
                raise ValueError("a race is running; stop all races first")
            yield
    except Timeout:
        raise ValueError(f"a runner serves {store.home}; stop it and the app first") from None


@contextmanager
def one_line(file: Path) -> Iterator[None]:
    """Report errors of disk and database as one line."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{error.filename or file}: {error.strerror}") from error
    except DBAPIError as error:
        raise ValueError(f"the run database: {' '.join(str(error.orig).split())}") from error
