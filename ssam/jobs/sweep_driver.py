"""Drives the sweeps of one runner: asks for settings, queues their races, reports results, prunes races that fall behind.

Like the runner, it has no state that is not in the store.
"""

import traceback
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy.exc import DBAPIError

from ssam.config import Limits
from ssam.experiment.sweep import SweepSpec
from ssam.store import Store, Sweep, Trial
from ssam.store.sweep_scores import Point, points
from ssam.store.sweeps import STANDARD
from ssam.store.views import ALIVE, ENDED

AHEAD = 2  # races kept waiting in the queue, so that a free slot is used at once


class SweepDriver:
    """``slots`` returns how many races run at once on this machine."""

    def __init__(self, store: Store, limits: Limits, slots: Callable[[], int]) -> None:
        self._store, self._limits, self._slots = store, limits, slots
        self._searches: dict[str, _SearchSession] = {}
        self._broken: set[str] = set()

    def look(self) -> bool:
        """Do one round over all sweeps; return whether there is any."""
        active = self._store.sweeps.active()
        for gone in set(self._searches) - {sweep.id for sweep in active}:
            del self._searches[gone]
        for sweep in active:
            if sweep.id not in self._broken:
                self._try(sweep)
        return bool(active)

    def _try(self, sweep: Sweep) -> None:
        """Drive one sweep; stop it on an error, so that it does not block the others."""
        try:
            self._drive(sweep)
        except (DBAPIError, OSError):
            raise
        except Exception as error:
            traceback.print_exc()
            self._broken.add(sweep.id)
            message = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._store.sweeps.transition(sweep.id, ("running", "paused"), "stopped", message=message)

    def _drive(self, sweep: Sweep) -> None:
        trials = self._store.sweeps.trials(sweep.id)
        # After the trials: a client stops a sweep first and then its races, so that none of them counts as failed.
        sweep = self._store.sweeps.get(sweep.id) or sweep
        still = [trial for trial in trials if trial.state == "open"]
        if [self._settle(sweep, trial) for trial in still].count(True):
            trials = self._store.sweeps.trials(sweep.id)
            still = [trial for trial in trials if trial.state == "open"]
        session = self._searches.get(sweep.id)
        if session is None or session.spec != sweep.spec or session.dropped(trials):
            session = self._searches[sweep.id] = _SearchSession(self._store, sweep, trials)
        session.hear(trials)
        if sweep.spec.pruning != "none":
            session.prune(still)
        if sweep.state == "running":
            self._go_on(sweep, session, trials, still)
        elif sweep.state == "stopped":
            still = [trial for trial in still if trial.fresh]
        if sweep.state != "paused":
            self._begin(
                [trial for trial in still if trial.run is None], sweep, len([1 for trial in still if trial.run])
            )

    def _settle(self, sweep: Sweep, trial: Trial) -> bool:
        """Check the outcome of a trial's race; return whether the trial changed."""
        store, searching = self._store, not trial.fresh
        if sweep.state == "stopped" and searching and (trial.run is None or trial.run_state in (None, "stopped")):
            store.sweeps.drop(sweep.id, trial)
            return True
        if trial.run is None:
            return False
        if trial.run_state is None:
            store.sweeps.close(sweep.id, trial, "failed", message="its race was deleted")
            return True
        if trial.run_state not in ENDED:
            # Queued at the moment when the sweep was paused or stopped.
            if sweep.state == "stopped" and searching:
                store.queue.set_desired_state(trial.run, "stop")
            elif sweep.state == "paused" and trial.run_state in ("queued", *ALIVE):
                store.queue.set_desired_state(trial.run, "pause")
            return False
        if trial.run_state != "finished":
            store.sweeps.close(sweep.id, trial, "failed", message=f"its race was {trial.run_state}")
            return True
        end = store.sweeps.ending(trial.run, sweep.spec.lane - 1)
        score = None if end is None else getattr(end, sweep.spec.chooses_by if searching else "test")
        if end is None or end.diverged or score is None:
            store.sweeps.close(sweep.id, trial, "diverged")
            return True
        cost = {"gradients": float(end.gradients), "seconds": end.seconds}.get(sweep.spec.cost or "")
        store.sweeps.close(sweep.id, trial, "done", score, cost, test=end.test)
        return True

    def _go_on(self, sweep: Sweep, session: "_SearchSession", trials: list[Trial], still: list[Trial]) -> None:
        """Ask for settings while there are slots for their races and settings left."""
        tried = [trial for trial in trials if not trial.fresh]
        while len(still) < self._places():
            number = max((trial.number for trial in tried), default=-1) + 1
            new = session.ask(number) if self._may_ask(sweep, len(tried)) else []
            if not new:
                if not still:
                    self._store.sweeps.transition(sweep.id, ("running",), "finished")
                return
            self._store.sweeps.add(sweep.id, new)
            tried += new
            session.hear(tried)  # a refused one has already ended
            still += [trial for trial in new if trial.state == "open"]

    def _may_ask(self, sweep: Sweep, tried: int) -> bool:
        spec = sweep.spec
        if tried + spec.seeds > spec.most_races:
            return False
        if spec.minutes is None and spec.gradients is None:
            return True
        spent = self._store.sweeps.spent(sweep.id)
        return spent.minutes < (spec.minutes or float("inf")) and spent.gradients < (spec.gradients or float("inf"))

    def _places(self) -> int:
        return min(self._slots(), self._limits.owner_running) + AHEAD

    def _begin(self, waiting: list[Trial], sweep: Sweep, under_way: int) -> None:
        """Queue the races of trials that have none yet, as many as there are slots. Stop a sweep whose images are missing."""
        try:
            self._store.uploads.check(sweep.spec.base.data)
        except ValueError as error:
            if waiting:
                self._store.sweeps.transition(sweep.id, ("running", "paused"), "stopped", message=str(error))
            return
        for trial in waiting[: max(0, self._places() - under_way)]:
            spec = sweep.spec.race(trial.values if trial.number != STANDARD else {}, trial.seed)
            # With the settings: after a stop a number that was dropped is asked for again, maybe with others.
            request = f"sweep {sweep.id} {trial.number} {trial.seed} {spec.digest}"
            run_id = self._store.runs.create(spec, request, sweep.owner, sweep=sweep.id)
            if self._store.queue.resume(run_id):  # with the same ones, it is the race that was stopped
                self._store.sweeps.begin(sweep.id, trial, run_id)


class _SearchSession:
    """A search, and the trials reported to it so far."""

    def __init__(self, store: Store, sweep: Sweep, trials: list[Trial]) -> None:
        from ssam.jobs.optuna_search import (
            Search,  # imported late: most runners never see a sweep, and Optuna takes half a second to load
        )

        self.spec: SweepSpec = sweep.spec
        self._store, self._id = store, sweep.id
        tried = points(sweep.spec, trials)
        self._search = Search(sweep.spec, tried, self._curve)
        self._finished = {point.number for point in tried if point.state != "open"}

    def _curve(self, point: Point) -> list[tuple[int, float]]:
        return self._evaluations(run) if (run := point.trials[0].run) else []

    def _evaluations(self, run: str) -> list[tuple[int, float]]:
        return self._store.sweeps.evaluations(run, self.spec.lane - 1, self.spec.chooses_by)

    def dropped(self, trials: list[Trial]) -> bool:
        """Return whether a trial known to the search no longer exists."""
        return not self._search.numbers <= {trial.number for trial in trials}

    def hear(self, trials: list[Trial]) -> None:
        """Report ended trials to the search."""
        ended = [
            point for point in points(self.spec, trials) if point.state != "open" and point.number not in self._finished
        ]
        for point in ended:
            self._search.tell(point)
            self._finished.add(point.number)
        if ended:
            self._store.sweeps.set_importance(self._id, self._search.importance())

    def prune(self, still: list[Trial]) -> None:
        """Prune the races that fall behind."""
        for trial in still:
            if trial.fresh or not trial.run or trial.run_state not in ALIVE:
                continue
            curve = self._evaluations(trial.run)
            if self._search.falls_behind(trial.number, curve):
                self._store.sweeps.close(
                    self._id, trial, "pruned", curve[-1][1], message=f"pruned at epoch {curve[-1][0]}"
                )
                self._store.queue.set_desired_state(trial.run, "stop")

    def ask(self, number: int) -> list[Trial]:
        """Return the trials of the next settings, one for each seed; a refused one if they are invalid; none if there are no more."""
        values = self._search.ask(number)
        if values is None:
            return []
        seed = self.spec.base.seed
        new = [Trial(number, seed + at, values) for at in range(self.spec.seeds)]
        try:
            self.spec.race(values)
        except ValueError as error:
            return [replace(trial, state="refused", message=str(error)) for trial in new]
        return new
