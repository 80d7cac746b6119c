"""The table of records: ``python -m benchmarks.records`` runs those of assets/records that have no output yet, and writes docs/records.md."""

import statistics
from pathlib import Path

from benchmarks import marked
from ssam.config import default_home
from ssam.experiment import ASSETS
from ssam.record import script as scripts
from ssam.record.run import output_of
from ssam.record.script import Script
from ssam.record.task import TASKS

FOLDER = ASSETS / "records"
PAGE = marked.DOCS / "records.md"


def main() -> None:
    for path in sorted(FOLDER.glob("*.py")):
        script = scripts.read(path)
        if script.output is None:
            path.write_text(scripts.written(script, output_of(script, default_home(), print)), encoding="utf-8")
            marked.write(PAGE, "records", table(FOLDER))
    marked.write(PAGE, "records", table(FOLDER))
    print(table(FOLDER))


def table(folder: Path) -> str:
    """In Markdown: the records that stand by their gradients, then the others by their distance from the target."""
    found = [script for path in folder.glob("*.py") if (script := scripts.read(path)).output]
    lines = ["| record | gradients | test accuracy % | mean − target − 3σ/√n | stands |", "|---|---|---|---|---|"]
    for script in sorted(found, key=_rank):
        assert script.output
        accuracies = [100 * value for value in script.output.test_accuracy]
        margin = 100 * TASKS[script.task].margin(script.output.test_accuracy)
        link = f"[{script.title}](../assets/records/{script.name}.py)"
        cells = [link, f"{statistics.fmean(script.output.gradients):g}"]
        cells += [f"{statistics.fmean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f}"]
        cells += [f"{margin:+.2f}".replace("-", "−"), "yes" if margin > 0 else "no"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rank(script: Script) -> tuple[bool, float]:
    assert script.output
    margin = TASKS[script.task].margin(script.output.test_accuracy)
    return margin <= 0, statistics.fmean(script.output.gradients) if margin > 0 else -margin


if __name__ == "__main__":
    main()
