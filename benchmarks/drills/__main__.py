"""All drills: ``python -m benchmarks.drills --rounds 20 --json`` runs each one 20 times; results go to assets/measured/drills.json.

The seed determines the moments, but not what the machine does at a moment, so every run is different.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.drills import damage, deaths, pauses
from benchmarks.drills.cost import checkpoint_cost
from benchmarks.drills.drill import perform
from benchmarks.machine import machine
from ssam.experiment import ASSETS


def full_disk(rounds: int, seed: int) -> dict[str, Any]:
    with damage.small_disk() as disk:
        return perform(damage.full_disk, rounds, seed, disk, SSAM_DISK_GB="0.01")


def jumping_clock(rounds: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ssam-clock-") as folder:
        return perform(pauses.jumping_clock, rounds, seed, Path(folder), **pauses.wrong_clock(Path(folder)))


DRILLS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "race process killed": lambda rounds, seed: perform(deaths.race_process, rounds, seed),
    "runner killed": lambda rounds, seed: perform(deaths.runner, rounds, seed),
    "app server killed": lambda rounds, seed: perform(deaths.server, rounds, seed),
    "everything killed": lambda rounds, seed: perform(deaths.everything, rounds, seed),
    "full disk": full_disk,
    "damaged checkpoint": lambda rounds, seed: perform(damage.damaged_checkpoint, rounds, seed),
    "damaged database": lambda rounds, seed: perform(damage.damaged_database, rounds, seed),
    "paused across a restart": lambda rounds, seed: perform(pauses.paused_across_a_restart, rounds, seed),
    "clock that jumps": jumping_clock,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.drills")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="of each drill (default: 20)")
    parser.add_argument(
        "--only", choices=DRILLS, nargs="+", default=list(DRILLS), help="some of the drills, kept nowhere"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of a table")
    options = parser.parse_args()
    cost = checkpoint_cost()
    print(f"a checkpoint: {json.dumps(cost)}", file=sys.stderr, flush=True)
    found: dict[str, dict[str, Any]] = {}
    for name in options.only:
        print(f"{time.strftime('%H:%M:%S')} {name} …", file=sys.stderr, flush=True)
        found[name] = DRILLS[name](options.rounds, options.seed)
        print(f"{time.strftime('%H:%M:%S')} {json.dumps(found[name])}", file=sys.stderr, flush=True)
    command = f"python -m benchmarks.drills --rounds {options.rounds} --seed {options.seed}"
    record = {"command": command, **machine(), "system": platform.platform(), "checkpoint": cost, "drills": found}
    if options.only == list(DRILLS):
        (ASSETS / "measured" / "drills.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record) if options.json else table(found))
    goals = ("points_lost", "races_that_differ", "orphans")
    sys.exit(any(drill[goal] for drill in found.values() for goal in goals))


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the table in Markdown, as in docs/drills.md."""
    lines = [
        "| drill | rounds | races | points read | lost | races that differ | orphans | noticed after, median (worst) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, drill in found.items():
        noticed = drill.get("noticed_s")
        after = f"{noticed['median']:.2f} s ({noticed['worst']:.2f} s)" if noticed else "–"
        figures = [
            drill[key] for key in ("rounds", "races", "points_read", "points_lost", "races_that_differ", "orphans")
        ]
        lines.append(f"| {name} | {' | '.join(f'{figure:,}' for figure in figures)} | {after} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
