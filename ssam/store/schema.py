"""The tables, in plain SQLAlchemy Core without SQLite-specific features: PostgreSQL works by its URL.

A step's numbers are NULL if they do not exist *or* are not finite (SQLite would store NaN as NULL anyway); ``lanes.state`` marks
a diverged lane.
"""

import math
import secrets
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    insert,
    inspect,
    select,
)

from ssam.experiment.events import PHASES
from ssam.store.views import CURVES

SCHEMA_VERSION = 8  # a change of the tables needs a step in migrations.py
BIN_WIDTHS = (
    8,
    64,
    512,
    4096,
)  # steps are also stored as means over this many, so that curves of any length are read quickly


def finite(value: Any) -> Any:
    """Replace NaN and ±inf by None, also in dictionaries and lists: SQLite, PostgreSQL's JSON and browsers do not accept them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def new_id() -> str:
    """Return a name that cannot be guessed, and that is not mistaken for a command-line flag."""
    while (name := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return name


class PlainText(TypeDecorator):
    """Return external text, such as an error, without what PostgreSQL (NUL) or any database (lone surrogates) cannot store."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.replace("\0", "").encode("utf-8", errors="replace").decode()


metadata = MetaData()

meta = Table("meta", metadata, Column("schema_version", Integer, nullable=False))

runs = Table(
    "runs",
    metadata,
    Column("key", Integer, primary_key=True),  # short, for the other tables; the public name is the id
    Column("id", String(40), nullable=False, unique=True),
    Column("request_id", String(200), nullable=False, unique=True),
    Column("owner", String(200), nullable=False),
    Column("spec", Text, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("want", String(20), nullable=False),
    Column("created", Double, nullable=False),
    Column("started", Double),
    Column("ended", Double),
    Column("place", Text),  # host and home folder of the runner that took it; its pid is meaningful only there
    Column("heartbeat", Double),
    Column("pid", BigInteger),
    Column("pid_started", Double),
    Column("message", PlainText, nullable=False),
    Column("started_info", Text),
    Column("result", Text),
    Column("shared", Boolean, nullable=False),
    Column("trained", Double, nullable=False),  # seconds of training so far, without pauses
    Column("exclusive", Boolean, nullable=False, server_default=false()),
    Column("digest", String(64), index=True),  # of the specification: equal ones are the same race
    Column("device", String(20)),  # requested
    Column("slot", String(200)),  # assigned
    Column("checkpointed", Double),
    Column("attempts", Integer, nullable=False, server_default="0"),  # starts since the latest checkpoint
    Column("parent", String(40), index=True),  # the race of an analysis
    Column("analysis", Text),
    Column("done", Double),  # share of an analysis, 0–1
    Column("class_code", String(12), index=True),  # the class with the race on its wall
    Column("sweep", String(40), index=True),  # the sweep with the race as a trial
    Index("ix_runs_owner_started", "owner", "started"),
)

owners = Table(
    "owners",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("teacher", Boolean, nullable=False),
    Column("since", Double, nullable=False),
)


labels = Table(  # a row for each race that has been annotated or deleted
    "labels",
    metadata,
    Column("run", ForeignKey("runs.key", ondelete="CASCADE"), primary_key=True),
    Column("name", PlainText, nullable=False),
    Column("tags", PlainText, nullable=False),  # separated by spaces
    Column("note", PlainText, nullable=False),
    Column("deleted", Double),  # time of its soft deletion
)


sweeps = Table(
    "sweeps",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("request_id", String(200), nullable=False, unique=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("spec", Text, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("created", Double, nullable=False),
    Column("ended", Double),
    Column("place", Text, nullable=False),  # host and home folder of the one runner that drives it
    Column("message", PlainText, nullable=False),
    Column("importance", Text),
)

trials = Table(  # one race of a sweep, before it has a run until after that has been deleted
    "trials",
    metadata,
    Column("sweep", ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # number of its settings, from 0; -1 is the sweep's starting point
    Column("seed", BigInteger, primary_key=True),
    Column("fresh", Boolean, nullable=False),
    Column("values", Text, nullable=False),
    Column("run", String(40)),
    Column("state", String(20), nullable=False),
    Column("score", Double),
    Column("cost", Double),
    Column("message", PlainText, nullable=False),
    Column("test", Double),
)

duels = Table(
    "duels",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("request_id", String(200), nullable=False, unique=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("spec", Text, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("created", Double, nullable=False),
    Column("ended", Double),
    Column("place", Text, nullable=False),  # host and home folder of the one runner that drives it
    Column("message", PlainText, nullable=False),
)


def _lane_key() -> list[Column]:
    return [
        Column("run", ForeignKey("runs.key", ondelete="CASCADE"), primary_key=True),
        Column("lane", Integer, primary_key=True),  # its place in the race, from 0
    ]


lanes = Table(
    "lanes",
    metadata,
    *_lane_key(),
    Column("name", String(200), nullable=False),
    Column("method", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("total_steps", BigInteger),
    Column("last_step", BigInteger, nullable=False),
    Column("gradients", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("refreshes", Integer, nullable=False),
    Column("refresh_ms", Double, nullable=False),  # of all refreshes together
    UniqueConstraint("run", "name"),
    sqlite_with_rowid=False,
)

STEP_VALUES = tuple(name for name in CURVES if name != "step")

steps = Table(
    "steps",
    metadata,
    *_lane_key(),
    Column("step", BigInteger, primary_key=True),
    *(Column(name, BigInteger if name == "gradients" else Double) for name in STEP_VALUES if name != "perturbed_norm"),
    *(Column(f"ms_{phase}", Double) for phase in PHASES),
    Column("ratio", Double),
    Column("perturbed_norm", Double),  # where the upgrade puts it
    sqlite_with_rowid=False,
)

bins = Table(
    "bins",
    metadata,
    *_lane_key(),
    Column("width", Integer, primary_key=True),
    Column("bin", BigInteger, primary_key=True),  # (step - 1) // width
    Column("count", Integer, nullable=False),
    *(Column(name, Double) for name in CURVES),
    sqlite_with_rowid=False,
)

epochs = Table(
    "epochs",
    metadata,
    *_lane_key(),
    Column("step", BigInteger, primary_key=True),
    Column(
        "final", Boolean, primary_key=True
    ),  # the last epoch may be measured twice: on a part of the images and on all
    Column("epoch", Double, nullable=False),
    Column("gradients", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("lr", Double),
    Column("train_loss", Double),
    Column("test_loss", Double),
    Column("test_accuracy", Double),
    Column("test_size", Integer, nullable=False),
    Column("eigenvalue", Double),
    Column("eigenvalue_residual", Double),
    Column("eigenvalue_ms", Double),
    Column("validation_loss", Double),
    Column("validation_accuracy", Double),
    sqlite_with_rowid=False,
)

masks = Table(
    "masks",
    metadata,
    *_lane_key(),
    Column("step", BigInteger, primary_key=True),
    Column("epoch", Double, nullable=False),
    Column("density", Double, nullable=False),
    Column("changed", Double),
    Column("overlap", Double),
    Column("densities", Text, nullable=False),
    sqlite_with_rowid=False,
)


def version(connection: Connection) -> int | None:
    """Return the version of the tables; None if there are none. It is written last."""
    return connection.execute(select(meta.c.schema_version)).scalar() if inspect(connection).has_table("meta") else None


def create(connection: Connection) -> None:
    """Create what is missing. Not safe to run concurrently."""
    metadata.create_all(connection)
    connection.execute(insert(meta).values(schema_version=SCHEMA_VERSION))
