import math

import torch
from torch.nn.functional import cross_entropy

TITLE = "SGD, 6 epochs, weight decay 0.02"
TASK = "noisy-labels"
EPOCHS = 6


def train(model, batches):
    """Early stopping and forty times the weight decay."""
    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.02)
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
# {"gradients": [186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0], "test_accuracy": [0.7952, 0.7812, 0.7746, 0.7906, 0.7933, 0.7822, 0.8042, 0.7771, 0.7907, 0.7951]}
