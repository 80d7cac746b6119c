"""Forecast of when queued races will start. Requested by every open page, computed about once a second."""

import threading
import time

from ssam.config import Limits
from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec
from ssam.jobs import queue
from ssam.jobs.disk import read_disk
from ssam.jobs.hardware import describe, read_machine
from ssam.jobs.queue import Forecast
from ssam.planning.estimate import Rate, analysis_seconds, estimate_seconds
from ssam.store import Job, Run, Store
from ssam.store.views import ALIVE

FORECAST_SECONDS = 1.0  # maximal age of an answer in seconds …
FORECAST_SHARE = 0.05  # … or older, if computing it would take more than this share of the time
RATE_SECONDS = 60.0  # maximal age of the speed of past races, in seconds
TELLING_SECONDS = 3.0  # a race's own pace is trusted after this many seconds of training …
TELLING_PROGRESS = 0.02  # … and this share of the race


class QueueForecaster:
    """The forecast for one home folder. Safe to use from threads."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._lock = threading.Lock()
        self._forecasts: dict[str, Forecast] = {}
        self._expires_at = 0.0
        self._rates: dict[tuple[str, str], Rate] = {}
        self._rates_expire_at = 0.0

    def forecasts(self) -> dict[str, Forecast]:
        """Return the forecast of every queued race that can start on this machine."""
        with self._lock:
            begin = time.monotonic()
            if begin >= self._expires_at:
                self._forecasts = self._forecast()
                took = time.monotonic() - begin
                self._expires_at = begin + max(FORECAST_SECONDS, took / FORECAST_SHARE)
            return self._forecasts

    def starts_at_once(self, job: Job) -> bool:
        """Return whether this race, added to the queue, would start without waiting for another to end."""
        if self._is_full():
            return False
        waiting, running, slots, served = self._situation([*self._store.queue.jobs(), job])
        turns = queue.starting(waiting, running, slots, self._limits.owner_running, served, time.time())
        allowed = queue.suiting(waiting[-1].device, slots)
        return not allowed or job.id in {
            turn.job.id for turn in turns
        }  # without its device the runner rejects it at once

    def _forecast(self) -> dict[str, Forecast]:
        jobs = self._store.queue.jobs()
        runs = self._store.runs.get_many([job.id for job in jobs])
        left = {job.id: self._left(job, runs.get(job.id)) for job in jobs}
        waiting, running, slots, served = self._situation(jobs)
        forecasts = queue.forecast(waiting, running, slots, self._limits.owner_running, served, left, time.time())
        if self._is_full():
            return {run_id: Forecast(turn.position, None) for run_id, turn in forecasts.items()}
        return forecasts

    def _situation(self, jobs: list[Job]) -> tuple[list[Job], list[Job], tuple[str, ...], dict[str, float]]:
        """Return queued and running races, the slots, and when each waiting owner was last served."""
        machine = read_machine(self._store.home) or describe(self._limits.slots, [])
        jobs = queue.settled(jobs, machine.auto)
        waiting = [job for job in jobs if job.state == "queued"]
        running = [job for job in jobs if job.state in ALIVE]
        return waiting, running, machine.places, self._store.queue.last_served(list({job.owner for job in waiting}))

    def _is_full(self) -> bool:
        disk = read_disk(self._store.home)
        return disk is not None and bool(disk.waits)

    def _left(self, job: Job, run: Run | None) -> float | None:
        """Return the seconds that a race still needs; None if nothing comparable has been measured here."""
        if run is None or job.want != "run":
            return 0.0
        if job.state == "running" and run.analysis is None and (window := self._store.curves.window(job.id, points=1)):
            is_settled = window.elapsed >= TELLING_SECONDS and window.progress >= TELLING_PROGRESS
            if is_settled and window.eta_seconds is not None:
                return window.eta_seconds
        whole = self._whole(run.spec, run.analysis)
        return None if whole is None else whole * (1 - run.progress)

    def _whole(self, spec: RaceSpec, analysis: AnalysisSpec | None) -> float | None:
        if time.monotonic() >= self._rates_expire_at:
            self._rates.clear()
            self._rates_expire_at = time.monotonic() + RATE_SECONDS
        kind = (spec.device, spec.model)
        if kind not in self._rates:
            self._rates[kind] = self._store.runs.rate(*kind, shared=True)
        if not self._rates[kind].measured:
            return None
        if analysis is not None:
            return analysis_seconds(spec, analysis, self._rates[kind], max(1, len(analysis.epochs)))
        try:
            sizes = self._store.uploads.sizes(spec.data) if spec.data else None
        except ValueError:  # the upload was deleted: the race will report it
            return 0.0
        return estimate_seconds(spec, self._rates[kind], sizes)
