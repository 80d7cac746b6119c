"""What each process does in the tests of several: ``torchrun tests/shards.py FOLDER``. Keeps what came out as FOLDER/NAME-RANK.pt."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import ssam

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
Y = torch.randint(3, (8,), generator=torch.Generator().manual_seed(2))
MASKS = ("none", "random", "fisher")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def masks_of(kind, model):
    if kind == "random":
        return ssam.random_mask(model.parameters(), 0.5, torch.Generator().manual_seed(3))
    share = [(X, Y)]
    if isinstance(model, DistributedDataParallel):
        share = [(X[dist.get_rank() :: 2], Y[dist.get_rank() :: 2])]
    return ssam.fisher_mask(model, cross_entropy, share, 0.5) if kind == "fisher" else None


def trained(model, x, y, kind):
    """Three steps; the optimizer too."""
    sam = ssam.SAM(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), rho=0.5, mask=masks_of(kind, model))

    def closure():
        sam.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(3):
        sam.step(closure)
    return sam


def whole(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


if __name__ == "__main__":
    dist.init_process_group("gloo")
    rank, folder = dist.get_rank(), Path(sys.argv[1])
    mine = X[rank::2], Y[rank::2]
    found = {}
    for kind in MASKS:
        model = DistributedDataParallel(network())
        trained(model, *mine, kind)
        found["ddp", kind] = [p.detach() for p in model.parameters()]
        model = fully_shard(network(), mesh=init_device_mesh("cpu", (2,)))
        sam = trained(model, *mine, kind)
        found["fsdp", kind] = [whole(p).detach() for p in model.parameters()]
    state = get_optimizer_state_dict(model, sam)  # of the last, with a Fisher mask
    other = fully_shard(network(), mesh=init_device_mesh("cpu", (2,)))
    again = ssam.SAM(torch.optim.SGD(other.parameters(), lr=0.3, momentum=0.9))
    set_optimizer_state_dict(other, again, state)
    found["loaded"] = all(
        torch.equal(whole(again.masks[q]), whole(sam.masks[p]))
        and torch.equal(whole(again.state[q]["momentum_buffer"]), whole(sam.state[p]["momentum_buffer"]))
        for p, q in zip(model.parameters(), other.parameters(), strict=True)
    ) and (again.rho, again.param_groups[0]["lr"]) == (0.5, 0.1)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()
