"""Work that is counted, not timed: it is the same on every machine."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event

EVERY = 1000  # instructions of SQLite's machine between two counts


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL statements that any store of this process sends meanwhile."""
    sent: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def instructions() -> Iterator[list[int]]:
    """What SQLite does meanwhile: an entry each thousand instructions of its virtual machine."""
    done: list[int] = []
    seen: list[sqlite3.Connection] = []

    def watch(raw: object, *rest: object) -> None:
        if isinstance(raw, sqlite3.Connection):
            raw.set_progress_handler(lambda: done.append(EVERY), EVERY)
            seen.append(raw)

    event.listen(Engine, "checkout", watch)
    try:
        yield done
    finally:
        event.remove(Engine, "checkout", watch)
        for raw in seen:
            raw.set_progress_handler(None, EVERY)
