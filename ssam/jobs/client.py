"""The client with which the app and the command line run races. Never imports torch."""

from ssam.config import read_limits
from ssam.jobs.analysis_client import AnalysisClient
from ssam.jobs.disk import Disk, read_disk
from ssam.jobs.duel_client import DuelClient
from ssam.jobs.hardware import Machine, read_machine
from ssam.jobs.queue_forecast import QueueForecaster
from ssam.jobs.race_client import RaceClient
from ssam.jobs.runner_process import RunnerProcess
from ssam.jobs.sweep_client import SweepClient
from ssam.store import Store


class Client:
    """Queues and controls races, analyses and sweeps. Everything goes through the store: the runner may restart at any time.

    The parts are ``races``, ``analyses``, ``sweeps``, ``duels`` and ``runner``; ``limits`` are the server's. Raise ValueError for a bad
    limit in the environment.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.limits = read_limits()
        self.runner = RunnerProcess(store)
        self.races = RaceClient(store, self.limits, QueueForecaster(store, self.limits), self.runner.ensure)
        self.analyses = AnalysisClient(store, self.limits, self.runner.ensure)
        self.sweeps = SweepClient(store, self.runner.ensure)
        self.duels = DuelClient(store, self.sweeps, self.runner.ensure)

    def machine(self) -> Machine | None:
        """Return the devices; None until a runner has detected them."""
        return read_machine(self.store.home)

    def slots_of_one(self) -> int:
        """Return how many races of one owner can train at once; by the limits alone until a runner has detected the devices."""
        machine = self.machine()
        return min(machine.slots if machine else self.limits.slots, self.limits.owner_running)

    def disk(self) -> Disk | None:
        """Return the space used and free, at most a minute old; None until a runner has measured it."""
        return read_disk(self.store.home)
