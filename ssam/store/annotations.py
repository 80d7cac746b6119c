"""What people write on races: a name, tags and a note; and which races are soft-deleted.

All functions take a connection; others reach them through ``Store.runs``.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ssam.store.schema import labels, runs
from ssam.store.views import ALIVE

NAME, NOTE = 80, 2000  # letters, at most
TAG, TAGS = 30, 12  # letters of a tag, and tags of a race, at most
UNDO_SECONDS = 24 * 3600.0  # how long a deleted race can be had back; less where the disk is full

# Of a race that nobody has deleted. Few races have labels, so the list is short.
KEPT = runs.c.key.not_in(select(labels.c.run).where(labels.c.deleted.is_not(None)))


@dataclass(frozen=True)
class Labels:
    """What is written on a race. ``deleted`` is since when it waits to be really deleted; None: it is kept."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    deleted: float | None = None


def parse_labels(name: str, tags: str, note: str) -> Labels:
    """Return what somebody typed without needless white space; tags separated by spaces or commas, each once, in small letters.
    Raise ValueError for what is too long.

    >>> parse_labels(" My  race ", "Demo, rho demo", "").tags
    ('demo', 'rho')
    """
    name, note = " ".join(name.split()), note.strip()
    each = tuple(dict.fromkeys(part.lower() for part in re.split(r"[\s,]+", tags) if part))
    if len(name) > NAME:
        raise ValueError(f"name: {len(name)} letters are too many; at most {NAME}")
    if len(note) > NOTE:
        raise ValueError(f"note: {len(note):,} letters are too many; at most {NOTE:,}")
    if len(each) > TAGS:
        raise ValueError(f"tags: {len(each)} are too many; at most {TAGS}")
    if bad := next((tag for tag in each if len(tag) > TAG or not tag.isprintable()), None):
        raise ValueError(f"tag {bad[:40]!r} must be printable and have at most {TAG} letters")
    return Labels(name, each, note)


def of_row(row: Row) -> Labels:
    """Return the labels in a row of an outer join: a race without a row has none."""
    return Labels(row.name or "", tuple((row.tags or "").split()), row.note or "", row.deleted)


def read(connection: Connection, run_id: str) -> Labels:
    """Return the labels of one race; empty ones if it has none, or is unknown."""
    query = select(labels).join(runs, runs.c.key == labels.c.run).where(runs.c.id == run_id)
    row = connection.execute(query).one_or_none()
    return Labels() if row is None else of_row(row)


def write(connection: Connection, run_id: str, new: Labels) -> bool:
    """Replace name, tags and note of a race; return False if there is no such race."""
    return _set(connection, run_id, {"name": new.name, "tags": " ".join(new.tags), "note": new.note})


def soft_delete(connection: Connection, run_id: str) -> bool:
    """Hide a race in a way that can be undone; return False if it is queued, alive or unknown."""
    return _set(connection, run_id, {"deleted": time.time()}, idle=True)


def undelete(connection: Connection, run_id: str) -> bool:
    """Bring a soft-deleted race back; return False if it is gone by now."""
    return _set(connection, run_id, {"deleted": None})


def soft_deleted(connection: Connection, before: float | None = None) -> Sequence[str]:
    """Return the soft-deleted races, those deleted ``before`` a time if given; the longest ago first."""
    query = select(runs.c.id).join(labels, runs.c.key == labels.c.run).where(labels.c.deleted.is_not(None))
    query = query if before is None else query.where(labels.c.deleted < before)
    return connection.execute(query.order_by(labels.c.deleted)).scalars().all()


def _set(connection: Connection, run_id: str, values: Mapping[str, object], idle: bool = False) -> bool:
    which = select(runs.c.key).where(runs.c.id == run_id)
    if idle:
        which = which.where(runs.c.state.not_in((*ALIVE, "queued")))
    key = connection.execute(which).scalar_one_or_none()
    if key is None:
        return False
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    fresh: sqlite.Insert | postgresql.Insert = dialect.insert(labels)
    connection.execute(fresh.values(run=key, name="", tags="", note="").on_conflict_do_nothing())
    connection.execute(update(labels).where(labels.c.run == key).values(**values))
    return True
