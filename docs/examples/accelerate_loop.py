"""Sparse SAM in a loop with Hugging Face Accelerate: ``accelerate launch docs/examples/accelerate_loop.py``.

In float32 or bfloat16. With fp16 a GradScaler stands between: see the docstring of ``ssam.SAM``.
"""

import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import ssam

EPOCHS = 5


def main() -> torch.nn.Module:
    accelerator = Accelerator()
    torch.manual_seed(0)
    x, y = torch.randn(512, 20), torch.randint(4, (512,))
    x[torch.arange(512), y] += 3.0  # something to be learnt
    model = torch.nn.Sequential(
        torch.nn.Linear(20, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Linear(64, 4)
    )
    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(base, EPOCHS)
    loader = DataLoader(TensorDataset(x, y), batch_size=64)
    model, optimizer, loader = accelerator.prepare(model, ssam.SAM(base, rho=0.1), loader)
    samples = x[:128].to(accelerator.device), y[:128].to(accelerator.device)

    for epoch in range(EPOCHS):
        model.train()
        plain = accelerator.unwrap_model(
            model
        )  # Fisher information is per image: not through a wrapper of several processes
        optimizer.optimizer.masks = ssam.fisher_mask(plain, cross_entropy, [samples], sparsity=0.5)
        for inputs, targets in loader:

            def closure(inputs=inputs, targets=targets):
                optimizer.zero_grad()
                loss = cross_entropy(model(inputs), targets)
                accelerator.backward(loss)  # several processes: ε is by the mean of their gradients
                closure.losses.append(loss.detach())
                return loss

            closure.losses = []  # Accelerate's step returns nothing
            optimizer.step(closure)
        schedule.step()
        accelerator.print(f"epoch {epoch + 1}: loss {closure.losses[0]:.4f}")
    return accelerator.unwrap_model(model)


if __name__ == "__main__":
    main()
