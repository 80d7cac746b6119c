"""The files of the page Images: CSV of what its views show."""

from collections.abc import Sequence

import numpy as np

from app.images.courses import Course, Tested
from app.images.data import Lane, Shown
from app.images.ranking import since_epochs


def epochs_csv(found: Sequence[Course]) -> str:
    """Return every lane at every evaluation: shares of the wrong labels, accuracies."""
    from pandas import DataFrame

    lines = [
        {
            "lane": each.lane.name,
            "step": int(each.lane.found.steps[at]),
            "epoch": float(each.lane.found.epochs[at]),
            "memorised": each.train.memorised[at],
            "resisted": each.train.resisted[at],
            "other": each.train.other[at],
            "clean_accuracy": each.train.clean[at],
            "test_accuracy": each.test[at],
        }
        for each in found
        for at in range(len(each.lane.found.steps))
    ]
    return str(DataFrame(lines).to_csv(index=False))


def images_csv(shown: Shown, lanes: Sequence[Lane]) -> str:
    """Return every training image: its row in the data set, its labels, and for each lane the last prediction and the epoch from which
    on it predicts the given label (empty if not at the end)."""
    from pandas import DataFrame

    images, names = shown.images, np.array([*shown.classes, ""], dtype=object)  # −1, no prediction, is the last
    columns = {"image": images.train_rows, "given": names[images.given], "true": names[images.true]}
    for lane in lanes:
        since = since_epochs(shown, lane)
        columns[f"{lane.name} prediction"] = names[lane.found.train[-1]]
        columns[f"{lane.name} learned since"] = np.where(np.isfinite(since), since, np.nan)
    return str(DataFrame(columns).to_csv(index=False))


def test_csv(shown: Shown, found: Sequence[Tested]) -> str:
    """Return every test image at one epoch: its row in the data set, its class, and each lane's prediction with its confidence."""
    from pandas import DataFrame

    images, names = shown.images, np.array(shown.classes, dtype=object)
    columns = {"image": images.test_rows, "true": names[images.test_labels]}
    for each in found:
        columns[f"{each.lane.name} prediction"] = names[each.predictions]
        columns[f"{each.lane.name} confidence"] = each.confidence.round(3)
    return str(DataFrame(columns).to_csv(index=False))
