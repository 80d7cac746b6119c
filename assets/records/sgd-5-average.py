import math

import torch
from torch.nn.functional import cross_entropy

TITLE = "SGD, 5 epochs, average of the weights"
TASK = "noisy-labels"
EPOCHS = 5


def train(model, batches):
    """Early stopping and an exponential moving average of the weights."""
    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    total = EPOCHS * batches.steps_per_epoch
    warmup = batches.steps_per_epoch / total if EPOCHS >= 5 else 0.2
    average = [p.detach().clone() for p in model.parameters()]
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
        with torch.no_grad():
            for mean, p in zip(average, model.parameters(), strict=True):
                mean.lerp_(p, 0.02)
    with torch.no_grad():
        for mean, p in zip(average, model.parameters(), strict=True):
            p.copy_(mean)


# Output, by python -m ssam record run:
# {"gradients": [155.0, 155.0, 155.0, 155.0, 155.0, 155.0, 155.0, 155.0, 155.0, 155.0], "test_accuracy": [0.7858, 0.7929, 0.7951, 0.7882, 0.8008, 0.7855, 0.7947, 0.7649, 0.7949, 0.7903]}
