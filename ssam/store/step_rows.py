"""Every training step of a race, for a table."""

import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Connection, select

from ssam.store.schema import lanes, runs, steps

CHUNK = (
    10_000  # rows at a time: a long race has hundreds of thousands, which as Python numbers take ten times the memory
)
COLUMNS = [column for column in steps.c if column.name not in ("run", "lane")]


def read(connection: Connection, run_id: str) -> dict[str, Sequence[str] | np.ndarray] | None:
    """Return the columns of a table with a row per lane and step, lane by lane; NaN for missing values. None for an unknown run."""
    run = connection.execute(select(runs.c.key).where(runs.c.id == run_id)).scalar_one_or_none()
    if run is None:
        return None
    names = {
        row.lane: row.name for row in connection.execute(select(lanes.c.lane, lanes.c.name).where(lanes.c.run == run))
    }
    query = select(steps.c.lane, *COLUMNS).where(steps.c.run == run).order_by(steps.c.lane, steps.c.step)
    whose: list[str] = []
    values: list[array[Any]] = [array("q" if isinstance(column.type, BigInteger) else "d") for column in COLUMNS]
    for rows in connection.execution_options(yield_per=CHUNK).execute(query).partitions():
        lane, *columns = zip(*rows, strict=True)
        whose.extend(names[one] for one in lane)
        for kept, column in zip(values, columns, strict=True):
            kept.extend(math.nan if value is None else value for value in column)
    columns_by_name = {column.name: np.array(kept) for column, kept in zip(COLUMNS, values, strict=True)}
    return {"lane": whose, **columns_by_name}
