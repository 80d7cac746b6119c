import math

import torch
from torch.nn.functional import cross_entropy

import ssam

TITLE = "SAM, 8 epochs"
TASK = "noisy-labels"
EPOCHS = 8


def train(model, batches):
    """SAM with rho 0.1."""
    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    optimizer = ssam.SAM(base, rho=0.1)
    total = EPOCHS * batches.steps_per_epoch
    warmup = batches.steps_per_epoch / total if EPOCHS >= 5 else 0.2
    model.train()
    for step in range(total):
        at = (step + 0.5) / total
        rate = 0.1 * (at / warmup if at < warmup else (1 + math.cos(math.pi * (at - warmup) / (1 - warmup))) / 2)
        for group in base.param_groups:
            group["lr"] = rate
        x, y = batches.get(step)

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)


# Output, by python -m ssam record run:
# {"gradients": [496.0, 496.0, 496.0, 496.0, 496.0, 496.0, 496.0, 496.0, 496.0, 496.0], "test_accuracy": [0.7983, 0.7956, 0.8031, 0.8137, 0.8117, 0.7919, 0.8156, 0.8001, 0.7976, 0.8069]}
