"""The false-alarm rate and the power of the rule in ``ssam.stats.paired``, by simulation with the same code.

python -m benchmarks.statistics     writes assets/measured/statistics.json (a few minutes)

Null data: the two results of a seed come from one distribution (methods that do not differ), in percentage points, with a standard
deviation of a lane over the seeds of about 1. Seeds may differ from each other: their common part cancels in the difference.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy

from benchmarks.machine import machine
from ssam.experiment import ASSETS
from ssam.stats.paired import LEVEL, Paired, compare, family

FILE = ASSETS / "measured" / "statistics.json"
SEED = 0
RUNS = 20_000
COUNTS = (3, 5, 10, 30)  # seeds
EFFECTS = (0.5, 1.0, 2.0, 3.0, 5.0)  # of a lane's standard deviation over the seeds
LANES = 3  # compared with one baseline, as a family
LAST = 10  # seeds, when looking after each one from the third on

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def measured_residuals() -> np.ndarray:
    """Return the standardised accuracies (mean 0, standard deviation 1) of every lane of the study that was raced on five fresh seeds."""
    rows = json.loads((ASSETS / "measured" / "study.json").read_text(encoding="utf-8"))["rows"]
    lanes: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["phase"] == "final" and row["accuracy"] is not None:
            lanes.setdefault((row["task"], row["lane"]), []).append(100 * row["accuracy"])
    five = np.array([values for values in lanes.values() if len(values) == 5])
    return ((five - five.mean(1, keepdims=True)) / five.std(1, ddof=1, keepdims=True)).ravel()


def distributions() -> dict[str, Draw]:
    """Return possible distributions of a lane's accuracies, by name."""
    residuals = measured_residuals()

    def counted(images: int) -> Draw:
        step = 100 / images
        return lambda chance, shape: step * np.round(chance.normal(75, 1, shape) / step)

    return {
        "normal": lambda chance, shape: chance.normal(0, 1, shape),
        "residuals of measured races": lambda chance, shape: chance.choice(residuals, shape),
        "Laplace": lambda chance, shape: chance.laplace(0, math.sqrt(0.5), shape),
        "Student's t, 3 degrees of freedom": lambda chance, shape: chance.standard_t(3, shape) / math.sqrt(3),
        "uniform": lambda chance, shape: chance.uniform(-math.sqrt(3), math.sqrt(3), shape),
        "skewed (exponential)": lambda chance, shape: chance.exponential(1, shape),
        "one seed in ten 10 points lower": lambda chance, shape: (
            chance.normal(0, 1, shape) - 10 * (chance.random(shape) < 0.1)
        ),
        "normal, of 10,000 test images": counted(10_000),
        "normal, of 160 test images": counted(160),
    }


def seeds(values: np.ndarray) -> dict[int, float]:
    return dict(enumerate(values.tolist()))


def tells(found: Paired) -> bool:
    return found.verdict in ("better", "worse")


def rate(hits: int, runs: int) -> dict[str, float]:
    """Return a rate with its simulation error, the standard deviation of a binomial proportion."""
    share = hits / runs
    return {"rate": round(share, 5), "error": round(math.sqrt(share * (1 - share) / runs), 5)}


def false_alarms(draw: Draw, n: int, runs: int, seed: int = SEED) -> dict[str, float]:
    chance = np.random.default_rng(seed)
    return rate(sum(tells(compare(*map(seeds, draw(chance, (2, n))))) for _ in range(runs)), runs)


def null(runs: int) -> Iterator[dict[str, Any]]:
    for name, draw in distributions().items():
        for n in COUNTS:
            yield {"distribution": name, "seeds": n, **false_alarms(draw, n, runs)}


def families(runs: int) -> Iterator[dict[str, Any]]:
    """Yield the rate of any false alarm among LANES lanes compared with one baseline, with each pair tested on its own and with Holm's method."""
    for n in COUNTS:
        chance = np.random.default_rng(SEED)
        alone = together = 0
        for _ in range(runs):
            baseline, *lanes = map(seeds, chance.normal(0, 1, (LANES + 1, n)))
            found = [compare(lane, baseline) for lane in lanes]
            alone += any(map(tells, found))
            together += any(map(tells, family(found)))
        yield {"lanes": LANES, "seeds": n, "alone": rate(alone, runs), "together": rate(together, runs)}


def power(runs: int) -> Iterator[dict[str, Any]]:
    for effect in EFFECTS:
        for n in COUNTS:
            chance = np.random.default_rng(SEED)
            hits = 0
            for _ in range(runs):
                one, other = chance.normal(0, 1, (2, n))
                hits += compare(seeds(one + effect), seeds(other)).verdict == "better"
            yield {"effect": effect, "seeds": n, **rate(hits, runs)}


def peeking(runs: int) -> dict[str, float]:
    """Return the false-alarm rate when looking after each seed from the third to LAST and stopping at the first verdict."""
    chance = np.random.default_rng(SEED)
    hits = 0
    for _ in range(runs):
        one, other = chance.normal(0, 1, (2, LAST))
        hits += any(tells(compare(seeds(one[:n]), seeds(other[:n]))) for n in range(3, LAST + 1))
    return {"seeds": LAST, **rate(hits, runs)}


def skewed(runs: int) -> Iterator[dict[str, Any]]:
    """Yield the rates for lanes with equal means but different distributions, one constant and one skewed. This is not null data."""
    for n in COUNTS:
        chance = np.random.default_rng(SEED)
        hits = sum(
            tells(compare(seeds(chance.exponential(1, n) - 1), dict.fromkeys(range(n), 0.0))) for _ in range(runs)
        )
        yield {"seeds": n, **rate(hits, runs)}


def main() -> None:
    record = {
        "command": "python -m benchmarks.statistics",
        **machine(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "seed": SEED,
        "runs": RUNS,
        "level": LEVEL,
        "null": list(null(RUNS)),
        "families": list(families(RUNS)),
        "power": list(power(RUNS)),
        "peeking": peeking(RUNS),
        "equal_means_other_shapes": list(skewed(RUNS)),
    }
    FILE.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(record))


def table(record: dict[str, Any]) -> str:
    """Return the table in ``docs/measured.md``."""

    def line(title: str, rows: list[dict[str, Any]]) -> str:
        cells = [f"{100 * row['rate']:.1f}" for row in rows]
        return f"| {title} | {' | '.join(cells)} |"

    lines = [f"| % of {record['runs']:,} simulated comparisons | {' | '.join(f'{n} seeds' for n in COUNTS)} |"]
    lines.append("|---" * (1 + len(COUNTS)) + "|")
    names = dict.fromkeys(row["distribution"] for row in record["null"])
    lines += [
        line(f"no difference: {name}", [row for row in record["null"] if row["distribution"] == name]) for name in names
    ]
    lines.append(line(f"no difference, any of {LANES} lanes", [row["together"] for row in record["families"]]))
    lines.append(line("the same without Holm's method", [row["alone"] for row in record["families"]]))
    lines += [
        line(f"found: a difference of {effect:g} s.d.", [row for row in record["power"] if row["effect"] == effect])
        for effect in EFFECTS
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
