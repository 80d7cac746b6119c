import math

import torch
from torch.nn.functional import cross_entropy

import ssam

TITLE = "SSAM-F, 6 epochs"
TASK = "noisy-labels"
EPOCHS = 6


def train(model, batches):
    """Sparse SAM with a Fisher mask of half of the weights, refreshed each epoch."""
    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    optimizer = ssam.SAM(base, rho=0.25)
    total = EPOCHS * batches.steps_per_epoch
    warmup = batches.steps_per_epoch / total if EPOCHS >= 5 else 0.2
    model.train()
    for step in range(total):
        at = (step + 0.5) / total
        rate = 0.1 * (at / warmup if at < warmup else (1 + math.cos(math.pi * (at - warmup) / (1 - warmup))) / 2)
        for group in base.param_groups:
            group["lr"] = rate
        if step % batches.steps_per_epoch == 0:
            optimizer.masks = ssam.fisher_mask(model, cross_entropy, batches.samples(128, step), sparsity=0.5)
        x, y = batches.get(step)

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)


# Output, by python -m ssam record run:
# {"gradients": [378.0, 378.0, 378.0, 378.0, 378.0, 378.0, 378.0, 378.0, 378.0, 378.0], "test_accuracy": [0.7577, 0.7525, 0.7566, 0.7769, 0.7644, 0.7583, 0.7786, 0.7548, 0.7576, 0.7748]}
