import math

import torch
from torch.nn.functional import cross_entropy

TITLE = "AdamW, 6 epochs"
TASK = "noisy-labels"
EPOCHS = 6


def train(model, batches):
    """AdamW that stops early."""
    base = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.01)
    total = EPOCHS * batches.steps_per_epoch
    warmup = batches.steps_per_epoch / total if EPOCHS >= 5 else 0.2
    model.train()
    for step in range(total):
        at = (step + 0.5) / total
        rate = 0.003 * (at / warmup if at < warmup else (1 + math.cos(math.pi * (at - warmup) / (1 - warmup))) / 2)
        for group in base.param_groups:
            group["lr"] = rate
        x, y = batches.get(step)
        base.zero_grad()
        cross_entropy(model(x), y).backward()
        base.step()


# Output, by python -m ssam record run:
# {"gradients": [186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0, 186.0], "test_accuracy": [0.7647, 0.7821, 0.7705, 0.7872, 0.758, 0.7683, 0.741, 0.7621, 0.7626, 0.7678]}
