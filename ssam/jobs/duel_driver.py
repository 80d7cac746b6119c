"""Drives the duels of one runner: begins each contender's search of each round, then has its winner trained with the fresh seed.

It keeps nothing that the store does not know, like the sweep driver, which runs the searches and the fresh seeds.
"""

from ssam.store import Store, Sweep, Trial
from ssam.store.duels import Duel, request_of
from ssam.store.sweep_scores import chosen


class DuelDriver:
    def __init__(self, store: Store) -> None:
        self._store = store

    def look(self) -> bool:
        """Advance all running duels; return whether there are any."""
        active = self._store.duels.active()
        for duel in active:
            self._advance(duel)
        return bool(active)

    def _advance(self, duel: Duel) -> None:
        """Play the rounds in their order, all contenders of a round at once."""
        for turn in range(duel.spec.seeds):
            if not self._play(duel, turn):
                return
        self._store.duels.transition(duel.id, ("running",), "finished")

    def _play(self, duel: Duel, turn: int) -> bool:
        """Advance one round; return whether it is over."""
        searches = [self._begun(duel, place, turn) for place in range(len(duel.spec.contenders))]
        for name, sweep in zip(duel.spec.names, searches, strict=True):
            if sweep.state == "stopped":
                self._stop(duel, sweep.message or f"a search of {name} was stopped")
                return False
        return all([self._judged(duel, turn, place, sweep) for place, sweep in enumerate(searches)])

    def _begun(self, duel: Duel, place: int, turn: int) -> Sweep:
        request = request_of(duel.id, place, turn)
        sweep = self._store.sweeps.of_request(request)
        if sweep is None:
            self._store.sweeps.create(duel.spec.sweep(place, turn), request, duel.owner)
            sweep = self._store.sweeps.of_request(request)
        assert sweep is not None
        return sweep

    def _judged(self, duel: Duel, turn: int, place: int, sweep: Sweep) -> bool:
        """Have a finished search's winner trained with the round's fresh seed; return whether that has ended."""
        trials = self._store.sweeps.trials(sweep.id)
        if fresh := [trial for trial in trials if trial.fresh]:
            return all(trial.state != "open" for trial in fresh)
        if sweep.state != "finished":
            return False
        winner = chosen(sweep, trials)
        if winner is None:
            self._stop(duel, f"no trial of {duel.spec.names[place]} finished, so there is nothing to judge")
        else:
            seed = duel.spec.fresh_seed(turn)
            self._store.sweeps.add(sweep.id, [Trial(winner.number, seed, winner.values, fresh=True)])
        return False

    def _stop(self, duel: Duel, why: str) -> None:
        if self._store.duels.transition(duel.id, ("running",), "stopped", why):
            for place in range(len(duel.spec.contenders)):
                for sweep in self._store.duels.searches(duel, place):
                    self._store.sweeps.transition(sweep.id, ("running", "paused"), "stopped")
