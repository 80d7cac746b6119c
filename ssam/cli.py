"""The command line: ``python -m ssam race``, ``bench``, ``backup`` and ``restore``. Data goes to standard output, everything else to standard error."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

from ssam.jobs import processes
from ssam.spec import DATASETS, METHODS, MODELS, RaceSpec, parse_spec, preset, presets
from ssam.spec.events import EpochEvent, Event, LaneEnded, MaskEvent, Preparing, Result, Started, StepEvent
from ssam.spec.host import default_home
from ssam.store import Store, backup
from ssam.store.schema import finite

if TYPE_CHECKING:
    from ssam import bench

HELP = {
    "dataset": ", ".join(DATASETS),
    "data": "folder or zip with one folder per class, for dataset images",
    "model": ", ".join(MODELS),
    "lanes": f"methods, comma-separated: {', '.join(METHODS)}; each may set its own, as in ssam-f:rho=0.2:sparsity=0.8",
    "sparsity": "share of the weights that is not perturbed, 0 to 1",
    "rho": "L2 radius of the perturbation, 0 to 10",
    "epochs": "1 to 1000",
    "seed": "decides weights, label noise, batches and masks",
    "train_size": "number of training images; default all",
    "label_noise": "share of the training labels made wrong, 0 to 1",
    "augment": "none, flip, crop-flip, crop-flip-cutout",
    "mask_interval": "epochs between two masks",
    "fisher_samples": "training images for a Fisher mask",
    "fisher_batch": "images that share one gradient in the Fisher scores: 1 is exact, more takes fewer and is rougher, 1 to 256",
    "norm": "full (as published) or masked",
    "clock": "what the lanes are given equally: epochs, gradients, seconds",
    "seconds": "compute time for each lane, on the seconds clock",
    "snapshot_interval": "epochs between two moments whose weights the lab keeps; default never (this command keeps no files)",
    "eigenvalue_interval": "epochs between two estimates of the Hessian's largest eigenvalue; default never",
    "image_size": "resize images to this side, in pixels",
    "device": "auto, cpu, cuda, cuda:N, mps",
}

BENCH_MODELS = ("cnn8", "resnet20", "resnet18", "wrn-16-4", "vgg11-bn", "vit-tiny")
BENCH_LINE = "{:<11}{:<50}{:>7}{:>14}{:>11}{:>7}  {}"


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit status: 0 done, 2 bad input (one line says what), 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except BrokenPipeError:  # the reader of our output left, as in ``| head``; flushing at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, MemoryError, ConnectionError) as error:
        print(f"ssam {options.command}{_process()}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nssam {options.command}: interrupted", file=sys.stderr)
        return 130
    return 0


class OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="ssam", description="Watch sharpness-aware training happen, from the command line.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND", parser_class=OneLineParser)
    _race_flags(commands.add_parser("race", help="race several optimizers on the same batches", allow_abbrev=False))
    _bench_flags(
        commands.add_parser(
            "bench", help="time the training steps, masks and epochs of each method", allow_abbrev=False
        )
    )
    _backup_flags(commands.add_parser("backup", help="write the lab (SSAM_HOME and its database) into one file"))
    _restore_flags(commands.add_parser("restore", help="put a back-up into SSAM_HOME and its database"))
    return parser


def _race_flags(race: argparse.ArgumentParser) -> None:
    race.set_defaults(run=_run_race)
    race.add_argument("--preset", metavar="NAME", help=f"start from {', '.join(presets())}; other flags override it")
    race.add_argument("--json", action="store_true", help="one JSON object a line; the last one is the result")
    how = "under torchrun: ε by each process's share of the batch, or by the whole batch (default worker)"
    race.add_argument("--perturbation", choices=("worker", "global"), help=how)
    for field, info in RaceSpec.model_fields.items():
        default = "" if field in ("lanes", "data") or info.default is None else f" (default {info.default})"
        flag = "--" + field.replace("_", "-")
        race.add_argument(flag, dest=field, metavar="X", help=HELP.get(field, "").replace("%", "%%") + default)


def _bench_flags(bench: argparse.ArgumentParser) -> None:
    bench.set_defaults(run=_run_bench)
    default = ",".join(BENCH_MODELS)
    bench.add_argument("--models", metavar="X", type=_models, default=default, help=f"(default {default})")
    repeats = "repetitions wanted (default 100)"
    bench.add_argument("--repeats", metavar="X", type=_whole_number(5, 1000), default=100, help=repeats)
    images = "images a step (default 128, or 64 for large models)"
    bench.add_argument("--batch-size", metavar="X", type=_whole_number(8, 4096), help=images)
    limit = "no repetition of the steps after the fifth begins later (default 120)"
    bench.add_argument("--seconds-per-model", metavar="X", type=_whole_number(1, 86_400), default=120, help=limit)
    bench.add_argument("--json", action="store_true", help="one JSON object a line; the last one is the result")


def _backup_flags(backup: argparse.ArgumentParser) -> None:
    backup.set_defaults(run=_run_backup)
    backup.add_argument(
        "file", metavar="FILE", type=Path, help="a new file, such as lab.tar.gz; races may go on meanwhile"
    )


def _restore_flags(restore: argparse.ArgumentParser) -> None:
    restore.set_defaults(run=_run_restore)
    restore.add_argument("file", metavar="FILE", type=Path, help="what backup wrote; stop app, runner and races first")
    restore.add_argument("--force", action="store_true", help="delete the races that are here already")


def _models(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in MODELS:
            raise argparse.ArgumentTypeError(f"{name[:60]!r} is not a model; allowed: {', '.join(MODELS)}")
    return names


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text[:60]!r} must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _run_race(options: argparse.Namespace) -> None:
    spec = _spec(options)
    from ssam.engine import Race, distributed  # here, so that a bad flag is answered before torch has loaded

    if options.perturbation and not _process():
        raise ValueError("--perturbation says how several processes share a batch: start them with torchrun")
    group = distributed.joined(options.perturbation or "worker") if _process() else nullcontext(distributed.ALONE)
    with group as ranks, closing(Race(spec, home=default_home(), ranks=ranks).events()) as events:
        if ranks.rank == 0:
            _race(events, options.json)
        for _ in events:  # every process hears the same, one tells it
            pass


def _process() -> str:
    """Which of the processes that torchrun started this is; empty where it started none."""
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys():
        return ""
    return f" (process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}, counted from 0)"


def _run_bench(options: argparse.Namespace) -> None:
    from ssam import bench  # here, so that a bad flag is answered before torch has loaded

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


def _run_backup(options: argparse.Namespace) -> None:
    with closing(Store()) as store, _one_line(options.file):
        print(f"{options.file}: {_contents(backup.backup(store, options.file))}")


def _run_restore(options: argparse.Namespace) -> None:
    with closing(Store()) as store, _one_line(options.file), _no_runner(store):
        print(f"{store.home}: {_contents(backup.restore(store, options.file, options.force))}")


def _contents(manifest: dict[str, Any]) -> str:
    rows = manifest["rows"]
    return f"{rows['runs']} races, {rows['steps']:,} steps, {len(manifest['files'])} files, of {manifest['made']}"


@contextmanager
def _no_runner(store: Store) -> Iterator[None]:
    """Keeps runners away. Raises ValueError where one serves this home folder, or one of its races is under way."""
    try:
        with FileLock(store.home / "runner.lock", timeout=0):
            if any(processes.is_alive(job.pid, job.pid_started) for job in store.jobs()):
                raise ValueError("a race is under way; stop all races first")
            yield
    except Timeout:
        raise ValueError(f"a runner serves {store.home}; stop it and the app first") from None


@contextmanager
def _one_line(file: Path) -> Iterator[None]:
    """Disk and database trouble as one line."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{error.filename or file}: {error.strerror}") from error
    except DBAPIError as error:
        raise ValueError(f"the run database: {' '.join(str(error.orig).split())}") from error


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
            return f"{event.model:<11}epoch, {event.loop:<51} {rate}, {event.ratio_to_published:.2f} × published style"
        case bench.Overhead():
            return f"{event.model:<11}watching, {event.what:<48} {event.share:+.2%} ({_spread(event.iqr, '+.2%')})"
        case bench.Memory():
            peak, kept = (size / event.weights_bytes for size in (event.extra_bytes, event.kept_bytes))
            over = f"over SGD: {peak:.2f} × the weights at the peak, {kept:.2f} × between steps, {event.how}"
            return f"{event.model:<11}memory, {event.lane:<50} {over}"
        case bench.Result():
            return f"{event.rows} rows on {event.device} ({event.device_name}), {event.threads} threads"
    raise TypeError(f"{type(event).__name__} is no event of the bench")


def _spread(iqr: tuple[float, float], style: str) -> str:
    return "–".join(format(value, style) for value in iqr)


def _spec(options: argparse.Namespace) -> RaceSpec:
    flags = {name: value for name in RaceSpec.model_fields if (value := getattr(options, name)) is not None}
    return parse_spec(flags, base=preset(options.preset).spec if options.preset else None)


def _race(events: Iterable[Event], as_json: bool) -> None:
    progress = Progress(sys.stderr.isatty())
    for event in events:
        if as_json and (line := _as_json(event)):
            progress.clear()
            print(json.dumps(finite(line), allow_nan=False), flush=True)
        elif isinstance(event, Result):
            progress.clear()
            print(_table(event))
        progress.show(event)


def _as_json(event: Event) -> dict[str, Any] | None:
    if isinstance(event, EpochEvent):
        return {"event": "epoch", **asdict(event)}
    if isinstance(event, MaskEvent):
        kept = ("lane", "step", "epoch", "density", "changed", "overlap")
        return {"event": "mask", **{name: getattr(event, name) for name in kept}}
    if isinstance(event, Result):
        return {"event": "result", **asdict(event)}
    return None


def _table(result: Result) -> str:
    lines = [
        f"{'lane':<24}{'sparsity':>9}{'rho':>7}{'test accuracy':>15}{'test loss':>11}{'ms a step':>11}{'× SGD':>8}"
    ]
    for lane in result.lanes:
        accuracy = "diverged" if lane.diverged else _number(lane.test_accuracy, ".2%")
        numbers = (_number(lane.test_loss, ".4f"), _number(lane.step_ms_median, ".2f"))
        ratio = _number(lane.step_ratio_to_sgd, ".2f")
        lines.append(
            f"{lane.name:<24}{lane.sparsity:>9.2f}{lane.rho:>7g}{accuracy:>15}{numbers[0]:>11}{numbers[1]:>11}{ratio:>8}"
        )
    return "\n".join(lines)


def _number(value: float | None, style: str) -> str:
    return "–" if value is None else format(value, style)


class Progress:
    """Says on standard error how far the race is: a bar that moves on a terminal, else one line per evaluation."""

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
                self._say(f"warning: {warning}", keep=True)
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
        """Takes the bar away before something else is written."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _bar(self, share: float) -> None:
        left = (time.monotonic() - self._start) * (1 - share) / share
        bar = "█" * round(share * 30)
        print(f"\r\x1b[K{bar:<30} {share:4.0%}  {left:.0f} s left", end="", file=sys.stderr, flush=True)

    def _say(self, text: str, keep: bool = False) -> None:
        self.clear()
        print(text, end="\n" if keep or not self._terminal else "", file=sys.stderr, flush=True)
