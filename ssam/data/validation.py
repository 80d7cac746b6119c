"""The validation split: the training images that a race holds out, so that settings can be chosen without using the test set."""

from collections.abc import Sequence

import numpy as np

from ssam.data import sampling
from ssam.data.sampling import Rows
from ssam.imagefolder.archive import shown


def held_out(labels: Rows, classes: Sequence[str], share: float, seed: int) -> Rows:
    """Draw exactly round(share · n) of the n ``labels``, at random within each class. Return their positions, sorted.

    The split is stratified: each class contributes its share to within one image, and at least one image if it has any. Raise
    ValueError, one line, if a class would have no image left to train on, or there are more classes than images to hold out.
    """
    counts = np.bincount(labels, minlength=len(classes))
    if counts[counts > 0].min() < 2:
        alone = shown(classes[int(np.flatnonzero(counts == 1)[0])])
        raise ValueError(f"validation {share:g} needs 2 training images or more of each class; {alone} has 1")
    held = _counts(counts, share)
    mixed = sampling.generator(sampling.VALIDATION, seed).permutation(len(labels))
    by_class = mixed[np.argsort(labels[mixed], kind="stable")]
    rank = np.concatenate([np.arange(count) for count in counts])  # position of each image within its class
    return np.sort(by_class[rank < np.repeat(held, counts)])


def _counts(counts: Rows, share: float) -> Rows:
    """Return the number held out of each class: its share rounded down, but at least one; the rest of the total goes to the largest
    remainders."""
    total, wanted = round(share * int(counts.sum())), share * counts
    held: Rows = np.maximum(np.floor(wanted), counts > 0).astype(np.int64)
    rest = total - int(held.sum())
    if rest < 0:
        present = int((counts > 0).sum())
        raise ValueError(
            f"validation {share:g} of {counts.sum()} training images is {total}, too few for {present} classes; "
            "hold out a larger share, or 0 for none"
        )
    held[np.argsort(held - wanted, kind="stable")[:rest]] += 1
    return held
