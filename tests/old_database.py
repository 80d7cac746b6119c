"""A database that version 1 of the tables was written to, and the way into any database beside the store's."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, create_engine

PROJECT = Path(__file__).resolve().parents[1]


def write_old_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((PROJECT / "tests/data/schema-1.sql").read_text(encoding="utf-8"))


def engine_of(url: str) -> Engine:
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
