"""Client to create and control sweeps. Everything goes through the store; the runner does the rest."""

from collections.abc import Callable
from dataclasses import replace

from ssam.experiment.sweep import MAX_RACES, SweepSpec, parse_sweep
from ssam.jobs.ownership import checked
from ssam.store import Person, Store, Sweep, Trial
from ssam.store.sweep_scores import ranked
from ssam.store.sweeps import STANDARD

MOST_AT_ONCE = 3  # unfinished sweeps of one owner
MOST_FRESH = 50  # fresh seeds of one setting


class SweepClient:
    """Creates and controls sweeps. ``ensure_runner`` starts a runner if none is alive."""

    def __init__(self, store: Store, ensure_runner: Callable[[], None]) -> None:
        self.store, self._ensure_runner = store, ensure_runner

    def start(self, spec: SweepSpec, request_id: str, person: Person) -> str:
        """Start a sweep and return its id. Raise ValueError, one line, if its race holds out no images, or this owner has too many
        unfinished sweeps."""
        if spec.chooses_by != "validation":
            raise ValueError("a sweep chooses by validation accuracy, so its race needs a validation split above 0")
        going = [sweep for sweep in self.store.sweeps.of(person.owner) if sweep.state in ("running", "paused")]
        if len(going) >= MOST_AT_ONCE:
            raise ValueError(f"you have {len(going)} unfinished sweeps and may have {MOST_AT_ONCE}; stop one first")
        self.store.uploads.check(spec.base.data)
        sweep_id = self.store.sweeps.create(spec, request_id, person.owner)
        self._ensure_runner()
        return sweep_id

    def pause(self, sweep_id: str, person: Person) -> None:
        """Pause a sweep: its races save a checkpoint and free their slots."""
        self.check(sweep_id, person)
        self.store.sweeps.transition(sweep_id, ("running",), "paused")
        for trial in self._open(sweep_id):
            self.store.queue.set_desired_state(str(trial.run), "pause")

    def resume(self, sweep_id: str, person: Person) -> None:
        """Resume a paused or stopped sweep."""
        sweep = self.check(sweep_id, person)
        self.store.uploads.check(sweep.spec.base.data)
        self._requeue(sweep)
        self.store.sweeps.transition(sweep_id, ("paused", "stopped"), "running")
        for trial in self._open(sweep_id):
            self.store.queue.resume(str(trial.run))
        self._ensure_runner()

    def stop(self, sweep_id: str, person: Person) -> None:
        """Stop a sweep; its unfinished trials are stopped and do not count."""
        self.check(sweep_id, person)
        self.store.sweeps.transition(sweep_id, ("running", "paused"), "stopped")
        for trial in self._open(sweep_id):
            self.store.queue.set_desired_state(str(trial.run), "stop")

    def extend(self, sweep_id: str, person: Person, races: int = 0, minutes: float = 0.0, gradients: int = 0) -> None:
        """Extend the budget and resume. Raise ValueError, one line, if that would change nothing."""
        sweep = self.check(sweep_id, person)
        self.store.uploads.check(sweep.spec.base.data)
        more: dict[str, float] = {"races": races, "minutes": minutes, "gradients": gradients}
        if not any(more.values()) or min(more.values()) < 0:
            raise ValueError("extend by races, minutes or gradients above 0")
        spec, changed = sweep.spec, {}
        for name, amount in more.items():
            before = getattr(spec, name)
            if amount and before is None:
                raise ValueError(
                    f"this sweep has no budget of {name}; extend one that it has: {', '.join(_budgets(spec)) or 'none'}"
                )
            if amount:
                changed[name] = min(before + amount, MAX_RACES) if name == "races" else before + amount
        longer = parse_sweep({**{name: getattr(spec, name) for name in SweepSpec.model_fields}, **changed})
        if longer.method == "grid" and races and longer.most_races == spec.most_races:
            raise ValueError("all combinations of this grid are in its budget already")
        self.store.sweeps.respecify(sweep_id, longer)
        self._requeue(sweep)
        self.store.sweeps.transition(sweep_id, ("stopped", "finished"), "running")
        self._ensure_runner()

    def fresh(self, sweep_id: str, person: Person, seeds: int) -> None:
        """Train the best settings on ``seeds`` seeds that the search has not seen, and the starting point on the same seeds. They are
        compared by test accuracy, and nothing is chosen by it. Raise ValueError, one line, if there is no best yet or the number is
        not allowed."""
        sweep = self.check(sweep_id, person)
        if not 2 <= seeds <= MOST_FRESH:
            raise ValueError(f"fresh seeds {seeds} must be a whole number from 2 to {MOST_FRESH}")
        self.store.uploads.check(sweep.spec.base.data)
        trials = self.store.sweeps.trials(sweep_id)
        best = next(iter(ranked(sweep.spec, trials)), None)
        if best is None:
            raise ValueError("no trial of this sweep has finished: there is nothing to confirm")
        seen = {trial.seed for trial in trials if not trial.fresh}
        first = max([sweep.spec.base.seed + sweep.spec.seeds - 1, *seen]) + 1
        begun = [Trial(best.number, first + at, best.values, fresh=True) for at in range(seeds)]
        if best.values != sweep.spec.standard:
            begun += [replace(trial, number=STANDARD, values=sweep.spec.standard) for trial in begun]
        self.store.sweeps.add(sweep_id, begun)
        self._ensure_runner()

    def delete(self, sweep_id: str, person: Person) -> None:
        """Delete a finished sweep; its races stay. Raise ValueError if it is not finished."""
        sweep = self.check(sweep_id, person)
        if sweep.state in ("running", "paused") or any(
            trial.state == "open" for trial in self.store.sweeps.trials(sweep_id)
        ):
            raise ValueError("this sweep is still running; stop it before deleting it")
        self.store.sweeps.delete(sweep_id)

    def check(self, sweep_id: str, person: Person) -> Sweep:
        """Return the sweep. Raise ValueError if there is none, PermissionError if it is someone else's."""
        return checked(self.store.sweeps.get(sweep_id), sweep_id, "sweep", person)

    def _requeue(self, sweep: Sweep) -> None:
        """Requeue the trials of a stopped sweep, before it runs again: a race stopped in a running sweep counts as failed."""
        for trial in self._open(sweep.id) if sweep.state == "stopped" else []:
            self.store.queue.set_desired_state(str(trial.run), "stop")
            self.store.sweeps.requeue(sweep.id, trial)

    def _open(self, sweep_id: str) -> list[Trial]:
        return [trial for trial in self.store.sweeps.trials(sweep_id) if trial.state == "open" and trial.run]


def _budgets(spec: SweepSpec) -> list[str]:
    return [name for name in ("races", "minutes", "gradients") if getattr(spec, name) is not None]
