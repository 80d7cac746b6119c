"""Migrations from the tables of earlier versions to this one, step by step, without features of a single database.

Each step takes the tables from its number to the next. Steps never change once released, so they spell out columns as they
were then and import nothing from schema.py. An added column is nullable or has a default.
"""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.schema import CreateColumn

from ssam.experiment import RaceSpec
from ssam.store import schema


def upgrade(connection: Connection) -> None:
    """Upgrade the tables to this version in the caller's transaction. Raise ValueError, one line, for tables of a newer
    version."""
    version = schema.version(connection)
    while version != schema.SCHEMA_VERSION:
        if version is None or version not in STEPS:
            raise ValueError(
                f"the run database has schema version {version}, this program needs {schema.SCHEMA_VERSION}; "
                "a newer version of the lab made it"
            )
        STEPS[version](connection)
        version += 1
        connection.execute(text("UPDATE meta SET schema_version = :version"), {"version": version})


def _queue_owners_and_analyses(connection: Connection) -> None:
    _add_columns(
        connection,
        "runs",
        Column("exclusive", Boolean, nullable=False, server_default=false()),
        Column("digest", String(64)),
        Column("device", String(20)),
        Column("slot", String(200)),
        Column("checkpointed", Double),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("parent", String(40)),
        Column("analysis", Text),
        Column("done", Double),
    )
    for table in ("steps", "bins"):
        _add_columns(connection, table, Column("perturbed_norm", Double))
    _add_columns(
        connection,
        "epochs",
        *(Column(name, Double) for name in ("eigenvalue", "eigenvalue_residual", "eigenvalue_ms")),
    )
    connection.execute(text("CREATE INDEX ix_runs_parent ON runs (parent)"))
    connection.execute(text("CREATE INDEX ix_runs_digest ON runs (digest)"))
    connection.execute(text("CREATE INDEX ix_runs_owner_started ON runs (owner, started)"))
    Table(
        "owners",
        MetaData(),
        Column("id", String(200), primary_key=True),
        Column("teacher", Boolean, nullable=False),
        Column("since", Double, nullable=False),
    ).create(connection)
    for key, spec in connection.execute(text("SELECT key, spec FROM runs")).all():
        race = RaceSpec.model_validate_json(spec)
        connection.execute(
            text("UPDATE runs SET digest = :digest, device = :device WHERE key = :key"),
            {"digest": race.digest, "device": race.device, "key": key},
        )
    # Start of the current stretch of training; race processes now report their training time.
    stretch = "trained = trained + heartbeat - training_since"
    connection.execute(text(f"UPDATE runs SET {stretch} WHERE heartbeat > training_since"))
    connection.execute(text("ALTER TABLE runs DROP COLUMN training_since"))
    # A paused race had a waiting process: if it still runs, it is told to end. A queued one that was held had none.
    connection.execute(
        text("UPDATE runs SET state = 'interrupted', want = 'stop', ended = heartbeat WHERE state = 'paused'")
    )
    connection.execute(text("UPDATE runs SET state = 'paused', want = 'run' WHERE state = 'queued' AND want = 'pause'"))


def _class_codes(connection: Connection) -> None:
    _add_columns(connection, "runs", Column("class_code", String(12)))
    connection.execute(text("CREATE INDEX ix_runs_class_code ON runs (class_code)"))


def _labels(connection: Connection) -> None:
    tables = MetaData()
    Table("runs", tables, Column("key", Integer, primary_key=True))
    labels = Table(
        "labels",
        tables,
        Column("run", ForeignKey("runs.key", ondelete="CASCADE"), primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("name", "tags", "note")),
        Column("deleted", Double),
    )
    labels.create(connection)


def _sweeps(connection: Connection) -> None:
    _add_columns(connection, "runs", Column("sweep", String(40)))
    connection.execute(text("CREATE INDEX ix_runs_sweep ON runs (sweep)"))
    tables = MetaData()
    Table(
        "sweeps",
        tables,
        Column("id", String(40), primary_key=True),
        Column("request_id", String(200), nullable=False, unique=True),
        Column("owner", String(200), nullable=False, index=True),
        Column("spec", Text, nullable=False),
        Column("state", String(20), nullable=False, index=True),
        Column("created", Double, nullable=False),
        Column("ended", Double),
        Column("place", Text, nullable=False),
        Column("message", Text, nullable=False),
        Column("importance", Text),
    )
    Table(
        "trials",
        tables,
        Column("sweep", ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True),
        Column("number", Integer, primary_key=True),
        Column("seed", BigInteger, primary_key=True),
        Column("fresh", Boolean, nullable=False),
        Column("values", Text, nullable=False),
        Column("run", String(40)),
        Column("state", String(20), nullable=False),
        Column("score", Double),
        Column("cost", Double),
        Column("message", Text, nullable=False),
    )
    tables.create_all(connection, checkfirst=False)


def _validation(connection: Connection) -> None:
    columns = (Column(name, Double) for name in ("validation_loss", "validation_accuracy"))
    _add_columns(connection, "epochs", *columns)
    _add_columns(connection, "trials", Column("test", Double))
    # Until now sweeps used test accuracy; the score of a pruned race was its last one, on a part of the test images.
    connection.execute(text("UPDATE trials SET test = score WHERE state = 'done'"))


def complete_facts(started: dict[str, Any], result: dict[str, Any] | None) -> None:
    """Fill in, in place, what races of versions before 7 did not record: no stages, warnings or images held out, no load."""
    lane_facts = {"plan": "", "predicted_ratio": None, "exact": True}
    lanes = [lane_facts | lane for lane in started["lanes"]]
    started |= {"stages": [], "warnings": [], "validation_size": 0} | started | {"lanes": lanes}
    if result is not None:
        held_out = {"validation_accuracy": None, "validation_loss": None}
        result |= {"load": None, "cores": None} | result | {"lanes": [held_out | lane for lane in result["lanes"]]}


def _complete_facts(connection: Connection) -> None:
    races = text("SELECT key, started_info, result FROM runs WHERE analysis IS NULL AND started_info IS NOT NULL")
    for key, started_info, result_text in connection.execute(races).all():
        started, result = json.loads(started_info), json.loads(result_text) if result_text else None
        complete_facts(started, result)
        connection.execute(
            text("UPDATE runs SET started_info = :started, result = :result WHERE key = :key"),
            {"started": json.dumps(started), "result": result and json.dumps(result), "key": key},
        )


def _duels(connection: Connection) -> None:
    Table(
        "duels",
        MetaData(),
        Column("id", String(40), primary_key=True),
        Column("request_id", String(200), nullable=False, unique=True),
        Column("owner", String(200), nullable=False, index=True),
        Column("spec", Text, nullable=False),
        Column("state", String(20), nullable=False, index=True),
        Column("created", Double, nullable=False),
        Column("ended", Double),
        Column("place", Text, nullable=False),
        Column("message", Text, nullable=False),
    ).create(connection)


def _add_columns(connection: Connection, table: str, *columns: Column) -> None:
    """Add a column with the database's own DDL, so that it equals that of a new database."""
    for column in columns:
        words = CreateColumn(column).compile(dialect=connection.dialect)
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {words}"))


STEPS: dict[int, Callable[[Connection], None]] = {
    1: _queue_owners_and_analyses,
    2: _class_codes,
    3: _labels,
    4: _sweeps,
    5: _validation,
    6: _complete_facts,
    7: _duels,
}
