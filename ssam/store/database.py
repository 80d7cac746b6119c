"""Connection to the database: SQLite in the home folder, or PostgreSQL, with the tables of this version."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from ssam.store import migrations, schema

TABLES_LOCK = 0x5353414D  # PostgreSQL's advisory lock for changes of the tables: the letters SSAM


def default_url(home: Path) -> str:
    """Return the URL of an SQLite file; composed, not concatenated: a folder's name may contain ``?``."""
    return URL.create("sqlite", database=str(home / "ssam.db")).render_as_string()


def open_database(url: str) -> Engine:
    """Return an engine for ``url``, with the tables created or upgraded to this version.

    Raise ValueError, one line without the password, for another kind of database, for one that cannot be reached or read,
    and for tables of a newer version.
    """
    engine = make_engine(_parsed(url))
    try:
        with engine.connect() as connection:
            version = schema.version(connection)
        if version != schema.SCHEMA_VERSION:
            with changing_tables(engine) as connection:
                _prepare(connection, engine)
    except DBAPIError as error:
        engine.dispose()
        reason = " ".join(str(error.orig).split())
        raise ValueError(f"the run database {engine.url.database} cannot be opened: {reason}") from error
    except ValueError:
        engine.dispose()
        raise
    return engine


@contextmanager
def changing_tables(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that may change tables: atomic, and one at a time."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(TABLES_LOCK)))
            yield connection
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # explicit: the driver would commit before every CREATE
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def _parsed(url: str) -> URL:
    allowed = "allowed: sqlite:///FILE, postgresql://USER:PASSWORD@HOST/NAME"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(f"SSAM_DATABASE_URL is not a database URL; {allowed}") from None
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise ValueError(f"SSAM_DATABASE_URL: {parsed.drivername[:40]!r} is not supported; {allowed}")
    return parsed


def make_engine(url: URL) -> Engine:
    engine = create_engine(url, pool_pre_ping=True)  # detect and replace connections cut by a restart of the server
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _set_up(connection: Any, _: object) -> None:
            for setting in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {setting}")

    return engine


def _prepare(connection: Connection, engine: Engine) -> None:
    version = schema.version(connection)
    if version is None:
        schema.create(connection)
        return
    if engine.dialect.name == "sqlite" and version < schema.SCHEMA_VERSION:
        file = Path(str(engine.url.database))
        copy_sqlite(engine, file.with_name(f"{file.name}.v{version}.backup"))  # this is the only writer now
    migrations.upgrade(connection)


def copy_sqlite(engine: Engine, file: Path) -> None:
    """Copy an SQLite database consistently to a new file, while others read and write."""
    draft = file.with_name(f".{file.name}.part")
    draft.unlink(missing_ok=True)
    with engine.connect() as source, closing(sqlite3.connect(draft)) as target:
        connection = source.connection.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        connection.backup(target)
    os.replace(draft, file)
