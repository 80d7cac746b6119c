"""``python -m benchmarks.border [--davda54 CLONE]``: see the package. A library that is not given keeps its recorded column."""

import argparse
import functools
import json
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import marked
from benchmarks.border import cases, frameworks, masks, processes
from benchmarks.border.libraries import Library, Ours, davda54, pytorch_optimizer
from benchmarks.border.outcome import outcome
from benchmarks.machine import machine
from ssam.experiment import ASSETS

RECORD = ASSETS / "measured" / "border.json"
PAGE = marked.DOCS / "coming-from.md"
ALONE = cases.CASES | masks.CASES | frameworks.CASES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--davda54", type=Path, metavar="CLONE", help="a clone of github.com/davda54/sam")
    options = parser.parse_args()
    made: list[Callable[[], Library]] = [Ours, pytorch_optimizer]
    if options.davda54:
        made.append(functools.partial(davda54, options.davda54.resolve()))
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"libraries": {}}
    for make in made:
        library = make()
        record["libraries"][library.name] = {"version": library.version, "cases": tried(make)}
    record |= {"command": "python -m benchmarks.border --davda54 CLONE", **machine()}
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    marked.write(PAGE, "border", table(record))
    print(table(record))


def tried(make: Callable[[], Library]) -> dict[str, dict[str, str]]:
    """Return the outcome of every case with one library."""
    torch.set_num_threads(1)
    library = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {name: outcome(case, library) for name, case in ALONE.items()}
    return found | of_two_processes(make)


def of_two_processes(make: Callable[[], Library]) -> dict[str, dict[str, str]]:
    context = torch.multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(processes.try_all, args=(make, port, results), nprocs=2)
    found: dict[str, dict[str, str]] = results.get()
    return found


def table(record: dict[str, Any]) -> str:
    """Return the record as a Markdown table: a situation a row, a library a column."""
    libraries = record["libraries"]
    heads = [f"{name} ({of['version']})" for name, of in libraries.items()]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (1 + len(libraries)) + "|"]
    for case in [*ALONE, *processes.CASES]:
        outcomes = [of["cases"][case]["outcome"] for of in libraries.values()]
        cells = [f"**{word}**" if word == "silently wrong" else word for word in outcomes]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
