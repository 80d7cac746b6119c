import math

import torch
from torch.nn.functional import cross_entropy

TITLE = "SGD, 6 epochs, learning rate 0.2"
TASK = "noisy-labels"
EPOCHS = 6


def train(model, batches):
    """Early stopping and twice the learning rate."""
    base = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=5e-4)
    total = EPOCHS * batches.steps_per_epoch
    warmup = batches.steps_per_epoch / total if EPOCHS >= 5 else 0.2
    model.train()
    for step in range(total):
        at = (step + 0.5) / total
        rate = 0.2 * (at / warmup if at < warmup else (1 + math.cos(math.pi * (at - warmup) / (1 - warmup))) / 2)
        for group in base.param_groups:
            group["lr"] = rate
        x, y = batches.get(step)
        base.zero_grad()
        cross_entropy(model(x), y).backward()
        base.step()


# Output, by python -m ssam record run:
# {"gradients": [186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0], "test_accuracy": [0.7942, 0.8, 0.8069, 0.8128, 0.7974, 0.803, 0.8058, 0.7897, 0.8059, 0.8028]}
