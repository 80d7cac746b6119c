"""What the page Compare says: verdicts, tables and how they were made."""

from collections.abc import Sequence
from typing import Any

from app import texts
from app.compare_chart import DEVIATION, EACH, MINMAX
from app.compare_groups import Group, against, sharpness, spread
from app.flatness_texts import ESTIMATORS
from ssam.stats.paired import FEWEST, Paired

Row = dict[str, str]

EMPTY = "Choose races above, or tick some on the Runs page and press *Compare* there."
METHOD = f"""
- **Grouped by settings.** Lanes whose settings differ in nothing but the seed are one row. A seed counts once: of several races with the
  same seed a finished one is taken.
- **Final accuracy** is that of the last epoch on all test images, of finished lanes only. ± is the standard deviation over the seeds.
- **Paired difference.** For each seed that finished both, the lane's final accuracy minus the baseline's, in percentage points. With the
  same seed, data and model both start from the same weights and see the same batches.
- **Interval.** 95 % for the mean of these differences, by Student's t with one degree of freedom less than pairs. It takes the differences
  for a sample of a normal distribution. Fewer than {FEWEST} pairs give none, and an interval that holds 0 shows no difference.
- **Each interval stands for itself.** With many lanes against one baseline, or many looks while races come in, one of them misses more
  often than 1 in 20.
- **× SGD** is the time of a step over that of SGD's step next to it in the same race. **Gradients** count forward + backward passes, mask
  refreshes not counted. **Seconds** are the lane's own compute.
- **Sharpness** is shown where it was measured; only equal estimators with equal settings may be compared.
"""


def points(value: float) -> str:
    """A difference with its sign, in percentage points.

    >>> points(-0.25), points(1.0)
    ('−0.25', '+1.00')
    """
    return f"{'−' if value < 0 else '+'}{abs(value):.2f}"


def seeds(group: Group) -> str:
    """How many have finished, and what the others do."""
    done, going = len(group.finished), sum(member.going for member in group.members)
    lost = len(group.members) - done - going
    more = [f"{going} under way"] * bool(going) + [f"{lost} without a result"] * bool(lost)
    return ", ".join([str(done), *more])


def verdict(found: Paired | None) -> str:
    """What can be said of a difference; never more than the seeds tell."""
    pairs = found.pairs if found else 0
    if found is None or found.low is None:
        return f"not enough seeds to tell: {pairs} of at least {FEWEST} pairs"
    if not found.tells:
        return "no difference seen"
    return "higher" if found.mean > 0 else "lower"


def accuracy_rows(shown: Sequence[Group], baseline: Group | None) -> list[Row]:
    rows = []
    for group in shown:
        row = {"Lane": texts.plain(group.title), "Seeds": seeds(group)}
        row["Final accuracy, %"] = spread(list(group.accuracies.values()), 2)
        if baseline:
            row |= _difference(group, baseline)
        rows.append(row)
    return rows


def _difference(group: Group, baseline: Group) -> Row:
    if group.key == baseline.key:
        return {"Difference": "baseline", "95 % interval": "–", "Pairs": "–", "Verdict": "–"}
    found = against(group, baseline)
    known = found is not None and found.low is not None and found.high is not None
    return {
        "Difference": points(found.mean) if found else "–",
        "95 % interval": f"{points(found.low)} to {points(found.high)}" if known else "–",  # type: ignore[union-attr, arg-type]
        "Pairs": str(found.pairs if found else 0),
        "Verdict": verdict(found),
    }


def cost_rows(shown: Sequence[Group]) -> list[Row]:
    """With λ₁ beside the cost where the races measured it."""
    rows = []
    for group in shown:
        row = {"Lane": texts.plain(group.title), "Seeds": seeds(group)}
        row["× SGD"] = spread(group.told(lambda member: member.ratio), 2)
        row["Gradients"] = spread(group.told(lambda member: member.gradients), 0)
        row["Seconds"] = spread(group.told(lambda member: member.seconds), 1)
        rows.append(row)
    eigenvalues = [group.told(lambda member: member.eigenvalue) for group in shown]
    if any(eigenvalues):
        for row, values in zip(rows, eigenvalues, strict=True):
            row["λ₁ at the end"] = spread(values, 1)
    return rows


def sharpness_rows(shown: Sequence[Group]) -> list[Row]:
    """A row for each measure and lane that has it."""
    titles = {group.key: texts.plain(group.title) for group in shown}
    return [
        {
            "Measure": texts.plain(_measure(name)),
            "Lane": titles[key],
            "Value": _three(values),
            "Seeds": str(len(values)),
        }
        for name, by_group in sharpness(shown)
        for key, values in by_group.items()
    ]


def _measure(name: str) -> str:
    """An estimator by its title."""
    estimator, _, setting = name.partition(" (")
    title = ESTIMATORS[estimator][0] if estimator in ESTIMATORS else estimator.replace("_", " ")
    return f"{title} ({setting}" if setting else title


def _three(values: Sequence[float]) -> str:
    digits = max(0, 2 - len(str(int(abs(values[0])))) + 1) if abs(values[0]) >= 1 else 4
    return spread(values, digits)


def summary(shown: Sequence[Group], baseline: Group | None) -> str:
    """What the table says, in sentences."""
    said = []
    for group in shown:
        if not group.accuracies or (baseline and group.key == baseline.key):
            continue
        head = f"**{texts.plain(group.title)}**: {spread(list(group.accuracies.values()), 1)} %"
        if baseline:
            found = against(group, baseline)
            told = f"{points(found.mean)} points" if found else ""
            if found and found.low is not None and found.high is not None:
                told += f" ({points(found.low)} to {points(found.high)}, {found.pairs} pairs)"
            head += f"; {': '.join(filter(None, [told, verdict(found)]))}"
        said.append(f"- {head}.")
    if not said:
        return (
            "No other lane has come to its end yet."
            if baseline and baseline.accuracies
            else "No lane has come to its end yet."
        )
    base = (
        f"Against **{texts.plain(baseline.title)}** ({spread(list(baseline.accuracies.values()), 1)} %):\n\n"
        if baseline
        else ""
    )
    return base + "\n".join(said)


def caption(kind: str, smooth: int, many: bool) -> str:
    """How the curves were made."""
    parts = []
    if many and kind != EACH:
        what = {MINMAX: "from the lowest to the highest seed", DEVIATION: "one standard deviation to each side"}[kind]
        parts.append(f"Line: the mean over finished seeds; band: {what}. Seeds that have not finished are thin lines.")
    if smooth > 1:
        parts.append(f"Each point is the mean of the last {smooth} evaluations; faint: not smoothed.")
    return " ".join(parts)


def notes(shown: Sequence[Group]) -> str:
    """What to know of these races before believing the numbers."""
    races = {member.run.id: member.run for group in shown for member in group.members}
    said = []
    if shared := sum(run.shared for run in races.values()):
        said.append(f"{shared} of {len(races)} races shared the machine with others: their times are less sure.")
    if repeated := sum(group.repeated for group in shown):
        said.append(
            f"{repeated} lane{'s' * (repeated > 1)} with a seed that was there already {'are' if repeated > 1 else 'is'} not counted."
        )
    return " ".join(said)


def table(shown: Sequence[Group], baseline: Group | None) -> list[dict[str, Any]]:
    """All numbers in one table, for a file; means and standard deviations apart."""
    from statistics import fmean, stdev

    rows = []
    for group in shown:
        row: dict[str, Any] = {"lane": group.title, "seeds": len(group.finished)}
        row["seed_numbers"] = " ".join(str(seed) for seed in group.accuracies)
        told = {
            "test_accuracy_percent": list(group.accuracies.values()),
            "step_ratio_to_sgd": group.told(lambda member: member.ratio),
            "gradients": group.told(lambda member: member.gradients),
            "seconds": group.told(lambda member: member.seconds),
        }
        told |= {name: by_group.get(group.key, []) for name, by_group in sharpness(shown)}
        for name, values in told.items():
            row[f"{name}_mean"] = fmean(values) if values else None
            row[f"{name}_sd"] = stdev(values) if len(values) > 1 else None
        if baseline:
            found = against(group, baseline) if group.key != baseline.key else None
            row["baseline"] = baseline.title
            row |= {name: getattr(found, name, None) for name in ("pairs", "mean", "low", "high")}
        rows.append(row)
    for row in rows:
        for old, new in (("mean", "difference_points"), ("low", "interval_low"), ("high", "interval_high")):
            if old in row:
                row[new] = row.pop(old)
    return rows
