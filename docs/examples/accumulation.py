"""Sparse SAM over micro-batches, in bfloat16 and with clipping: ``python docs/examples/accumulation.py``."""

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import ssam

EPOCHS, MICRO_BATCHES = 5, 4


def main() -> torch.nn.Module:
    torch.manual_seed(0)
    x, y = torch.randn(512, 20), torch.randint(4, (512,))
    x[torch.arange(512), y] += 3.0  # something to be learnt
    loader = DataLoader(TensorDataset(x, y), batch_size=64)
    model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
    sam = ssam.SAM(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), rho=0.1)

    def backward(inputs, targets):
        """The gradients of the whole batch, a part at a time. Returns its loss."""
        total = torch.zeros(())
        for some, wanted in zip(inputs.chunk(MICRO_BATCHES), targets.chunk(MICRO_BATCHES), strict=True):
            with torch.autocast("cpu", torch.bfloat16):
                loss = cross_entropy(model(some), wanted) / MICRO_BATCHES
            loss.backward()
            total += loss.detach()
        return total

    for epoch in range(EPOCHS):
        sam.masks = ssam.fisher_mask(model, cross_entropy, [(x[:128], y[:128])], sparsity=0.5)
        for inputs, targets in loader:
            loss = backward(inputs, targets)  # at w
            with sam.perturbed():
                backward(inputs, targets)  # at w + ε
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            sam.step()
            sam.zero_grad()
        print(f"epoch {epoch + 1}: loss {loss:.4f}")
    return model


if __name__ == "__main__":
    main()
