"""The data that every export reads of a race, and the names of its lanes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from ssam.catalogue import DATASETS, MODELS
from ssam.experiment import RaceSpec
from ssam.stats.proportion import wilson
from ssam.store import Run, Store
from ssam.store.annotations import Labels
from ssam.store.outcome import Outcome, outcomes
from ssam.store.views import Window
from ssam.styles import lane_titles

if TYPE_CHECKING:
    from pandas import DataFrame

HERE = "http://127.0.0.1:8501/"  # where ``make app`` serves the lab
POINTS = 150  # points of a drawn curve, each the mean of several steps

Weights = Mapping[str, np.ndarray]  # by the names of ``state_dict``


@dataclass(frozen=True)
class Source:
    """A race and its store.

    ``address`` is that of the lab's race page; ``labels`` are the parts of its name, tags and note that may be shown.
    ``last_weights`` returns, by lane, the number of steps and the weights then, from a checkpoint, which only torch can
    read. Raise ValueError, one line, for a race that has not started.
    """

    store: Store
    run: Run
    address: str = HERE
    labels: Labels = field(default_factory=Labels)
    last_weights: Callable[[], dict[str, tuple[int, Weights]]] | None = None

    def __post_init__(self) -> None:
        if self.run.started_info is None:
            raise ValueError("this race has not started: there is nothing to export yet")

    @property
    def spec(self) -> RaceSpec:
        return self.run.spec

    @property
    def notes(self) -> list[str]:
        """Return the race's notes on its data: how it was split, what was left out and why, what its test accuracy is based on."""
        return list(self.info["warnings"])

    @property
    def info(self) -> dict[str, Any]:
        """Return the event Started as a dictionary."""
        assert self.run.started_info is not None
        return self.run.started_info

    @cached_property
    def window(self) -> Window:
        window = self.store.curves.window(self.run.id, POINTS)
        if window is None:
            raise ValueError("this race has been deleted meanwhile")
        return window

    @property
    def statuses(self) -> dict[str, str]:
        """Return by lane: ``finished``, ``diverged``, or the race's state if the lane has not ended."""
        ended = ("finished", "diverged")
        return {lane.name: lane.state if lane.state in ended else self.run.state for lane in self.window.lanes}

    @cached_property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Return the lanes' outcomes; empty before the race has a result."""
        return outcomes(self.run)

    @cached_property
    def evaluations(self) -> "DataFrame":
        """Return a row for each lane and evaluation, with the 95% interval that the number of test images gives the accuracy."""
        table = self._identified(self.store.curves.epochs_table(self.run.id))
        shares = zip(table["test_accuracy"], table["test_size"], strict=True)
        intervals = [(None, None) if share is None or share != share else wilson(share, size) for share, size in shares]
        column = table.columns.get_loc("test_accuracy") + 1
        for name, end in (("test_accuracy_high", 1), ("test_accuracy_low", 0)):
            table.insert(column, name, [interval[end] for interval in intervals])
        return table

    @cached_property
    def steps(self) -> "DataFrame":
        """Return a row for each lane and step."""
        return self._identified(self.store.curves.steps_table(self.run.id))

    def _identified(self, table: "DataFrame | None") -> "DataFrame":
        """Return the table with columns that identify the race, and how each lane ended."""
        if table is None:
            raise ValueError("this race has been deleted meanwhile")
        spec, statuses = self.spec, self.statuses
        about = {"run": self.run.id, "dataset": spec.dataset, "model": spec.model, "seed": spec.seed}
        for column, (name, value) in enumerate(about.items()):
            table.insert(column, name, value)
        table.insert(table.columns.get_loc("lane") + 1, "status", [statuses[lane] for lane in table["lane"]])
        return table

    @property
    def title(self) -> str:
        """Return what is raced, in one line."""
        spec = self.spec
        noise = f", {spec.label_noise * 100:g}% label noise" if spec.label_noise else ""
        return f"{MODELS[spec.model].title} on {DATASETS[spec.dataset].title}{noise}, seed {spec.seed}"

    @property
    def lane_titles(self) -> list[str]:
        return lane_titles(self.spec)

    def lane_file(self, lane: int) -> str:
        """Return a file name for a lane: its place, and a readable form of its name.

        The place comes first: two names may differ only in characters that a file name cannot contain."""
        return f"{lane}-{re.sub(r'[^a-z0-9.]+', '-', self.spec.lane_names[lane])}"

    @property
    def link(self) -> str:
        """Return a link that opens the race where it was run, and its settings anywhere else."""
        return f"{self.address}?{urlencode(self.spec.to_strings() | {'run': self.run.id})}"
