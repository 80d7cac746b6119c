"""Residual networks: ResNet-18, -20, -50 and Wide ResNets. A block with its skip connection is one stage."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from ssam.models.staged import StagedModel, conv_norm_relu, he_init, pooled_head


class PaddedShortcut(nn.Module):
    """He et al.'s option A without parameters: every second pixel, with zeros for the missing channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = outputs - inputs, stride

    def forward(self, x: Tensor) -> Tensor:
        before = self.extra // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Build He et al.'s option B: a 1×1 convolution with BatchNorm."""
    return nn.Sequential(
        OrderedDict(conv=nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm=nn.BatchNorm2d(outputs))
    )


class ResidualBlock(nn.Module):
    """A residual block: relu(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def basic_body(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Build two 3×3 convolutions; the last ReLU comes after the sum."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            norm1=nn.BatchNorm2d(outputs),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(outputs),
        )
    )


def bottleneck_body(inputs: int, width: int, stride: int) -> nn.Sequential:
    """Build the convolutions 1×1, 3×3 (with the stride, as in torchvision), 1×1 to four times the width."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(inputs, width, 1, bias=False),
            norm1=nn.BatchNorm2d(width),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            norm2=nn.BatchNorm2d(width),
            relu2=nn.ReLU(),
            conv3=nn.Conv2d(width, 4 * width, 1, bias=False),
            norm3=nn.BatchNorm2d(4 * width),
        )
    )


def resnet20(channels: int, classes: int, size: int) -> StagedModel:
    """Build the CIFAR ResNet of He et al. 2016, §4.2: three groups of three blocks, option A shortcuts."""
    blocks: list[nn.Module] = []
    inputs = 16
    for group, width in enumerate((16, 32, 64)):
        for position in range(3):
            stride = 2 if group and not position else 1
            shortcut = nn.Identity() if inputs == width else PaddedShortcut(inputs, width, stride)
            blocks.append(ResidualBlock(basic_body(inputs, width, stride), shortcut))
            inputs = width
    return _assemble(conv_norm_relu(channels, 16), blocks, pooled_head(64, classes))


def resnet18(channels: int, classes: int, size: int) -> StagedModel:
    """Build ResNet-18 for small images: a 3×3 stem with stride 1 and no max-pool."""
    blocks: list[nn.Module] = []
    inputs = 64
    for group, width in enumerate((64, 128, 256, 512)):
        for position in range(2):
            stride = 2 if group and not position else 1
            shortcut = nn.Identity() if inputs == width else projection(inputs, width, stride)
            blocks.append(ResidualBlock(basic_body(inputs, width, stride), shortcut))
            inputs = width
    return _assemble(conv_norm_relu(channels, 64), blocks, pooled_head(512, classes))


def resnet50(channels: int, classes: int, size: int) -> StagedModel:
    """Build the ImageNet ResNet-50 in torchvision's layout: its parameters match torchvision's one to one, in order."""
    stem = conv_norm_relu(channels, 64, kernel=7, stride=2)
    stem.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))
    blocks: list[nn.Module] = []
    inputs = 64
    for group, (width, depth) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for position in range(depth):
            stride = 2 if group and not position else 1
            shortcut = nn.Identity() if position else projection(inputs, 4 * width, stride)
            blocks.append(ResidualBlock(bottleneck_body(inputs, width, stride), shortcut))
            inputs = 4 * width
    return _assemble(stem, blocks, pooled_head(2048, classes))


class WideBlock(nn.Module):
    """A pre-activation block (He et al. 2016b). If the width changes, the 1×1 shortcut starts after norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        skipped = self.shortcut(active) if self.shortcut else x
        return self.conv2(F.relu(self.norm2(self.conv1(active)))) + skipped


def wide_resnet(depth: int, widen: int, channels: int, classes: int) -> StagedModel:
    """Build a Wide ResNet (Zagoruyko & Komodakis 2016) without dropout; depth = 6n + 4."""
    blocks: list[nn.Module] = []
    inputs = 16
    for group, width in enumerate((16 * widen, 32 * widen, 64 * widen)):
        for position in range((depth - 4) // 6):
            blocks.append(WideBlock(inputs, width, stride=2 if group and not position else 1))
            inputs = width
    head = nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(inputs), relu=nn.ReLU()))
    for name, module in pooled_head(inputs, classes).named_children():
        head.add_module(name, module)
    return _assemble(nn.Conv2d(channels, 16, 3, padding=1, bias=False), blocks, head)


def wrn_16_4(channels: int, classes: int, size: int) -> StagedModel:
    return wide_resnet(16, 4, channels, classes)


def wrn_28_10(channels: int, classes: int, size: int) -> StagedModel:
    return wide_resnet(28, 10, channels, classes)


def _assemble(stem: nn.Module, blocks: list[nn.Module], head: nn.Module) -> StagedModel:
    named = [(f"block{number}", block) for number, block in enumerate(blocks, 1)]
    model = StagedModel([("stem", stem), *named, ("head", head)])
    he_init(model)
    return model
