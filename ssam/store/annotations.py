"""Annotations of races: name, tags and note; and which races are soft-deleted."""

import re
from dataclasses import dataclass

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ssam.store.schema import labels, runs
from ssam.store.views import ALIVE

NAME, NOTE = 80, 2000  # maximal length in characters
TAG, TAGS = 30, 12  # maximal length of a tag, and number of tags of a race
UNDO_SECONDS = 24 * 3600.0  # seconds for which a deleted race can be restored; less if the disk is full

# Races that are not deleted. Few races have labels, so the list is short.
KEPT = runs.c.key.not_in(select(labels.c.run).where(labels.c.deleted.is_not(None)))


@dataclass(frozen=True)
class Labels:
    """Annotations of a race. ``deleted`` is the time of its soft deletion, None if it is not deleted."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    deleted: float | None = None


def parse_labels(name: str, tags: str, note: str) -> Labels:
    """Return the typed texts without superfluous white space; tags are separated by spaces or commas, unique and lower-case.
    Raise ValueError if one is too long.

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


def update_labels(connection: Connection, run_id: str, idle: bool = False, **values: object) -> bool:
    """Set columns of a race's labels; return False if there is no such race or, with ``idle``, if it is queued or alive."""
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
