"""Choosing races, and how many at most."""

from collections.abc import Callable

from app.ui.lab import Lab
from ssam.store import Person, Run, Store

OFFERED = 60  # own races to choose from


def race_of(store: Store, run_id: str) -> Run | None:
    """Return a race by its id; None for an analysis."""
    run = store.runs.get(run_id)
    return run if run and run.parent is None else None


def own(lab: Lab, person: Person, fits: Callable[[Run], bool], shown: str | None) -> list[Run]:
    """Return the own races that fit, the newest first, and before them the one that is shown if it is none of these."""
    found = [run for run in lab.store.runs.newest(OFFERED, person.owner) if fits(run)]
    if shown and shown not in {run.id for run in found} and (run := race_of(lab.store, shown)):
        return [run, *found]
    return found


def has_weights(store: Store) -> Callable[[Run], bool]:
    """Whether there are weights of a race to measure: its newest, or those of an epoch."""
    return lambda run: bool(run.checkpointed or store.analyses.snapshots(run.id))


OPENED = "opened_by_link"  # races of others that this session has opened


COMPARED = 60  # races that are compared at once, at most
