"""``python -m ssam race``: one race in this process, without a server."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssam.catalogue import DATASETS, MODELS
from ssam.config import default_home
from ssam.experiment import LaneSpec, RaceSpec, laid_over, left_behind, parse_spec, preset, presets
from ssam.experiment.events import EpochEvent, Event, LaneEnded, MaskEvent, Preparing, Result, Started, StepEvent
from ssam.imagefolder.contents import size_of
from ssam.imagefolder.layout import scan
from ssam.methods import METHODS
from ssam.stats import proportion
from ssam.store.schema import finite
from ssam.store.target import Reached, reached
from ssam.system import expanded

HELP = {
    "dataset": ", ".join(DATASETS),
    "data": "folder or zip with one folder per class, for dataset images",
    "model": ", ".join(MODELS),
    "lanes": f"methods, comma-separated: {', '.join(METHODS)}; each may set its own, as in ssam-f:rho=0.2:sparsity=0.8, sgd:epochs=6:lr=0.05:weight_decay=0.02",
    "sparsity": "share of the weights that is not perturbed, 0 to 1",
    "rho": "L2 radius of the perturbation, 0 to 10",
    "epochs": "1 to 1000",
    "seed": "sets initial weights, label noise, batch order and masks",
    "train_size": "number of training images; default all",
    "label_noise": "share of the training labels replaced by another class, 0 to 1",
    "augment": "none, flip, crop-flip, crop-flip-cutout",
    "mask_interval": "epochs between two mask refreshes",
    "fisher_samples": "training images for a Fisher mask",
    "fisher_batch": "images that share one gradient in the Fisher scores: 1 is exact, larger is faster and less exact, 1 to 256",
    "norm": "full (as published) or masked",
    "clock": "what is held equal across lanes: epochs, gradients (evaluations), seconds",
    "seconds": "compute time of each lane, with the clock seconds",
    "snapshot_interval": "epochs between two saved copies of the weights; default never (this command saves no files)",
    "eigenvalue_interval": "epochs between two estimates of the Hessian's largest eigenvalue; default never",
    "image_size": "resize images to this side, in pixels; default the data set's own, for own images 64, or less where they are smaller",
    "device": "auto, cpu, cuda, cuda:N, mps",
    "base": "base optimizer, sgd or adamw; without a flag of their own lr becomes a hundredth for adamw and weight decay a hundredfold",
    "validation": "share of the training images held out to choose settings by, with labels as noisy, 0 to 0.5; a sweep holds out 0.2 by default",
}


def flags(race: argparse.ArgumentParser) -> None:
    race.set_defaults(run=_run_race)
    race.add_argument("--json", action="store_true", help="one JSON object per line; the last one is the result")
    how = "under torchrun: ε from each process's share of the batch, or from the whole batch (default worker)"
    race.add_argument("--perturbation", choices=("worker", "global"), help=how)
    race.add_argument("--target", metavar="X", help="tell also what each lane took to this test accuracy, 0 to 1")
    settings(race)


def settings(command: argparse.ArgumentParser) -> None:
    """Add a flag for every setting of a race; ``spec_of`` reads them."""
    command.add_argument("--preset", metavar="NAME", help=f"start from {', '.join(presets())}; other flags override it")
    for field, info in RaceSpec.model_fields.items():
        default = "" if field in ("lanes", "data") or info.default is None else f" (default {info.default})"
        flag = "--" + field.replace("_", "-")
        command.add_argument(flag, dest=field, metavar="X", help=HELP.get(field, "").replace("%", "%%") + default)


def _run_race(options: argparse.Namespace) -> None:
    spec, target = spec_of(options), _target(options.target)
    if spec.data:
        spec = sized(spec, expanded(spec.data, "data"))
    from ssam.engine import Race, distributed  # imported late, so that a bad flag is reported before torch has loaded

    if options.perturbation and not process():
        raise ValueError("--perturbation is for several processes that share a batch: start them with torchrun")
    group = distributed.joined(options.perturbation or "worker") if process() else nullcontext(distributed.ALONE)
    with group as ranks, closing(Race(spec, home=default_home(), ranks=ranks).events()) as events:
        if ranks.rank == 0:
            tell(events, options.json, target)
        for _ in events:  # all processes get the same events, one prints them
            pass


def process() -> str:
    """Return which of torchrun's processes this is; empty without torchrun."""
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys():
        return ""
    return f" (process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}, counted from 0)"


def spec_of(options: argparse.Namespace) -> RaceSpec:
    """Return the race of the flags, which override the preset's settings; print notes on side effects to standard error. Raise
    ValueError, one line."""
    flags = {name: value for name in RaceSpec.model_fields if (value := getattr(options, name)) is not None}
    base = preset(options.preset).spec if options.preset else RaceSpec()
    spec = laid_over(base, flags) if options.preset else parse_spec(flags)
    if spec.base != base.base:  # its rates are those of the other one
        lane = LaneSpec(method="sgd", base=spec.base)
        rates = {"lr": base.lane_lr(lane), "weight_decay": base.lane_weight_decay(lane)}
        spec = parse_spec({name: value for name, value in rates.items() if name not in flags}, spec)
    if not options.preset:
        return spec
    if os.environ.get("RANK", "0") == "0":  # only one of several processes prints it
        for line in overridden(base, spec, flags):
            print(line, file=sys.stderr, flush=True)
    return spec


def overridden(base: RaceSpec, spec: RaceSpec, flags: Mapping[str, object]) -> list[str]:
    """Return notes on what flags change beyond their own setting, or do not change although they seem to."""
    notes = []
    if ended := left_behind(base, flags):
        settings = ", ".join(
            f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in ended.items()
        )
        notes.append(
            f"dataset {spec.dataset}: the preset's {settings} applied only to its data set; give a flag to set it"
        )
    own = [f"{lane.method} {lane.rho:g}" for lane in spec.lanes if lane.rho is not None]
    if "rho" in flags and own:
        notes.append(f"rho {spec.rho:g} does not apply to all lanes: {', '.join(own)} are their own; --lanes sets them")
    return notes


def sized(spec: RaceSpec, images: Path) -> RaceSpec:
    """Set the input size to that of small images, as in the form, so that they are not enlarged unless requested."""
    if spec.image_size is not None:
        return spec
    size = max(size_of(scan(images), lambda *told: None), MODELS[spec.model].min_size)
    if size == spec.input_size:
        return spec
    if os.environ.get("RANK", "0") == "0":
        print(f"image_size {size}, because the images are small; --image-size sets another", file=sys.stderr)
    return parse_spec({"image_size": size}, base=spec)


def _target(text: str | None) -> float | None:
    """
    >>> _target("0.8"), _target(None)
    (0.8, None)
    """
    if text is None:
        return None
    with suppress(ValueError):
        if 0 < (value := float(text)) <= 1:
            return value
    raise ValueError(f"target {text[:40]!r} must be a test accuracy above 0 to 1")


def tell(events: Iterable[Event], as_json: bool, target: float | None = None) -> None:
    progress, tested = Progress(sys.stderr.isatty()), 0
    courses: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if isinstance(event, Started):
            tested = event.test_size
            courses = {lane.name: [] for lane in event.lanes}
        if isinstance(event, EpochEvent) and event.lane in courses:
            courses[event.lane].append(asdict(event))
        if isinstance(event, Result) and target is not None:
            took = {name: reached(course, target) for name, course in courses.items()}
            progress.clear()
            _tell_target(took, target, as_json)
        if as_json and (line := _as_json(event)):
            progress.clear()
            print(json.dumps(finite(line), allow_nan=False), flush=True)
        elif isinstance(event, Result):
            progress.clear()
            print(result_table(event))
            print(_sureness(event, tested), file=sys.stderr)
        progress.show(event)


def _tell_target(took: Mapping[str, Reached | None], target: float, as_json: bool) -> None:
    """On a line before the result, which is the last."""
    if as_json:
        lanes = {name: first and asdict(first) for name, first in took.items()}
        print(json.dumps({"event": "target", "test_accuracy": target, "lanes": lanes}), flush=True)
        return
    for name, first in took.items():
        how = f"{first.gradients:,} gradients, {first.seconds:.1f} s, epoch {first.epoch:g}" if first else "never"
        print(f"{name:<24}to {target:.2%}: {how}")


def _as_json(event: Event) -> dict[str, Any] | None:
    if isinstance(event, EpochEvent):
        return {"event": "epoch", **_measured(asdict(event))}
    if isinstance(event, MaskEvent):
        kept = ("lane", "step", "epoch", "density", "changed", "overlap")
        return {"event": "mask", **{name: getattr(event, name) for name in kept}}
    if isinstance(event, Result):
        return {"event": "result", "device": event.device, "lanes": [_measured(asdict(lane)) for lane in event.lanes]}
    return None


def _measured(values: dict[str, Any]) -> dict[str, Any]:
    """Return an event without validation results if the race has no validation split."""
    return {
        name: value
        for name, value in values.items()
        if value is not None or not (name.startswith("validation_") or name == "best_epoch")
    }


def result_table(result: Result) -> str:
    lines = [f"{'lane':<24}{'sparsity':>9}{'rho':>7}{'test accuracy':>15}{'test loss':>11}{'ms/step':>11}{'× SGD':>8}"]
    for lane in result.lanes:
        accuracy = "diverged" if lane.diverged else _number(lane.test_accuracy, ".2%")
        numbers = (_number(lane.test_loss, ".4f"), _number(lane.step_ms_median, ".2f"))
        ratio = _number(lane.step_ratio_to_sgd, ".2f")
        lines.append(
            f"{lane.name:<24}{lane.sparsity:>9.2f}{lane.rho:>7g}{accuracy:>15}{numbers[0]:>11}{numbers[1]:>11}{ratio:>8}"
        )
    return "\n".join(lines)


def _sureness(result: Result, tested: int) -> str:
    """Return the precision of the accuracies from the number of test images alone.

    >>> _sureness(Result("cpu", ()), 160)
    'Accuracies are on 160 test images.'
    """
    best = max((lane.test_accuracy for lane in result.lanes if lane.test_accuracy is not None), default=None)
    margin = proportion.margin(best, tested)
    return f"Accuracies are on {tested:,} test images{f': {proportion.LEVEL} interval {margin} at the best' * bool(margin)}."


def _number(value: float | None, style: str) -> str:
    return "–" if value is None else format(value, style)


class Progress:
    """Show progress on standard error: a bar on a terminal, else one line per evaluation."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._total = 0
        self._steps: dict[str, int] = {}
        self._shown = 0.0
        self._start = time.monotonic()

    def show(self, event: Event) -> None:
        if isinstance(event, Preparing):
            self._say(event.message + ("" if event.fraction is None else f" {event.fraction:.0%}"))
        elif isinstance(event, Started):
            self._start = time.monotonic()
            self._total = sum(lane.total_steps or 0 for lane in event.lanes)
            threads = f", {event.threads} threads" if event.device == "cpu" else ""
            self._say(f"{event.device} ({event.device_name}{threads}), {event.parameters:,} parameters", keep=True)
            for warning in event.warnings:
                self._say(f"note: {warning}", keep=True)
        elif isinstance(event, EpochEvent):
            self._say(f"{event.lane:<20} epoch {event.epoch:6.2f}  test accuracy {event.test_accuracy:.2%}", keep=True)
        elif isinstance(event, LaneEnded) and event.reason == "diverged":
            self._say(f"{event.lane} diverged at step {event.step}", keep=True)
        elif isinstance(event, StepEvent):
            self._steps[event.lane] = event.step
            if self._terminal and self._total and time.monotonic() - self._shown > 0.1:
                self._shown = time.monotonic()
                self._bar(sum(self._steps.values()) / self._total)

    def clear(self) -> None:
        """Remove the bar before something else is written."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def share(self, share: float) -> None:
        """Show the bar at ``share``, on a terminal."""
        if self._terminal and 0 < share <= 1:
            self._bar(share)

    def _bar(self, share: float) -> None:
        left = (time.monotonic() - self._start) * (1 - share) / share
        bar = "█" * round(share * 30)
        print(f"\r\x1b[K{bar:<30} {share:4.0%}  {left:.0f} s left", end="", file=sys.stderr, flush=True)

    def _say(self, text: str, keep: bool = False) -> None:
        self.clear()
        print(text, end="\n" if keep or not self._terminal else "", file=sys.stderr, flush=True)
