"""Loss and accuracy on images that are not used for training."""

import itertools
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssam.engine.distributed import ALONE, Ranks
from ssam.training.precision import autocast


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    ranks: Ranks = ALONE,
    take: Callable[[Tensor, Tensor], object] | None = None,
) -> tuple[float, float, int]:
    """Return mean cross-entropy, accuracy (0–1) and number of images, with the model in evaluation mode. Several
    processes share the images; ``take`` is given the outputs (B, classes) and labels (B,) of each batch in this process.

    The sums stay on the device until the end, so it is synchronised only once.
    """
    model.eval()
    device = next(model.parameters()).device
    loss, right, images = torch.zeros((), device=device), torch.zeros((), device=device), 0
    for x, y in itertools.starmap(ranks.share, batches):
        if not len(y):  # the last few images are all in other processes
            continue
        with autocast(device):
            outputs = model(x)
        if take is not None:
            take(outputs, y)
        loss += cross_entropy(outputs.float(), y, reduction="sum")
        right += (outputs.argmax(1) == y).sum()
        images += len(y)
    totals = ranks.total(torch.stack((loss, right, torch.full_like(loss, images)))).tolist()
    return totals[0] / totals[2], totals[1] / totals[2], int(totals[2])
