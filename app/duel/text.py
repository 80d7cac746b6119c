"""What the page of duels says."""

from collections.abc import Sequence

from app.ui import texts
from ssam.experiment.duel import DuelSpec
from ssam.store.duels import Duel, Standing

TITLE = "## Does SAM help, or would tuning do?"
EMPTY = (
    "An untuned baseline makes any method look good. A duel tunes SGD as much as its rivals, with the same number of trials on the same "
    "budget, and then judges the winners on seeds that no search has seen."
)
STATES = {"running": "Running", "paused": "Paused", "stopped": "Stopped", "finished": "Finished"}
MEANING = {
    "yes": "The method is worth a try on this task: its gain is not the luck of seeds or of tuning.",
    "no": "On this task you lose nothing that matters if you tune the baseline instead.",
    "can't tell": "This is no proof of equality: these rounds are too few, or vary too much, to decide.",
}
ICONS = {"yes": ":material/check_circle:", "no": ":material/cancel:", "can't tell": ":material/help:"}
NO_PEEKING = (
    "No answer before the last round: stopping when the answer suits would find differences that are not there."
)
COST = (
    "Test accuracy: mean ± standard deviation over the rounds. Gradients and seconds: median of one training with the winning settings. "
    "To the target: median over the rounds that reach it, at evaluations once an epoch. Seconds are those of trainings side by side, so they "
    "are rough; gradient evaluations are exact. These columns describe; the answer is the interval's."
)


def share(spec: DuelSpec, standings: Sequence[Standing]) -> float:
    """The share of all trainings that have ended, 0–1."""
    return min(1.0, ended(standings) / total(spec))


def ended(standings: Sequence[Standing]) -> int:
    return sum(each.searched + len(each.test) + each.lost for each in standings)


def total(spec: DuelSpec) -> int:
    return len(spec.contenders) * spec.seeds * (spec.trials + 1)


def rounds_done(standings: Sequence[Standing]) -> int:
    """Rounds in which every method has been judged."""
    return min(len(each.test) + each.lost for each in standings)


def progress(duel: Duel, standings: Sequence[Standing], now: float) -> str:
    """How far it is, and about how long it will still take."""
    over, every = ended(standings), total(duel.spec)
    parts = [f"{rounds_done(standings)} of {duel.spec.seeds} rounds", f"{over} of {every} trainings"]
    if duel.state == "running" and 3 <= over < every:
        parts.append(f"about {texts.duration((now - duel.created) / over * (every - over))} left")
    return " · ".join(parts)
