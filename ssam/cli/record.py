"""``python -m ssam record``: run a record and write its output into it, or check what somebody claims."""

import argparse
import json
import statistics
import sys
from pathlib import Path

from ssam.config import default_home
from ssam.record import script as scripts
from ssam.record.script import Output, Script
from ssam.record.task import TASKS


def flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_run)
    command.add_argument(
        "action", choices=("run", "check"), help="run: write the output into the file; check: run again and compare"
    )
    command.add_argument(
        "file", metavar="FILE", type=Path, help="a script with train(model, batches); read it first: it is executed"
    )
    command.add_argument("--json", action="store_true", help="the result as one JSON object")


def _run(options: argparse.Namespace) -> int:
    script = scripts.read(options.file)
    claimed = script.output
    if options.action == "check" and claimed is None:
        raise ValueError(f"{options.file.name}: has no output to check; allowed: record run")
    from ssam.record.run import output_of  # imports torch

    output = output_of(script, default_home(), _progress)
    if options.action == "run":
        options.file.write_text(scripts.written(script, output), encoding="utf-8")
    reproduced = options.action == "run" or output == claimed
    margin = TASKS[script.task].margin(output.test_accuracy)
    result = {
        "title": script.title,
        "task": script.task,
        "gradients": statistics.fmean(output.gradients),
        "test_accuracy": statistics.fmean(output.test_accuracy),
        "margin": margin,
        "reproduced": reproduced,
        "stands": reproduced and margin > 0,
    }
    print(json.dumps(result) if options.json else _told(script, output, result))
    return 0 if result["stands"] else 1


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _told(script: Script, output: Output, result: dict[str, object]) -> str:
    task = TASKS[script.task]
    lines = [
        f"{script.title}: {result['gradients']:g} gradients, {100 * statistics.fmean(output.test_accuracy):.2f} ± "
        f"{100 * statistics.stdev(output.test_accuracy):.2f}% ({len(task.seeds)} seeds)",
        f"{task.title}: "
        + ("reached" if task.margin(output.test_accuracy) > 0 else "not reached")
        + f"; the mean is {100 * task.margin(output.test_accuracy):+.2f} points from the target after 3σ/√n",
    ]
    if not result["reproduced"]:
        lines.append(
            "The output in the file is another one: it is from another kind of machine, or it is not this script's."
        )
    return "\n".join(lines).replace("+-", "−").replace(" -", " −")
