"""How the lanes of a finished race ended, and what is known of the machine: what every page, file and command tells of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ssam.stats import proportion
from ssam.store.views import LaneState, LaneWindow, Run

BUSY = 0.5  # processes more than there are cores


@dataclass(frozen=True)
class Outcome:
    """One lane's end. ``accuracy`` is that of the last epoch on all ``test_size`` test images, 0–1, and None where it diverged;
    ``ratio`` the median of its steps' times over those of the SGD steps next to them, all steps but the first few."""

    lane: str
    method: str
    sparsity: float
    rho: float
    status: LaneState
    accuracy: float | None
    test_size: int | None
    test_loss: float | None
    validation_accuracy: float | None  # of the last epoch, on the images held out; None where there are none
    step_ms: float | None
    ratio: float | None
    seconds: float
    best_epoch: float | None = None  # of a lane that may stop early: the epoch whose weights all of this is of

    @property
    def margin(self) -> str:
        """The interval that the number of test images implies, in percent; empty where there is no accuracy."""
        return proportion.margin(self.accuracy, self.test_size)

    @property
    def said(self) -> str:
        """The accuracy with its interval, or that the lane diverged."""
        return self.status if self.status == "diverged" else proportion.said(self.accuracy, self.test_size)


def outcomes(run: Run) -> tuple[Outcome, ...]:
    """Lane by lane; empty before the race has its result."""
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
    """The images that a sweep's score of this race is measured on: those held out for it where it has some, else the test images."""
    info = run.started_info or {}
    return info.get("validation_size") or info.get("test_size")


def settled(lane: LaneWindow, result: Mapping[str, Any] | None) -> LaneWindow:
    """The lane with the cost that its result tells, which is of all steps: no page shows another beside it."""
    if result is None:
        return lane
    cost = (result["step_ms_median"], result["step_ratio_to_sgd"], result["seconds"])
    return replace(lane, step_ms=cost[0], ratio=cost[1], seconds=cost[2])


def company(run: Run) -> str:
    """What shared the machine with the race, as far as it was measured: other races of this lab, and the load.

    >>> from ssam.store.outcome import load_said
    >>> load_said(15.2, 2), load_said(1.6, 2), load_said(None, None)
    ('load 15.2 on 2 cores: machine busy', 'load 1.6 on 2 cores', '')
    """
    others = "Another race ran at the same time" if run.shared else "No other race ran at the same time"
    return "; ".join(filter(None, [others, machine_load(run)]))


def machine_load(run: Run) -> str:
    """Return the load that a finished race saw, in words; empty if it is not finished or the system does not tell."""
    return load_said(run.result["load"], run.result["cores"]) if run.result else ""


def load_said(load: float | None, cores: int | None) -> str:
    if load is None or not cores:
        return ""
    busy = ": machine busy" * (load > cores + BUSY)
    return f"load {load:.1f} on {cores} core{'s' * (cores != 1)}{busy}"
