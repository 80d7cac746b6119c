"""The run store: every race, its curves and its masks. Never imports torch."""

from ssam.store.store import Store
from ssam.store.sweeps import Sweep, Trial
from ssam.store.views import Heatmap, Job, LaneWindow, Person, Run, Window
from ssam.store.writer import Writer

__all__ = ["Heatmap", "Job", "LaneWindow", "Person", "Run", "Store", "Sweep", "Trial", "Window", "Writer"]
