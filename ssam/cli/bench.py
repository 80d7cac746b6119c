"""``python -m ssam bench``: the time of a training step, a mask and an epoch of each method on this machine."""

import argparse
import json
import re
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from ssam.catalogue import MODELS

if TYPE_CHECKING:
    from ssam import bench

BENCH_MODELS = ("cnn8", "resnet20", "resnet18", "wrn-16-4", "vgg11-bn", "vit-tiny")
BENCH_LINE = "{:<11}{:<50}{:>7}{:>14}{:>11}{:>7}  {}"


def flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_run_bench)
    default = ",".join(BENCH_MODELS)
    command.add_argument("--models", metavar="X", type=_models, default=default, help=f"(default {default})")
    repeats = "number of repetitions (default 100)"
    command.add_argument("--repeats", metavar="X", type=whole_number(5, 1000), default=100, help=repeats)
    images = "images per step (default 128, or 64 for large models)"
    command.add_argument("--batch-size", metavar="X", type=whole_number(8, 4096), help=images)
    limit = "time limit: after it, no repetition beyond the fifth is started (default 120)"
    command.add_argument("--seconds-per-model", metavar="X", type=whole_number(1, 86_400), default=120, help=limit)
    command.add_argument("--json", action="store_true", help="one JSON object per line; the last one is the result")


def _models(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in MODELS:
            raise argparse.ArgumentTypeError(f"{name[:60]!r} is not a model; allowed: {', '.join(MODELS)}")
    return names


def whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text[:60]!r} must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _run_bench(options: argparse.Namespace) -> None:
    from ssam import bench  # imported late, so that a bad flag is reported before torch has loaded

    events = bench.bench(
        options.models,
        repeats=options.repeats,
        batch_size=options.batch_size,
        seconds_per_model=options.seconds_per_model,
    )
    if not options.json:
        print(BENCH_LINE.format("model", "lane", "× SGD", "quartiles", "predicted", "exact", "plan"))
    with closing(events):
        for event in events:
            if isinstance(event, bench.Note):
                print(event.message, file=sys.stderr, flush=True)
            elif options.json:
                kind = {} if isinstance(event, bench.Row) else {"event": type(event).__name__.lower()}
                print(json.dumps(kind | asdict(event), allow_nan=False), flush=True)
            else:
                print(_bench_line(event), flush=True)


def _bench_line(event: "bench.Event") -> str:
    from ssam import bench

    match event:
        case bench.Row():
            exact = "yes" if event.exact else "no"
            numbers = (f"{event.ratio_to_sgd:.2f}", _spread(event.iqr, ".2f"), f"{event.predicted:.2f}")
            return BENCH_LINE.format(event.model, event.lane, *numbers, exact, event.plan)
        case bench.Refresh():
            cost = f"{event.sgd_steps:.1f} SGD steps ({_spread(event.iqr, '.1f')}), agreement {event.agreement:.2f}"
            return f"{event.model:<11}mask by {event.score:<50} {cost}"
        case bench.Throughput():
            rate = f"{event.images_per_second:,.0f} images/s ({_spread(event.iqr, ',.0f')})"
            return f"{event.model:<11}epoch, {event.loop:<51} {rate}, {event.ratio_to_published:.2f}× published style"
        case bench.Overhead():
            return f"{event.model:<11}recording, {event.what:<48} {event.share:+.2%} ({_spread(event.iqr, '+.2%')})"
        case bench.Memory():
            peak, kept = (size / event.weights_bytes for size in (event.extra_bytes, event.kept_bytes))
            over = f"over SGD: {peak:.2f}× the weights at the peak, {kept:.2f}× between steps, {event.how}"
            return f"{event.model:<11}memory, {event.lane:<50} {over}"
        case bench.Result():
            return f"{event.rows} rows on {event.device} ({event.device_name}), {event.threads} threads"
    raise TypeError(f"{type(event).__name__} is not an event of the bench")


def _spread(iqr: tuple[float, float], style: str) -> str:
    return "–".join(format(value, style) for value in iqr)
