"""Texts of the page Compare: verdicts, tables and how they were made."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from app.compare.charts import DEVIATION, EACH, MINMAX
from app.compare.groups import Group, against, sharpness, spread
from app.ui import texts
from app.ui.estimators import ESTIMATORS
from ssam.stats import proportion
from ssam.stats.paired import EXPLAINED, Paired, points, sentence

Row = dict[str, str]

EMPTY = "Choose races above, or select some on the Runs page and press *Compare* there."
METHOD = f"""
- **Grouped by settings.** Lanes whose settings differ only in the seed are one row. A seed counts once: of several races with the
  same seed, a finished one is used.
- **Final accuracy** is the test accuracy after the last epoch, on all test images, of finished lanes only. ± is the standard deviation over the seeds.
{EXPLAINED.strip()}
- **× SGD** is the time of a step divided by that of the SGD step next to it in the same race. **Gradient evaluations** are forward +
  backward passes, without mask refreshes. **Seconds** are the lane's compute time.
- **Sharpness** is shown if it was measured; compare only equal estimators with equal settings.
"""


def seeds(group: Group) -> str:
    """Return how many have finished, and the states of the others."""
    done, going = len(group.finished), sum(member.going for member in group.members)
    diverged = sum(member.diverged for member in group.members)
    lost = len(group.members) - done - going - diverged
    more = [f"{going} in progress"] * bool(going) + [f"{diverged} diverged"] * bool(diverged)
    more += [f"{lost} without a result"] * bool(lost)
    return ", ".join([str(done), *more])


def accuracy_rows(shown: Sequence[Group], baseline: Group | None) -> list[Row]:
    compared = against(shown, baseline) if baseline else {}
    rows = []
    for group in shown:
        row = {"Lane": texts.plain(group.title), "Seeds": seeds(group)}
        row["Final accuracy, %"] = spread(list(group.accuracies.values()), 2)
        if baseline:
            row |= _difference(compared.get(group.key))
        rows.append(row)
    return rows


def _difference(found: Paired | None) -> Row:
    """Return a comparison as table cells; None is the baseline itself."""
    if found is None:
        return {"Difference": "baseline", "95% interval": "–", "Pairs": "–", "Verdict": "–"}
    return {
        "Difference": points(found.mean, sign=True) if found.mean is not None else "–",
        "95% interval": " to ".join(map(points, found.interval)) if found.interval else "–",
        "Pairs": str(found.pairs),
        "Verdict": found.verdict,
    }


def cost_rows(shown: Sequence[Group]) -> list[Row]:
    """Return the table of costs, with λ₁ if the races measured it."""
    rows = []
    for group in shown:
        row = {"Lane": texts.plain(group.title), "Seeds": seeds(group)}
        row["× SGD"] = spread(group.told(lambda member: member.ratio), 2)
        row["Gradient evaluations"] = spread(group.told(lambda member: member.gradients), 0)
        row["Seconds"] = spread(group.told(lambda member: member.seconds), 1)
        rows.append(row)
    eigenvalues = [group.told(lambda member: member.eigenvalue) for group in shown]
    if any(eigenvalues):
        for row, values in zip(rows, eigenvalues, strict=True):
            row["final λ₁"] = spread(values, 1)
    return rows


def sharpness_rows(shown: Sequence[Group]) -> list[Row]:
    """Return a row for each measure and lane that has it."""
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
    """Return an estimator's title."""
    estimator, _, setting = name.partition(" (")
    title = ESTIMATORS[estimator][0] if estimator in ESTIMATORS else estimator.replace("_", " ")
    return f"{title} ({setting}" if setting else title


def _three(values: Sequence[float]) -> str:
    digits = max(0, 2 - len(str(int(abs(values[0])))) + 1) if abs(values[0]) >= 1 else 4
    return spread(values, digits)


def summary(shown: Sequence[Group], baseline: Group | None) -> str:
    """Return the results of the table in sentences."""
    compared = against(shown, baseline) if baseline else {}
    said = []
    for group in shown:
        if not group.accuracies or (baseline and group.key == baseline.key):
            continue
        title = f"**{texts.plain(group.title)}**"
        told = f"{spread(list(group.accuracies.values()), 1)}%"
        if baseline:
            found = sentence(title, f"**{texts.plain(baseline.title)}**", compared[group.key])
            said.append(f"- {found} Final accuracy {told}.")
        else:
            said.append(f"- {title}: {told}.")
    if not said:
        return "No other lane has finished yet." if baseline and baseline.accuracies else "No lane has finished yet."
    base = (
        f"Against **{texts.plain(baseline.title)}** ({spread(list(baseline.accuracies.values()), 1)}%):\n\n"
        if baseline
        else ""
    )
    return base + "\n".join(said)


def caption(kind: str, smooth: int, many: bool) -> str:
    """Return how the curves were made."""
    parts = []
    if many and kind != EACH:
        what = {MINMAX: "lowest to highest seed", DEVIATION: "± one standard deviation"}[kind]
        parts.append(f"Line: the mean over finished seeds; band: {what}. Unfinished seeds are thin lines.")
    if smooth > 1:
        parts.append(f"Each point is the mean of the last {smooth} evaluations; faint: not smoothed.")
    return " ".join(parts)


def tested(shown: Sequence[Group]) -> str:
    """Return the number of test images behind each final accuracy, and the interval from it alone; empty if there is none."""
    known = [
        (member.test_size, member.record.result)
        for group in shown
        for member in group.finished
        if member.record and member.record.result is not None and member.test_size
    ]
    said = []
    for size in sorted({size for size, _ in known}):
        share = fmean(share for own, share in known if own == size)
        image = f", {text}" if (text := proportion.one_image(size)) else ""
        margin = proportion.margin(share, size)
        said.append(f"{size:,} test images ({proportion.LEVEL} interval at {100 * share:.1f}%: {margin}{image})")
    return f"Each accuracy is measured on {' or '.join(said)}." if said else ""


def notes(shown: Sequence[Group]) -> str:
    """Return caveats about these races."""
    races = {member.run.id: member.run for group in shown for member in group.members}
    said = [text] if (text := tested(shown)) else []
    if shared := sum(run.shared for run in races.values()):
        said.append(f"{shared} of {len(races)} races shared the machine with others: their times are less reliable.")
    if repeated := sum(group.repeated for group in shown):
        said.append(
            f"{repeated} lane{'s' * (repeated > 1)} with a repeated seed {'are' if repeated > 1 else 'is'} not counted."
        )
    return " ".join(said)


def table(shown: Sequence[Group], baseline: Group | None) -> list[dict[str, Any]]:
    """Return all numbers in one table for a file, means and standard deviations in separate columns."""
    compared = against(shown, baseline) if baseline else {}
    rows = []
    for group in shown:
        row: dict[str, Any] = {"lane": group.title, "seeds": len(group.finished)}
        row["seed_numbers"] = " ".join(str(seed) for seed in group.accuracies)
        row["diverged"] = sum(member.diverged for member in group.members)
        row["test_size"] = " or ".join(map(str, sorted({one.test_size for one in group.members if one.test_size})))
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
            row["baseline"] = baseline.title
            row |= _numbers(compared.get(group.key))
        rows.append(row)
    return rows


def _numbers(found: Paired | None) -> dict[str, Any]:
    """Return a comparison as columns; all empty for the baseline itself."""
    low, high = (found and found.interval) or (None, None)
    return {
        "pairs": found and found.pairs,
        "difference_points": found and found.mean,
        "interval_low": low,
        "interval_high": high,
        "p_of_this_pair": found and found.p,
        "p_holm": found and found.adjusted,
        "comparisons": found and found.comparisons,
        "verdict": found and found.verdict,
    }
