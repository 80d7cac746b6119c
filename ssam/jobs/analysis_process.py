"""The process of an analysis: loads the weights of its race, measures, saves results, and obeys pause and stop."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ssam.config import default_device, read_limits
from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec, Found, Moment
from ssam.jobs import checkpoints
from ssam.jobs.retry import Cancelled, retry_while_unavailable
from ssam.jobs.run_handle import RunHandle
from ssam.store import Run, Store
from ssam.store.arrays import load_arrays, snapshot_file
from ssam.store.views import State

if TYPE_CHECKING:
    import torch

    from ssam.analysis.context import LaneWeights

LOOK_SECONDS = 0.2  # seconds between two checks of the desired state
KEEP_SECONDS = 0.5  # seconds between two saves of the results so far
WITH_MASKS = ("sharpness", "fisher", "anatomy")  # kinds of analysis that use a lane's own mask


class TimeIsUpError(Exception):
    """The analysis has reached the server's time limit."""


def run(
    handle: RunHandle, spec: RaceSpec, analysis: AnalysisSpec, parent: str, home: Path, image_root: Path, threads: int
) -> tuple[State, str]:
    """Measure until the end or a stop; return the final state and its message. Import torch.

    Raise ValueError, one line, if weights are no longer stored, and whatever the analysis raises. An analysis whose process died
    starts over.
    """
    import torch

    from ssam.analysis.anatomy import with_rates
    from ssam.analysis.runner import analyse
    from ssam.engine.device import device_name

    torch.set_num_threads(threads)
    device = device_here(spec.device)
    moments = retry_while_unavailable(handle, lambda: load_moments(handle.store, parent, spec, analysis))
    assert moments is not None
    if analysis.kind == "anatomy":
        moments = with_rates(moments, lambda moment: _rate(handle.store, parent, spec, moment))
    pulse = _Heartbeat(handle)
    result: Found | None = None
    try:
        results = analyse(
            spec,
            analysis,
            moments,
            home=home,
            device=device,
            device_name=device_name(device),
            image_root=image_root,
            pulse=pulse.beat,
        )
        for result in results:
            pulse.keep(result)
    except Cancelled:
        return "stopped", ""
    except TimeIsUpError as limit:
        return "stopped", str(limit)
    finally:
        if result is not None:
            pulse.keep(result, last=True)
    return "finished", ""


def device_here(wanted: str) -> "torch.device":
    """Return the device for ``wanted`` on this slot: the CPU if the slot is a GPU of a cluster, since the weights are here."""
    from ssam.engine.device import available_devices, pick_device

    is_elsewhere = wanted == "auto" and default_device() not in ("auto", *available_devices())
    return pick_device("cpu" if is_elsewhere else wanted)


class _Heartbeat:
    """Between two pieces of work: records a heartbeat, checks the desired state, saves results."""

    def __init__(self, handle: RunHandle) -> None:
        self._handle, self._looked, self._kept = handle, -math.inf, -math.inf
        self._begin = self._told = time.monotonic()
        self._minutes = read_limits().race_minutes
        self._started = False

    def beat(self) -> None:
        """Raise Cancelled if the analysis should end, TimeIsUpError if it has reached its time limit."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        if not self._started:
            retry_while_unavailable(self._handle, lambda: self._handle.transition("running"), cancellable=True)
            self._started = True
        want = retry_while_unavailable(self._handle, lambda: self._handle.heartbeat(now - self._told), cancellable=True)
        self._looked = self._told = now
        if want in ("stop", "pause"):  # partial results cannot be resumed, so a pause is a stop
            raise Cancelled(want)
        if now - self._begin > 60 * self._minutes:
            raise TimeIsUpError(f"time limit of {self._minutes:g} minutes reached")

    def keep(self, result: Found, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self._kept >= KEEP_SECONDS:
            retry_while_unavailable(self._handle, lambda: self._handle.save_result(result))
            self._kept = now


def load_moments(store: Store, parent: str, spec: RaceSpec, analysis: AnalysisSpec) -> "list[LaneWeights]":
    """Return the weights to analyse, and the path to them if it is drawn. Diverged lanes have none."""
    from ssam.analysis.context import of_checkpoint

    race = store.runs.get(parent)
    if race is None or race.started_info is None:
        raise ValueError("its race has been deleted, or was never started")
    if analysis.epochs:
        return _snapshots(store, race, analysis.epochs, with_masks=analysis.kind in WITH_MASKS)
    state = checkpoints.read_newest(store.run_folder(parent)).state
    layers = race.started_info["layers"]
    lanes = [
        of_checkpoint(lane, state["lanes"][name], layers, trained=analysis.kind == "anatomy")
        for lane, name in enumerate(spec.lane_names)
        if not state["lanes"][name]["diverged"]
    ]
    if not lanes:
        raise ValueError("all lanes of this race have diverged: there are no weights to analyse")
    ends = {moment.lane: moment.step for moment in lanes}
    on_the_way = analysis.kind == "surface" and analysis.plane == "lanes"
    kept = (
        _snapshots(store, race, (), with_masks=False) if on_the_way else []
    )  # all files have been read: free them, they may be large
    path = [moment for moment in kept if moment.step < ends.get(moment.lane, 0)]
    return [*path, *lanes]


def _snapshots(store: Store, race: Run, epochs: tuple[int, ...], with_masks: bool) -> "list[LaneWeights]":
    """Return the saved weights at these epochs, or all; raise ValueError if one is missing."""
    import torch

    from ssam.analysis.context import LaneWeights

    assert race.started_info is not None
    there, snapshots = store.analyses.snapshots(race.id), []
    steps = [epoch * race.started_info["steps_per_epoch"] for epoch in epochs]
    if missing := [epoch for epoch, step in zip(epochs, steps, strict=True) if step not in {m.step for m in there}]:
        raise ValueError(f"the weights of epoch {missing[0]} are not stored")
    for moment in there:
        if not steps or moment.step in steps:
            arrays = load_arrays(snapshot_file(store.run_folder(race.id), moment))
            weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
            masks = _mask_at(store, race, moment) if with_masks else None
            snapshots.append(LaneWeights(moment.lane, moment.step, weights, masks))
    return snapshots


def _rate(store: Store, parent: str, spec: RaceSpec, moment: "LaneWeights") -> float | None:
    """Return the learning rate of the step after that moment; None with the clock seconds, where it depends on step times."""
    from ssam.training.schedule import step_rate

    race = store.runs.get(parent)
    assert race is not None
    assert race.started_info is not None
    total = race.started_info["lanes"][moment.lane]["total_steps"]
    peak = spec.lane_lr(spec.lanes[moment.lane])
    return None if total is None else step_rate(peak, moment.step, total, race.started_info["steps_per_epoch"])


def _mask_at(store: Store, race: Run, moment: Moment) -> "dict[str, torch.Tensor] | None":
    """Return the mask that the lane was trained with up to that moment, if its bits are stored. A mask made at exactly these weights
    belongs to the steps after them."""
    import torch

    lane = race.spec.lane_names[moment.lane]
    before = [step for step, _, _ in store.curves.mask_densities(race.id, lane) if step < max(moment.step, 1)]
    bits = store.curves.mask_bits(race.id, lane, before[-1]) if before else None
    return None if bits is None else {name: torch.from_numpy(mask) for name, mask in bits.items()}
