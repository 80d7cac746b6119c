"""A network as an ordered list of named stages, and the parts that several networks share."""

import copy
from collections import OrderedDict
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


class StagedModel(nn.Module):
    """A network that runs its stages one after the other: stage i+1 sees only the output of stage i.

    Every parameter belongs to one stage, skip connections stay inside a stage, and no stage changes its input in place.
    The output of the first k stages can therefore be cached and reused as long as their weights do not change.
    """

    def __init__(self, stages: Iterable[tuple[str, nn.Module]]) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(OrderedDict(stages))

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, classes)
        for stage in self.stages.values():
            x = stage(x)
        return x


def conv_norm_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = False) -> nn.Sequential:
    """Build a convolution (same size up to the stride), BatchNorm and ReLU; none is in place."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias),
            norm=nn.BatchNorm2d(outputs),
            relu=nn.ReLU(),
        )
    )


def pooled_head(channels: int, classes: int) -> nn.Sequential:
    """Build global average pooling and one linear layer: (B, C, H, W) -> (B, classes)."""
    return nn.Sequential(
        OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), linear=nn.Linear(channels, classes))
    )


def he_init(model: nn.Module) -> None:
    """Initialise convolutions as in He et al. 2015 (normal, fan out); the rest keeps PyTorch's defaults, as in
    torchvision's ResNet."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def forward_macs(model: StagedModel, shape: tuple[int, int, int]) -> int:
    """Return the multiply-accumulates of one forward pass for one image of ``shape`` (C, H, W): convolutions and matrix
    products."""
    return sum(stage_macs(model, shape))


def stage_shares(model: StagedModel, shape: tuple[int, int, int]) -> list[float]:
    """Return each stage's share of ``forward_macs``, 0–1."""
    macs = stage_macs(model, shape)
    return [count / sum(macs) for count in macs]


def stage_macs(model: StagedModel, shape: tuple[int, int, int]) -> list[int]:
    """Return ``forward_macs`` per stage."""
    counts, x = [], torch.empty(1, *shape, device="meta")
    twin = copy.deepcopy(model).to("meta").eval()
    for stage in twin.stages.values():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            x = stage(x)
        counts.append(counter.get_total_flops() // 2)
    return counts
