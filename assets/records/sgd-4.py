import math

import torch
from torch.nn.functional import cross_entropy

TITLE = "SGD, 4 epochs"
TASK = "noisy-labels"
EPOCHS = 4


def train(model, batches):
    """SGD that stops earlier still."""
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
# {"gradients": [124.0, 124.0, 124.0, 124.0, 124.0, 124.0, 124.0, 124.0, 124.0, 124.0], "test_accuracy": [0.7934, 0.7741, 0.7898, 0.8012, 0.8022, 0.7904, 0.7914, 0.7707, 0.8002, 0.7857]}
