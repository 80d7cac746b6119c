"""Results of a finished race's lanes, and facts about its machine, as used by all pages, files and commands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ssam.stats import proportion
from ssam.store.views import LaneState, LaneWindow, Run

BUSY = 0.5  # running processes in excess of the cores


@dataclass(frozen=True)
class Outcome:
    """One lane's result. ``accuracy`` is that of the last epoch on all ``test_size`` test images, 0–1, None if it diverged;
    ``ratio`` is the median ratio of its step times to those of the SGD steps next to them, without the first few steps."""

    lane: str
    method: str
    sparsity: float
    rho: float
    status: LaneState
    accuracy: float | None
    test_size: int | None
    test_loss: float | None
    validation_accuracy: float | None  # of the last epoch, on the held-out images; None if there are none
    step_ms: float | None
    ratio: float | None
    seconds: float
    best_epoch: float | None = None  # of a lane that may stop early: the epoch whose weights all of this is of

    @property
    def margin(self) -> str:
        """Return the interval from the number of test images, in percent; empty without an accuracy."""
        return proportion.margin(self.accuracy, self.test_size)

    @property
    def said(self) -> str:
        """Return the accuracy with its interval, or that the lane diverged."""
        return self.status if self.status == "diverged" else proportion.said(self.accuracy, self.test_size)


def outcomes(run: Run) -> tuple[Outcome, ...]:
    """Return the results lane by lane; empty before the race has a result."""
    if not run.result:
        return ()
    size = (run.started_info or {}).get("test_size")
    return tuple(
        Outcome(
            lane=lane["name"],
            method=lane["method"],
            sparsity=lane["sparsity"],
            rho=lane["rho"],
            status="diverged" if lane["diverged"] else "finished",
            accuracy=None if lane["diverged"] else lane["test_accuracy"],
            test_size=size,
            test_loss=None if lane["diverged"] else lane["test_loss"],
            validation_accuracy=None if lane["diverged"] else lane["validation_accuracy"],
            step_ms=lane["step_ms_median"],
            ratio=lane["step_ratio_to_sgd"],
            seconds=lane["seconds"],
            best_epoch=lane.get("best_epoch"),
        )
        for lane in run.result["lanes"]
    )


def score_size(run: Run) -> int | None:
    """Return the number of images behind a sweep's score of this race: the held-out images if any, else the test images."""
    info = run.started_info or {}
    return info.get("validation_size") or info.get("test_size")


def settled(lane: LaneWindow, result: Mapping[str, Any] | None) -> LaneWindow:
    """Return the lane with the cost in its result, over all steps, so that all pages show the same."""
    if result is None:
        return lane
    cost = (result["step_ms_median"], result["step_ratio_to_sgd"], result["seconds"])
    return replace(lane, step_ms=cost[0], ratio=cost[1], seconds=cost[2])


def company(run: Run) -> str:
    """Return what shared the machine with the race, as far as measured: other races of this lab, and the load.

    >>> from ssam.store.outcome import load_said
    >>> load_said(15.2, 2), load_said(1.6, 2), load_said(None, None)
    ('load 15.2 on 2 cores: machine busy', 'load 1.6 on 2 cores', '')
    """
    others = "Another race ran at the same time" if run.shared else "No other race ran at the same time"
    return "; ".join(filter(None, [others, machine_load(run)]))


def machine_load(run: Run) -> str:
    """Return the load during a finished race, as text; empty if unknown."""
    return load_said(run.result["load"], run.result["cores"]) if run.result else ""


def load_said(load: float | None, cores: int | None) -> str:
    if load is None or not cores:
        return ""
    busy = ": machine busy" * (load > cores + BUSY)
    return f"load {load:.1f} on {cores} core{'s' * (cores != 1)}{busy}"
