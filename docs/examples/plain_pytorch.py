"""Sparse SAM in a plain PyTorch loop: ``python docs/examples/plain_pytorch.py``."""

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import ssam

EPOCHS = 5


def main() -> torch.nn.Module:
    torch.manual_seed(0)
    x, y = torch.randn(512, 20), torch.randint(4, (512,))
    x[torch.arange(512), y] += 3.0  # something to be learnt
    loader = DataLoader(TensorDataset(x, y), batch_size=64)
    model = torch.nn.Sequential(
        torch.nn.Linear(20, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Linear(64, 4)
    )

    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer = ssam.SAM(base, rho=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(base, EPOCHS)  # schedulers attach to the base optimizer

    for epoch in range(EPOCHS):
        model.train()
        # SSAM-F: perturb the half of the weights with the largest Fisher information. Without this line it is SAM.
        optimizer.masks = ssam.fisher_mask(model, cross_entropy, [(x[:128], y[:128])], sparsity=0.5)
        for inputs, targets in loader:

            def closure(inputs=inputs, targets=targets):  # called twice: at w, and at w + ε
                optimizer.zero_grad()
                loss = cross_entropy(model(inputs), targets)
                loss.backward()
                return loss

            loss = optimizer.step(closure)  # the loss at w
        schedule.step()
        print(f"epoch {epoch + 1}: loss {loss:.4f}")
    return model


if __name__ == "__main__":
    main()
