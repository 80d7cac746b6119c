"""``python -m benchmarks.gpu``: see the package."""

import argparse
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import checks, event_file, steps
from ssam.config import default_home
from ssam.engine import Race
from ssam.engine.device import device_name, pick_device
from ssam.experiment import parse_spec
from ssam.experiment.events import EpochEvent, Result

RESULTS, EVENTS = "gpu.json", "gpu-race.jsonl.gz"


@dataclass(frozen=True)
class Size:
    """How much is done. ``race`` are settings of the race, over those of RACE."""

    models: tuple[str, ...]
    repeats: int
    step_seconds: float
    race: dict[str, Any] = field(default_factory=dict)


RACE = {"lanes": "sgd,sam,ssam-f,ssam-d", "rho": 0.1, "batch_size": 128, "sparsity": 0.5}
FULL = Size(
    ("cnn8", "resnet18", "wrn-16-4", "vit-tiny"),
    repeats=50,
    step_seconds=12.0,
    race={"model": "resnet18", "image_size": 32, "epochs": 6, "augment": "crop-flip", "train_size": 8000},
)
MINIATURE = Size(
    ("cnn8",),
    repeats=5,
    step_seconds=1.0,
    race={"model": "cnn8", "epochs": 1, "train_size": 192, "batch_size": 32, "fisher_samples": 16},
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=sys.modules["benchmarks.gpu"].__doc__)
    parser.add_argument(
        "--data", type=Path, metavar="ZIP", help="colour images to race on (default: the bundled grey ones)"
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), metavar="FOLDER")
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="after which no more steps are timed (default: %(default)g)"
    )
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, in miniature")
    options = parser.parse_args()
    try:
        device = pick_device("cpu" if options.rehearse else "cuda")
    except ValueError as error:
        sys.exit(f"python -m benchmarks.gpu: {error}; --rehearse needs none")
    options.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * options.minutes
    failed = run(device, MINIATURE if options.rehearse else FULL, options.data, options.out, until)
    print(f"{options.out / RESULTS}: {'everything passed' if not failed else 'failed: ' + ', '.join(failed)}")
    sys.exit(1 if failed else 0)


def run(device: torch.device, size: Size, data: Path | None, out: Path, until: float) -> list[str]:
    """Run all parts and write their results; time no more steps after ``until``, by ``time.monotonic()``. Return the names of what failed."""
    results: dict[str, Any] = {"command": "python -m benchmarks.gpu", **_machine(device), "checks": {}, "steps": []}

    def keep() -> None:
        text = json.dumps(results, indent=1) + "\n"
        (out / RESULTS).write_text(text, encoding="utf-8")

    for check in checks.CHECKS:
        results["checks"][check.__name__] = _attempt(lambda check=check: check(device))
        keep()
    results["race"] = _attempt(lambda: race(device, size, data, out))
    keep()
    for row in _rows(size, device, until):
        results["steps"].append(row)
        keep()
    outcomes = results["checks"] | {"race": results["race"]}
    failed = [name for name, outcome in outcomes.items() if "error" in outcome]
    return failed + [f"{row['model']} {row['how']}" for row in results["steps"] if "error" in row]


def race(device: torch.device, size: Size, data: Path | None, out: Path) -> dict[str, Any]:
    """Run the race; keep its events. Return the final accuracies."""
    own = {"dataset": "images", "data": str(data.resolve())} if data else {}
    spec = parse_spec({**RACE, **size.race, **own, "device": device.type})
    ended: dict[str, Any] = {"settings": spec.to_strings() | ({"data": data.name} if data else {})}
    for event in event_file.write(Race(spec, home=default_home()).events(), out / EVENTS):
        if isinstance(event, EpochEvent):
            print(f"  {event.lane}, epoch {event.epoch:g}: {event.test_accuracy:.2%}", flush=True)
        if isinstance(event, Result):
            names = ("name", "test_accuracy", "step_ratio_to_sgd", "seconds", "diverged")
            ended["lanes"] = [{name: getattr(lane, name) for name in names} for lane in event.lanes]
    return ended


def _rows(size: Size, device: torch.device, until: float) -> Iterator[dict[str, Any]]:
    for row in steps.measure(size.models, device, size.repeats, size.step_seconds, until):
        told = row.get("error") or row.get("skipped") or f"{row['lane']} {row['ratio_to_eager_sgd']:.2f}"
        print(f"steps: {row['model']}, {row['how']}: {told}", flush=True)
        yield row


def _attempt(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the facts of a part with its duration, or its error: the other parts are still worth their time."""
    begin = time.monotonic()
    try:
        facts = part()
    except Exception as error:
        traceback.print_exc()
        facts = {"error": f"{type(error).__name__}: {error}"}
    return facts | {"seconds": round(time.monotonic() - begin, 1)}


def _machine(device: torch.device) -> dict[str, Any]:
    facts = {"device": device.type, "name": device_name(device), "python": platform.python_version()}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": facts | {"torch": torch.__version__, "cuda": torch.version.cuda},
    }


if __name__ == "__main__":
    main()
