"""Scheduling: which race starts next. Pure functions over the jobs and slots at one moment: nothing here waits or does I/O.

A *slot* is a device with room for one race: ``cuda:0``, ``cuda:1``, ``mps``, and ``cpu`` once per race that fits there.
Jobs are in the queue's order, oldest first. ``served`` is when a race of an owner last started.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ssam.store import Job
from ssam.store.views import State

MOMENT = 1e-6  # seconds between two starts of one round
ATTEMPTS = 3  # starts without a new checkpoint after which a race that keeps dying is not restarted


class Turn(NamedTuple):
    """A race that starts now, and its slot."""

    job: Job
    slot: str


class Forecast(NamedTuple):
    """``position`` in the order of starts, from 1; ``seconds`` until the start, None if unknown."""

    position: int
    seconds: float | None


def suiting(device: str, slots: Sequence[str]) -> list[str]:
    """Return the slots allowed for a race that requests ``device``. ``auto`` is a GPU if there is one, busy or not."""
    gpus = [slot for slot in slots if slot != "cpu"]
    if device == "auto":
        return gpus or list(slots)
    if device == "cuda":
        return [slot for slot in gpus if slot.startswith("cuda:")]
    return [slot for slot in slots if slot == device]


def settled(jobs: Sequence[Job], auto: str) -> list[Job]:
    """Return the same jobs with the device ``auto`` replaced by its meaning on this machine."""
    return [replace(job, device=auto) if job.device == "auto" != auto else job for job in jobs]


def pick(
    queued: Sequence[Job], running: Sequence[Job], slots: Sequence[str], owner_running: int, served: Mapping[str, float]
) -> Turn | None:
    """Return the fair next start; None if nothing may start now.

    Next is the owner with the fewest running races; ties go to the least recently served owner, then to the oldest race.
    For each owner with fewer than ``owner_running`` running races the candidate is the oldest one with a free slot. Races of
    sweeps come after all others, and do not count towards an owner's running races. An exclusive race needs no free slot to be
    next: then nothing starts until the machine is empty, and nothing starts beside it.
    """
    if any(job.exclusive for job in running):
        return None
    free = Counter(slots) - Counter(job.slot for job in running if job.slot)
    if not free and not any(job.exclusive for job in queued):
        return None
    both = {sweep: Counter(job.owner for job in running if sweep or not job.sweep) for sweep in (True, False)}
    by_device = {device: suiting(device, slots) for device in {job.device for job in queued}}
    turns: dict[str, Turn] = {}
    for job in sorted(queued, key=lambda job: bool(job.sweep)):
        if job.owner not in turns and both[bool(job.sweep)][job.owner] < owner_running:
            allowed = by_device[job.device]
            slot = next((slot for slot in allowed if free[slot]), None)
            if slot or (job.exclusive and allowed):
                turns[job.owner] = Turn(job, slot or allowed[0])
    if not turns:
        return None
    turn = min(turns.values(), key=lambda turn: _rank(turn.job, both[bool(turn.job.sweep)], served))
    return None if turn.job.exclusive and running else turn


def _rank(job: Job, running: Mapping[str, int], served: Mapping[str, float]) -> tuple[bool, int, float, float]:
    return bool(job.sweep), running[job.owner], served.get(job.owner, -math.inf), job.created


def starting(
    queued: Sequence[Job],
    running: Sequence[Job],
    slots: Sequence[str],
    owner_running: int,
    served: Mapping[str, float],
    now: float,
) -> list[Turn]:
    """Return all starts possible now, one after the other."""
    waiting, going, served = list(queued), list(running), dict(served)
    turns = []
    while turn := pick(waiting, going, slots, owner_running, served):
        turns.append(turn)
        waiting.remove(turn.job)
        going.append(replace(turn.job, slot=turn.slot))
        served[turn.job.owner] = now + MOMENT * len(turns)
    return turns


def forecast(
    queued: Sequence[Job],
    running: Sequence[Job],
    slots: Sequence[str],
    owner_running: int,
    served: Mapping[str, float],
    left: Mapping[str, float | None],
    now: float,
) -> dict[str, Forecast]:
    """Return when each queued race will start if nothing else happens, by simulating ``pick`` to the end.

    ``left`` holds the seconds that each race, running or queued, still needs; None if unknown. A start that waits for
    such a race has an unknown time. A race that can never start is left out.
    """
    waiting, going, served = list(queued), list(running), dict(served)
    ends = {job.id: _end(left[job.id], 0.0) for job in going}
    forecasts: dict[str, Forecast] = {}
    clock, is_known = 0.0, True
    while waiting:
        moment = now + clock + MOMENT * len(forecasts)
        for job, slot in starting(waiting, going, slots, owner_running, served, moment):
            forecasts[job.id] = Forecast(len(forecasts) + 1, clock if is_known else None)
            waiting.remove(job)
            going.append(replace(job, slot=slot))
            served[job.owner] = now + clock + MOMENT * len(forecasts)
            ends[job.id] = _end(left[job.id], clock)
        if not going:
            break
        is_known = is_known and all(left[job.id] is not None for job in going)
        first = min(going, key=lambda job: ends[job.id])  # those of unknown length last
        going.remove(first)
        clock = ends[first.id] if math.isfinite(ends[first.id]) else clock
    return forecasts


def _end(seconds: float | None, start: float) -> float:
    return math.inf if seconds is None else start + max(0.0, seconds)


def after_death(job: Job) -> State:
    """Return the new state of a race whose process died: the desired state, else queued again until that no longer helps."""
    if job.want != "run":
        return "stopped" if job.want == "stop" else "paused"
    return "queued" if job.attempts < ATTEMPTS else "interrupted"
