"""Which training images are shown, and in which order."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from app.images import data
from app.images.data import Lane, Shown
from ssam.stats import memorisation
from ssam.stats.memorisation import Ranking

MOST = 1600  # wrongly labelled images that are shown, at most
HARDEST = 400  # images of a race without wrong labels that are shown, at most
RANKINGS = {
    "late": "Learned last",
    "forgotten": "Forgotten most often",
    "disagreement": "Most disagreement between lanes",
}


def orders(shown: Shown, lanes: Sequence[Lane]) -> dict[str, str]:
    """Return by what the images can be sorted, with a title: a lane's time of memorising where labels are wrong, else a ranking."""
    if shown.noisy:
        return {lane.name: f"When {lane.title} memorises them" for lane in lanes}
    return {name: title for name, title in RANKINGS.items() if name != "disagreement" or len(lanes) > 1}


def chosen(shown: Shown, lanes: Sequence[Lane], order: str) -> np.ndarray:
    """Return the training images that are shown (k,), as positions: those with a picture and, if there are any, a wrong label."""
    pictured = shown.pictures.shown if shown.pictures else np.arange(len(shown.images.given))
    if not shown.noisy:
        scores = _scores(shown, lanes, order)[pictured]
        return pictured[np.argsort(-scores, kind="stable")[:HARDEST]]
    wrong = pictured[shown.images.changed[pictured]]
    if len(wrong) > MOST:
        wrong = wrong[np.linspace(0, len(wrong) - 1, MOST).astype(int)]
    lane = next(lane for lane in lanes if lane.name == order)
    since = since_epochs(shown, lane)[wrong]
    return wrong[np.argsort(since, kind="stable")]


def since_epochs(shown: Shown, lane: Lane) -> np.ndarray:
    """Return for each training image (n,) the epoch from which on a lane predicts the label it was given; infinite if not at the end."""
    index = memorisation.learned_since(lane.found.train, shown.images.given)
    return np.append(lane.found.epochs, np.inf)[index]


def _scores(shown: Shown, lanes: Sequence[Lane], order: str) -> np.ndarray:
    given = shown.images.given
    if order == "disagreement":
        return memorisation.disagreement([lane.found.train[-1] for lane in lanes])
    if order == "forgotten":
        return np.sum([memorisation.forgotten(lane.found.train, given) for lane in lanes], axis=0)
    late = [memorisation.learned_since(lane.found.train, given) / len(lane.found.train) for lane in lanes]
    return np.asarray(np.mean(late, axis=0))


def precision(shown: Shown, lanes: Sequence[Lane]) -> Ranking | None:
    """Return how many of the most suspicious labels are wrong; None for a race without wrong labels."""
    trains = [lane.found.train for lane in lanes]
    return memorisation.precision(memorisation.suspicion(trains, shown.images.given), shown.images.changed)


@lru_cache(maxsize=1)
def recorded_precision() -> Ranking | None:
    """Return the same for the recorded race with wrong labels; None if it has no predictions."""
    if data.NOISY not in data.recordings():
        return None
    shown = data.of_recording(data.NOISY)
    return precision(shown, shown.lanes) if shown else None
