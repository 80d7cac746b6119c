"""A real PostgreSQL server for the tests: a folder under /tmp, reached by its socket, gone afterwards.

Uses Debian's package (``apt-get install postgresql``) or any ``initdb`` and ``postgres`` on the PATH. Where there is none the tests that want it
are skipped; with ``SSAM_TEST_POSTGRES=1`` that is an error.
"""

import getpass
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.patience import SECONDS, wait_until


def programs() -> Path | None:
    """The folder of the newest PostgreSQL on this machine."""
    found = [Path(on_path).resolve().parent for on_path in (shutil.which("initdb"),) if on_path]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return next((path for path in [*found, *reversed(debian)] if (path / "postgres").exists()), None)


class Server:
    """A server of its own, without a network port. Its files are not synced: only a crash of the machine would show."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="ssam-pg-", dir="/tmp"))  # a socket's path must be short
        self._databases = 0
        self._as_user: dict[str, Any] = {}
        self.user = getpass.getuser()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            self.user = account.pw_name
        self._run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", self.user, "data")

    def start(self) -> None:
        with (self.folder / "log.txt").open("ab") as log:
            command = [self._binaries / "postgres", "-D", "data", "-k", self.folder]
            command += ["-clisten_addresses=", "-cfsync=off", "-cmax_connections=200"]
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self._as_user)
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log.txt").read_text(encoding="utf-8")
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """At once, as a crash would: connections are cut, whatever was not committed is gone."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(timeout=SECONDS)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        return f"postgresql://{self.user}@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The URL of an empty schema of its own, which is made in a hundredth of a database's time."""
        self._databases += 1
        name = f"lab_{self._databases}"
        with psycopg.connect(self.url("postgres")) as connection:
            connection.execute(f"CREATE SCHEMA {name}")  # type: ignore[call-overload]
        return self.url("postgres") + f"&options=-csearch_path%3D{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._binaries / program, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **self._as_user)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server that all tests share."""
    binaries = programs()
    if binaries is None:
        if os.environ.get("SSAM_TEST_POSTGRES") == "1":
            pytest.fail("SSAM_TEST_POSTGRES=1, but no PostgreSQL is installed (Debian: apt-get install postgresql)")
        pytest.skip("no PostgreSQL is installed (Debian: apt-get install postgresql)")
    server = Server(binaries)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes an empty database and returns its URL: everything that uses it runs once with each kind."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres").new_database
    names = (f"sqlite:///{tmp_path / f'lab-{number}.db'}" for number in itertools.count(1))
    return lambda: next(names)


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    """An empty database, once of each kind."""
    return new_database()
