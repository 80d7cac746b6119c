"""What the app and the command line use to make and steer duels. Everything goes through the store; the runner does the rest."""

from collections.abc import Callable

from ssam.experiment.duel import DuelSpec
from ssam.jobs.ownership import checked
from ssam.jobs.sweep_client import SweepClient
from ssam.store import Person, Store, Sweep
from ssam.store.duels import Duel

MOST_AT_ONCE = 1  # duels of one owner that are not over: each is many searches


class DuelClient:
    """``ensure_runner`` starts a runner if none is alive."""

    def __init__(self, store: Store, sweeps: SweepClient, ensure_runner: Callable[[], None]) -> None:
        self.store, self._sweeps, self._ensure_runner = store, sweeps, ensure_runner

    def start(self, spec: DuelSpec, request_id: str, person: Person) -> str:
        """Queue a duel and return its id. Raises ValueError, one line, if its images are missing or this owner has one running."""
        going = [duel for duel in self.store.duels.of(person.owner) if duel.state in ("running", "paused")]
        if len(going) >= MOST_AT_ONCE:
            raise ValueError("you have a duel that has not finished; stop it first")
        self.store.uploads.check(spec.base.data)
        duel_id = self.store.duels.create(spec, request_id, person.owner)
        self._ensure_runner()
        return duel_id

    def pause(self, duel_id: str, person: Person) -> None:
        """Pause a duel: its races keep a checkpoint and leave their slots."""
        duel = self.check(duel_id, person)
        if self.store.duels.transition(duel_id, ("running",), "paused"):
            for sweep in self._begun(duel):
                self._drop_unbegun(sweep)
                self._sweeps.pause(sweep.id, person)

    def resume(self, duel_id: str, person: Person) -> None:
        """Resume a duel that was paused or stopped; no trial is lost or repeated."""
        duel = self.check(duel_id, person)
        self.store.uploads.check(duel.spec.base.data)
        for sweep in self._begun(duel):
            self._sweeps.resume(sweep.id, person)
            self._resume_fresh(sweep)
        self.store.duels.transition(duel_id, ("paused", "stopped"), "running")
        self._ensure_runner()

    def stop(self, duel_id: str, person: Person) -> None:
        """Stop a duel. Trials that have not finished do not count."""
        duel = self.check(duel_id, person)
        if self.store.duels.transition(duel_id, ("running", "paused"), "stopped"):
            for sweep in self._begun(duel):
                self._drop_unbegun(sweep)
                self._sweeps.stop(sweep.id, person)

    def delete(self, duel_id: str, person: Person) -> None:
        """Forget a duel that is over, and its searches; their races stay. Raises ValueError if it is still running."""
        if self.check(duel_id, person).state in ("running", "paused"):
            raise ValueError("this duel is still running; stop it before deleting it")
        self.store.duels.delete(duel_id)

    def check(self, duel_id: str, person: Person) -> Duel:
        """Return the duel. Raise ValueError if there is none, PermissionError if it is someone else's."""
        return checked(self.store.duels.get(duel_id), duel_id, "duel", person)

    def _drop_unbegun(self, sweep: Sweep) -> None:
        """Take back a fresh trial that has no race yet: the runner would begin it, and adds it again once the duel goes on."""
        for trial in self.store.sweeps.trials(sweep.id):
            if trial.fresh and trial.run is None:
                self.store.sweeps.drop(sweep.id, trial)

    def _resume_fresh(self, sweep: Sweep) -> None:
        for trial in self.store.sweeps.trials(sweep.id):
            if trial.fresh and trial.state == "failed" and trial.run:
                self.store.sweeps.requeue(sweep.id, trial)

    def _begun(self, duel: Duel) -> list[Sweep]:
        places = range(len(duel.spec.contenders))
        return [sweep for place in places for sweep in self.store.duels.searches(duel, place)]
