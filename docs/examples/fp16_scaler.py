"""SAM with float16 autocast, a GradScaler and clipping, as on a GPU: ``python docs/examples/fp16_scaler.py``."""

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import ssam

EPOCHS = 5
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def main() -> torch.nn.Module:
    torch.manual_seed(0)
    x, y = torch.randn(512, 20), torch.randint(4, (512,))
    x[torch.arange(512), y] += 3.0  # something to be learnt
    loader = DataLoader(TensorDataset(x.to(DEVICE), y.to(DEVICE)), batch_size=64)
    model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4)).to(DEVICE)
    sam = ssam.SAM(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), rho=0.1)
    scaler = torch.amp.GradScaler(DEVICE, init_scale=1024.0)

    for epoch in range(EPOCHS):
        for inputs, targets in loader:

            def backward(inputs=inputs, targets=targets):
                with torch.autocast(DEVICE, torch.float16):
                    loss = cross_entropy(model(inputs), targets)
                scaler.scale(loss).backward()  # ε does not depend on the scale
                return loss.detach()

            loss = backward()  # at w
            with sam.perturbed():
                backward()  # at w + ε
            scaler.unscale_(sam.base)  # once, after the second pass
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(sam.base)  # leaves the step out where a gradient overflowed; the weights are w again by now
            scaler.update()
            sam.zero_grad()
        print(f"epoch {epoch + 1}: loss {loss:.4f}")
    return model


if __name__ == "__main__":
    main()
