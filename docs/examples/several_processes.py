"""Sparse SAM by several processes: ``torchrun --nproc-per-node 2 docs/examples/several_processes.py ddp`` or ``fsdp``."""

import sys

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import ssam

EPOCHS = 5


def main(wrapper: str = "ddp") -> torch.nn.Module:
    torch.manual_seed(0)
    x, y = torch.randn(512, 20), torch.randint(4, (512,))
    x[torch.arange(512), y] += 3.0  # something to be learnt
    data = TensorDataset(x, y)
    loader = DataLoader(data, batch_size=32, sampler=DistributedSampler(data))
    plain = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
    model = DistributedDataParallel(plain) if wrapper == "ddp" else fully_shard(plain)
    sam = ssam.SAM(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), rho=0.1)

    for epoch in range(EPOCHS):
        loader.sampler.set_epoch(epoch)
        # The same samples in each process: FSDP2 averages gradients; under DDP each could give its own.
        sam.masks = ssam.fisher_mask(model, cross_entropy, [(x[:64], y[:64])], sparsity=0.5)
        for inputs, targets in loader:

            def closure(inputs=inputs, targets=targets):
                sam.zero_grad()
                loss = cross_entropy(model(inputs), targets)
                loss.backward()  # ε is by the mean gradient of all processes
                return loss

            loss = sam.step(closure)
        if dist.get_rank() == 0:
            print(f"epoch {epoch + 1}: loss {loss:.4f}")
    return model


if __name__ == "__main__":
    dist.init_process_group("gloo")
    main(*sys.argv[1:])
    dist.destroy_process_group()
