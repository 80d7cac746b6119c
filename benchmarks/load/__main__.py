"""The load of a class on one server, without browsers: ``python -m benchmarks.load``.

    python -m benchmarks.load --sessions 30 60 --json       # ticks and the race's throughput
    python -m benchmarks.load --sessions 30 --soak 60 --json   # memory over an hour
    python -m benchmarks.load --sessions 30 --wall --json      # a class watching its own wall

Starts its own server, runner and race, or uses ``--url``, whose home folder must be ``SSAM_HOME``. Measure on an idle machine:
client, server and race share its cores. The report includes the CPU use of ``others``.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.load import measure, wall
from benchmarks.load.lab import Lab, own_lab, racing
from benchmarks.machine import machine
from ssam.experiment import ASSETS
from ssam.store import Store

FILE = ASSETS / "measured" / "load.json"


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.load", description=(__doc__ or "").splitlines()[0])
    options.add_argument(
        "--sessions", type=int, nargs="+", default=[30, 60], help="tabs that watch; several: one after the other"
    )
    options.add_argument("--seconds", type=float, default=30.0, help="of every quiet and every loaded stretch")
    options.add_argument("--pairs", type=int, default=5, help="loaded stretches; there is a quiet one around each")
    options.add_argument("--soak", type=float, metavar="MINUTES", help="look at the memory for so long instead")
    options.add_argument("--wall", action="store_true", help="the class wall instead, for --seconds, without training")
    options.add_argument("--url", help="a server that runs already, with SSAM_HOME as its home folder")
    options.add_argument("--json", action="store_true", help=f"keep the result in {FILE.relative_to(ASSETS.parent)}")
    asked = options.parse_args()
    if asked.wall:
        about = {"command": f"python -m benchmarks.load {' '.join(sys.argv[1:])}", **machine()}
        for count in asked.sessions:
            _report(f"wall of {count}", about | wall.measure(count, asked.seconds), asked.json)
        return
    with lab(asked.url) as ready:
        command = f"python -m benchmarks.load {' '.join(sys.argv[1:])}"
        about = {"command": command, **machine(), "threads": _threads(ready)}
        for count in asked.sessions:
            if asked.soak:
                name, result = f"soak of {count}", asyncio.run(measure.soak(ready, count, asked.soak))
            else:
                name, result = str(count), asyncio.run(measure.measure(ready, count, asked.seconds, asked.pairs))
            _report(name, about | result, asked.json)


def _report(name: str, result: dict, keep: bool) -> None:
    print(json.dumps({name: {key: value for key, value in result.items() if key != "samples"}}, indent=1))
    if keep:
        known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
        FILE.write_text(json.dumps(known | {name: result}, indent=1) + "\n", encoding="utf-8")


@contextmanager
def lab(url: str | None) -> Iterator[Lab]:
    with racing(Store(), url.rstrip("/")) if url else own_lab() as ready:
        yield ready


def _threads(ready: Lab) -> int:
    """Return the number of threads of the race."""
    run = ready.store.runs.get(ready.run_id)
    assert run
    assert run.started_info
    return run.started_info["threads"]


if __name__ == "__main__":
    main()
