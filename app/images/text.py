"""Texts of the page Images: explanations, and what the charts show in words."""

from collections.abc import Sequence

from app.images.courses import Course, Tested
from app.images.data import Shown
from app.ui.texts import plain
from ssam.stats.memorisation import Ranking

EMPTY = """
There are no predictions yet. Run a race: the lab then stores each lane's prediction for every training image and for up to 2,000 test
images after each epoch, and shows them here.
"""
NO_PREDICTIONS = (
    "This race has no predictions: it ended before its first evaluation, or it was run by an earlier version of the lab, by several "
    "processes, or on more than 60,000 training images."
)
WAITS = "The first predictions come with the first evaluation, after one epoch."
PRIVATE = "This race is on somebody else's own images: only their owner sees the pictures."
NO_PICTURES = "No pictures are stored for this race."
NO_LANE = "Choose at least one lane."
SUSPICIOUS = "Images that are learned late, often forgotten, or on which lanes disagree may have a wrong label."

SEEING = {
    "memorisation": (
        "A wrong label is **memorised** if the lane predicts it, and **resisted** if the lane predicts the true label instead. Otherwise the lane "
        "predicts a third class. To memorise a wrong label, a network must fit that single image, because similar images have another label.",
        "The prediction for a training image comes from the training step that used it: the image is augmented, the network is in training "
        "mode, and the weights are those before the step's update. These predictions need no additional pass. For methods whose first pass does not use the "
        "whole batch at w, they come from the pass at w + ε. A lane with a moving average of its weights, or with early stopping, predicts the test "
        "images with those weights instead.",
        "*Memorised since epoch 4* means that the lane predicts the wrong label at epoch 4 and at every later evaluation. A **forgetting event** is "
        "a change from the given label to another prediction, between two evaluations.",
        "The **train-test gap** is the accuracy on training images with the right label minus the accuracy on test images.",
    ),
    "test": (
        "After each epoch every lane predicts the classes of the same test images, up to 2,000. Rows of a confusion matrix are true classes, "
        "columns are predictions; the diagonal is correct. Choose a cell to see its images.",
        "**Confidence** is the softmax probability of the predicted class. A lane is well calibrated if 80% of its predictions with a confidence of "
        "80% are correct: its curve then lies on the diagonal. Below the diagonal the lane is overconfident, above it underconfident.",
        "The **calibration error** (expected calibration error, ECE) is the mean distance between accuracy and confidence over ten bins of equal "
        "width, weighted by the number of images in each.",
    ),
}


def percent(share: float) -> str:
    """Return a share as a percentage.

    >>> percent(0.1234), percent(float("nan"))
    ('12.3%', '–')
    """
    return "–" if share != share else f"{100 * share:.1f}%"


def courses(shown: Shown, found: Sequence[Course]) -> str:
    """Describe the last evaluation of every lane."""
    said = []
    for each in found:
        train = each.train
        wrong = (
            f"{percent(train.memorised[-1])} of the wrong labels memorised, {percent(train.resisted[-1])} resisted; "
        )
        clean = f"accuracy on {'rightly labelled ' * shown.noisy}training images {percent(train.clean[-1])}, on test images {percent(each.test[-1])}"
        said.append(f"{each.lane.title}, epoch {each.lane.found.epochs[-1]:g}: {wrong * shown.noisy}{clean}.")
    return "\n\n".join(said)


def own_ranking(ranking: Ranking) -> str:
    """Say how well the lanes' predictions find the wrong labels of this race."""
    return (
        f"Rank the training images by how often the lanes predict a class other than the label: "
        f"of the first {ranking.count:,}, {percent(ranking.precision)} have a wrong label (by chance {percent(ranking.chance)})."
    )


def other_ranking(ranking: Ranking | None) -> str:
    """Say the same of the recorded race with wrong labels, for a race whose wrong labels are unknown."""
    if ranking is None:
        return SUSPICIOUS
    return (
        f"{SUSPICIOUS} In the recorded race *Demo*, {percent(ranking.precision)} of the {ranking.count:,} images whose label the "
        f"lanes contradict most often are wrongly labelled (by chance {percent(ranking.chance)})."
    )


def errors(found: Sequence[Tested]) -> str:
    """Say every lane's calibration error."""
    return (
        "Calibration error: "
        + ", ".join(f"{each.lane.title} {percent(each.calibration.error)}" for each in found)
        + "."
    )


def tested(shown: Shown, found: Sequence[Tested]) -> str:
    """Describe every lane's accuracy and most frequent confusions."""
    return "\n\n".join(f"{matrix(shown, each)} Calibration error {percent(each.calibration.error)}." for each in found)


def matrix(shown: Shown, found: Tested) -> str:
    """Describe a confusion matrix."""
    most = [
        f"{plain(shown.classes[true])} as {plain(shown.classes[prediction])} ({count})"
        for true, prediction, count in found.confusions()[:3]
    ]
    confused = f" Most frequent confusions: {', '.join(most)}." if most else ""
    return f"{found.lane.title}: {percent(float(found.right.mean()))} of {len(found.right):,} test images correct.{confused}"
