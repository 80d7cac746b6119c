"""All stored data of a race, for comparison with another race."""

import hashlib
from typing import Any

from sqlalchemy import select

from ssam.store import Store
from ssam.store.schema import bins, epochs, lanes, masks, runs, steps

TIMES = {"seconds", "ratio", "refresh_ms", "step_ms_median", "step_ratio_to_sgd", "load"}


def is_time(name: str) -> bool:
    """Return whether a value is a measured time or the machine's load, which differ between any two races."""
    return name in TIMES or name.startswith("ms_")


def kept(store: Store, run_id: str, times: bool = False) -> dict[str, Any]:
    """Return the rows by table, then the digests of the pictures, the result, and the race's facts from its start."""
    found: dict[str, Any] = {}
    with store.engine.connect() as connection:
        key = connection.execute(select(runs.c.key).where(runs.c.id == run_id)).scalar_one()
        for table in (lanes, steps, bins, epochs, masks):
            columns = [column for column in table.c if column.name != "run" and (times or not is_time(column.name))]
            rows = connection.execute(select(*columns).where(table.c.run == key).order_by(*table.primary_key.columns))
            found[table.name] = [tuple(row) for row in rows]
    pictures = sorted((store.run_folder(run_id) / "masks").glob("*"))
    found["pictures"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures}
    run = store.runs.get(run_id)
    assert run is not None
    found["result"] = _without_times(run.result, times)
    found["about"] = run.started_info
    return found


def points(store: Store, run_id: str, times: bool = True) -> dict[tuple[int, int], tuple]:
    """Return every point that can be read now, with all its values, by lane and step."""
    columns = [column for column in steps.c if times or not is_time(column.name)]
    query = select(*columns).join(runs, runs.c.key == steps.c.run).where(runs.c.id == run_id)
    with store.engine.connect() as connection:
        return {(row.lane, row.step): tuple(row) for row in connection.execute(query)}


def _without_times(result: dict[str, Any] | None, times: bool) -> Any:
    if result is None or times:
        return result
    lanes = [{name: value for name, value in lane.items() if not is_time(name)} for lane in result["lanes"]]
    return {name: value for name, value in result.items() if not is_time(name)} | {"lanes": lanes}
