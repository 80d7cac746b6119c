"""Every training step of a race, for a table."""

from typing import Any

from sqlalchemy import Connection, select

from ssam.store.schema import lanes, runs, steps

COLUMNS = ("lane", *(column.name for column in steps.c if column.name not in ("run", "lane")))


def read(connection: Connection, run_id: str) -> list[tuple[Any, ...]] | None:
    """One row of COLUMNS per lane and step, lane by lane; None for an unknown run."""
    run = connection.execute(select(runs.c.key).where(runs.c.id == run_id)).scalar_one_or_none()
    if run is None:
        return None
    query = (
        select(lanes.c.name, *(steps.c[name] for name in COLUMNS[1:]))
        .join(lanes, (lanes.c.run == steps.c.run) & (lanes.c.lane == steps.c.lane))
        .where(steps.c.run == run)
        .order_by(steps.c.lane, steps.c.step)
    )
    return [tuple(row) for row in connection.execute(query)]
