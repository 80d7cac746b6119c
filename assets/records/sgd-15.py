import math

import torch
from torch.nn.functional import cross_entropy

TITLE = "SGD, 15 epochs"
TASK = "noisy-labels"
EPOCHS = 15


def train(model, batches):
    """SGD as it comes: the preset Noisy labels."""
    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    total = EPOCHS * batches.steps_per_epoch
    warmup = batches.steps_per_epoch / total if EPOCHS >= 5 else 0.2
    model.train()
    for step in range(total):
        at = (step + 0.5) / total
        rate = 0.1 * (at / warmup if at < warmup else (1 + math.cos(math.pi * (at - warmup) / (1 - warmup))) / 2)
        for group in base.param_groups:
            group["lr"] = rate
        x, y = batches.get(step)
        base.zero_grad()
        cross_entropy(model(x), y).backward()
        base.step()


# Output, by python -m ssam record run:
# {"gradients": [465.0, 465.0, 465.0, 465.0, 465.0, 465.0, 465.0, 465.0, 465.0, 465.0], "test_accuracy": [0.6979, 0.7022, 0.6863, 0.69, 0.6681, 0.6781, 0.6708, 0.6975, 0.6941, 0.7152]}
