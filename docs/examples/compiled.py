"""SAM with a compiled model; BatchNorm still counts once a step: ``python docs/examples/compiled.py``."""

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import ssam

EPOCHS = 5


def main(backend: str = "inductor") -> torch.nn.Module:
    torch.manual_seed(0)
    x, y = torch.randn(512, 20), torch.randint(4, (512,))
    x[torch.arange(512), y] += 3.0  # something to be learnt
    loader = DataLoader(TensorDataset(x, y), batch_size=64)
    model = torch.nn.Sequential(
        torch.nn.Linear(20, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Linear(64, 4)
    )
    fast = torch.compile(model, backend=backend)
    sam = ssam.SAM(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), rho=0.1)

    for epoch in range(EPOCHS):
        for inputs, targets in loader:

            def closure(inputs=inputs, targets=targets):
                sam.zero_grad()
                loss = cross_entropy(fast(inputs), targets)
                loss.backward()
                return loss

            loss = sam.step(closure)
        print(f"epoch {epoch + 1}: loss {loss:.4f}")
    return model


if __name__ == "__main__":
    main()
