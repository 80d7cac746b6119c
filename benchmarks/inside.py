"""The overhead of recording a race's internals: ``python -m benchmarks.inside``.

One race of the preset noisy-labels measures λ₁ and saves the weights at every epoch, and writes everything to a store. Times are
measured inside that race: of each estimate as the race reports it, of the norms at w+ε, of packing masks to bits, and of copying
weights; files are compared with and without them. Shares are relative to the race's wall-clock time from the first step to the result.
"""

import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.machine import machine
from ssam.engine import Race, lockstep, mask_source
from ssam.experiment import ASSETS, parse_spec, preset
from ssam.experiment.events import EpochEvent, MaskEvent, Result, Snapshot, Started, StepEvent
from ssam.planning.estimate import HESSIAN_IMAGES, HESSIAN_PRODUCTS
from ssam.store import Store
from ssam.store.arrays import save_arrays, save_weights
from ssam.training import steps


class Stopwatch:
    """A function wrapper that records the duration of each call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.ms: list[float] = []

    def __call__(self, *arguments: Any) -> Any:
        begin = time.perf_counter()
        answer = self._function(*arguments)
        self.ms.append(1000 * (time.perf_counter() - begin))
        return answer


def main() -> None:
    spec = parse_spec({"eigenvalue_interval": 1, "snapshot_interval": 1}, base=preset("noisy-labels").spec)
    norm, packed, snapshot = (
        Stopwatch(function) for function in (steps._gradient_norm, mask_source.packed, lockstep._snapshot)
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(steps, "_gradient_norm", norm),
        patch.object(mask_source, "packed", packed),
        patch.object(lockstep, "_snapshot", snapshot),
    ):
        events, wall, written = race(spec, Path(folder))
    estimates = [event for event in events if isinstance(event, EpochEvent)]
    masks = [event for event in events if isinstance(event, MaskEvent)]
    weights = [event for event in events if isinstance(event, Snapshot)]
    taken = [event for event in events if isinstance(event, StepEvent)]
    perturbing = sum(event.perturbed_norm is not None for event in taken)
    refreshes = [event.ms["mask"] for event in taken if "mask" in event.ms]
    pictures = [Stopwatch(save_arrays) for _ in range(2)]
    sizes = [
        [_size(save, event.heatmaps, event.bits if bits else None) for event in masks]
        for bits, save in enumerate(pictures)
    ]
    record = {
        "command": "python -m benchmarks.inside",
        **machine(),
        "threads": next(event.threads for event in events if isinstance(event, Started)),
        "race": {"preset": "noisy-labels", "seed": spec.seed, "wall_seconds": wall, "steps": len(taken)},
        "eigenvalue": {
            "images": HESSIAN_IMAGES,
            "products": HESSIAN_PRODUCTS,
            "estimates": len(estimates),
            "ms": statistics.median(event.eigenvalue_ms for event in estimates),
            "share": sum(event.eigenvalue_ms for event in estimates) / 1000 / wall,
            "lanes": {lane: _followed(estimates, lane) for lane in spec.lane_names},
        },
        "perturbed_norm": {
            "steps": perturbing,
            "ms": statistics.median(norm.ms),
            "share": perturbing * statistics.fmean(norm.ms) / 1000 / wall,
        },
        "bits": {
            "masks": len(masks),
            "pack_ms": sum(packed.ms) / len(masks),
            "refresh_ms": statistics.fmean(refreshes),
            "write_ms": [statistics.median(save.ms) for save in pictures],
            "bytes": [round(statistics.fmean(size)) for size in sizes],
            "share": sum(packed.ms) / 1000 / wall,
        },
        "snapshots": {
            "count": len(weights),
            "copy_ms": statistics.median(snapshot.ms),
            "write_ms": statistics.median(written),
            "bytes": _size(save_weights, weights[-1].weights),
            "share": (sum(snapshot.ms) + sum(written)) / 1000 / wall,
        },
    }
    (ASSETS / "measured" / "inside.json").write_text(json.dumps(_rounded(record), indent=1) + "\n", encoding="utf-8")
    print(json.dumps(_rounded(record), indent=1))


def race(spec: Any, home: Path) -> tuple[list[Any], float, list[float]]:
    """Run the race. Return all events, the seconds from the first step to the result, and the milliseconds to save each snapshot."""
    store = Store(home)
    events: list[Any] = []
    written: list[float] = []
    begin = 0.0
    with store.writer(store.runs.create(spec, "inside")) as writer:
        for event in Race(spec, home=home).events():
            at = time.perf_counter()
            if isinstance(event, Started):
                begin = at
            writer.add(event)
            if isinstance(event, Snapshot):
                written.append(1000 * (time.perf_counter() - at))
            events.append(event)
            if isinstance(event, EpochEvent):
                print(
                    f"{event.lane} epoch {event.epoch:g}: {event.eigenvalue:.1f} ({event.eigenvalue_residual:.2f})",
                    flush=True,
                )
            if isinstance(event, Result):
                wall = at - begin
    store.close()
    return events, wall, written


def _followed(estimates: list[EpochEvent], lane: str) -> list[dict[str, float]]:
    return [
        {"epoch": event.epoch, "value": event.eigenvalue, "residual": event.eigenvalue_residual}
        for event in estimates
        if event.lane == lane
    ]


def _size(save: Callable[..., Any], *content: Any) -> int:
    file = io.BytesIO()
    save(file, *content)
    return file.tell()


def _rounded(value: Any) -> Any:
    """Round every number to four digits; the measurement is no more precise."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
