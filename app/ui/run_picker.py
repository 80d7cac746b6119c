"""Which races are meant, and how many at most."""

from ssam.store import Run, Store


def race_of(store: Store, run_id: str) -> Run | None:
    """A race by its id; an analysis is none."""
    run = store.runs.get(run_id)
    return run if run and run.parent is None else None


OPENED = "opened_by_link"  # the races of others that this session has looked at


COMPARED = 60  # races that are compared at once, at most
