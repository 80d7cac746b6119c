"""Loss and accuracy on test images."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssam.engine.device import autocast


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float, int]:
    """Mean cross-entropy, accuracy (0–1) and number of images; the model in evaluation mode.

    The sums stay on the device until the end, so that it waits once.
    """
    model.eval()
    device = next(model.parameters()).device
    loss, right, images = torch.zeros((), device=device), torch.zeros((), device=device), 0
    for x, y in batches:
        with autocast(device):
            outputs = model(x)
        loss += cross_entropy(outputs.float(), y, reduction="sum")
        right += (outputs.argmax(1) == y).sum()
        images += len(y)
    return float(loss) / images, float(right) / images, images
