"""Texts of the page Sweeps. Nothing is called a finding before fresh seeds confirm it."""

import statistics
from collections import Counter
from collections.abc import Sequence

from app.sweeps.charts import STATE_TITLES, percent, settings
from app.ui import texts
from ssam.stats import proportion
from ssam.stats.paired import EXPLAINED, sentence
from ssam.store import Sweep, Trial
from ssam.store.sweep_scores import Fresh, chosen, points, ranked
from ssam.store.sweeps import Spent

EMPTY = "A sweep trains one method with many settings in the background. Manually started races take priority."
STATES = {"running": "Running", "paused": "Paused", "stopped": "Stopped", "finished": "Finished"}
SEEING = f"""
- **Every trial is an ordinary race** of yours that you can open, compare and export; on the page *Runs* it has the sweep's tag.
- **The score** is the lane's final validation accuracy: its accuracy on training images that the race holds out, with labels as noisy
  as the others'; with several seeds, the mean. Ranking, pruning and the search use nothing else. For the chosen setting the test
  accuracy is shown too, with the gap between the two. Older sweeps without a validation split used test accuracy, and say so.
- **The best of many is too good.** Of 24 equally good settings, one comes out on top by luck, and its score is high *because* it was
  chosen for it: the winner's curse. So the best settings are trained again on seeds that the search has not seen, beside the starting
  point of the sweep on the same seeds, and compared by test accuracy. Only that counts: a finding is a setting that is significantly
  better on the fresh seeds, all of which have finished.
{EXPLAINED.strip()}
- **Search** is Optuna's tree-structured Parzen estimator; the first 8 settings are random. **Importance** is PED-ANOVA: how much the settings of
  the better trials differ from all that were tried. With few trials it is a guess.
- **Pruned** trials were stopped early and have no score; a trial that *diverged* counts as the worst of all.
- **Seconds** as a cost are measured while races run side by side and disturb each other; gradient evaluations are exact.
"""


def progress(sweep: Sweep, trials: Sequence[Trial], spent: Spent) -> tuple[float, str]:
    """Return the progress, 0–1, by the budget closest to its end, and a description of it."""
    searched = [trial for trial in trials if not trial.fresh]
    over = [trial for trial in searched if trial.state != "open"]
    spec = sweep.spec
    shares = [len(over) / spec.most_races]
    if spec.minutes:
        shares.append(spent.minutes / spec.minutes)
    if spec.gradients:
        shares.append(spent.gradients / spec.gradients)
    count = Counter(STATE_TITLES[trial.state] for trial in over)
    said = ", ".join(f"{number} {state}" for state, number in count.items() if state != "finished")
    limited = f" of {spec.most_races}" if spec.races or spec.method == "grid" else ""
    running = sum(trial.run_state in ("starting", "running") for trial in trials)
    many = spec.most_races if limited else len(over)
    parts = [f"{len(over)}{limited} trial{'s' * (many != 1)}{f' ({said})' if said else ''}"]
    parts += [f"{running} running now"] if running else []
    if spec.minutes:
        parts.append(f"{spent.minutes:.1f} of {spec.minutes:g} minutes trained")
    if spec.gradients:
        parts.append(f"{spent.gradients:,} of {spec.gradients:,} gradient evaluations")
    share = 1.0 if sweep.state == "finished" else min(1.0, max(shares))
    return share, " · ".join(parts)


def left(sweep: Sweep, trials: Sequence[Trial], now: float) -> str:
    """Return the time left, estimated from the trials so far; empty if unknown."""
    over = [trial for trial in trials if not trial.fresh and trial.started and trial.ended]
    limited = sweep.spec.races or sweep.spec.method == "grid"
    if sweep.state != "running" or len(over) < 2 or not limited:
        return ""
    begun = min(trial.started or 0.0 for trial in over)
    rest = sweep.spec.most_races - len(over)
    pace = (max(trial.ended or 0.0 for trial in over) - begun) / len(over)
    return f"about {texts.duration(rest * pace)} left" if rest > 0 else ""


def sureness(share: float | None, size: int | None) -> str:
    """Return the interval of a trial's accuracy from the number of images alone; empty if unknown."""
    margin = proportion.margin(share, size)
    return (
        f"Each accuracy is measured on {size:,} images: {proportion.LEVEL} interval {margin} at the best."
        if margin
        else ""
    )


def best(sweep: Sweep, trials: Sequence[Trial]) -> str:
    """Return the best so far, and that it was selected; after the search also its test accuracy, which was not used to select it."""
    found = ranked(sweep.spec, trials)
    if not found:
        return "No trial has finished yet."
    tried = len([point for point in points(sweep.spec, trials) if point.state != "open"])
    spread = f" ± {100 * found[0].spread:.1f}" if found[0].spread is not None else ""
    score = percent(found[0].score).replace("%", f"{spread}%")
    begun = " It is the starting point of the sweep." if found[0].values == sweep.spec.standard else ""
    many = f" Best of {tried}, so this is probably optimistic." if tried > 1 else ""
    said = f"**Best so far: {settings(found[0].values)}**, {sweep.spec.chooses_by} accuracy {score}.{begun}{many}"
    over = chosen(sweep, trials)
    if over is None or over.gap is None or sweep.spec.chooses_by == "test":
        return said
    return f"{said} Its test accuracy: {percent(over.test)}, gap (validation − test) {100 * over.gap:+.1f} points."


def fresh(found: Fresh, measure: str = "validation accuracy") -> str:
    """Return the result of the chosen settings on fresh seeds: both accuracies, the difference, and whether it is a finding."""
    chosen = settings(found.values)
    if found.open:
        done = len(found.scores) + len(found.standard)
        return f"**Fresh seeds for {chosen}:** {done} of {done + found.open} races have finished."
    head = f"**Fresh seeds for {chosen}.** Chosen at {percent(found.selected)} {measure}; test accuracy on {_mean(found.scores)}."
    lost = f" {found.lost} of the races gave no result, so no conclusion is possible." if found.lost else ""
    if not found.standard:
        return f"{head} This is the starting point of the sweep.{lost}"
    return f"{head} The starting point on the same seeds: {_plain_mean(found.standard)}.{lost} {_verdict(found)}"


def _verdict(found: Fresh) -> str:
    said = sentence("The chosen setting", "the starting point", found.compared)
    return f"{said} **A finding.**" if found.is_finding else said


def _mean(scores: dict[int, float]) -> str:
    return f"{len(scores)} fresh seed{'s' * (len(scores) != 1)} {_plain_mean(scores)}"


def _plain_mean(scores: dict[int, float]) -> str:
    values = [100 * score for score in scores.values()]
    if not values:
        return "nothing"
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread}%"
