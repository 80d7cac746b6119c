"""Plain convolutional networks: the small default and VGG."""

from itertools import pairwise

from torch import nn

from ssam.models.staged import StagedModel, conv_norm_relu, he_init, pooled_head


def cnn8(channels: int, classes: int, size: int) -> StagedModel:
    """Build a network of seven convolutions and a linear layer. Most of the compute is early, most of the parameters
    are late.

    The network is this lab's own, so its weights simply keep PyTorch's default initialisation.
    """
    widths = (8, 16, 16, 32, 32, 64, 64)
    strides = (1, 2, 1, 2, 1, 2)
    stages: list[tuple[str, nn.Module]] = [("stem", conv_norm_relu(channels, widths[0], kernel=5, stride=2))]
    for number, ((inputs, outputs), stride) in enumerate(zip(pairwise(widths), strides, strict=True), 1):
        stages.append((f"block{number}", conv_norm_relu(inputs, outputs, stride=stride)))
    return StagedModel([*stages, ("head", pooled_head(widths[-1], classes))])


def vgg11_bn(channels: int, classes: int, size: int) -> StagedModel:
    """Build VGG-11 with BatchNorm (Simonyan & Zisserman 2015, configuration A) and one linear layer, as is usual for
    CIFAR.

    Pooling rounds sizes up, which changes nothing for 32×32 pixels and also allows 28×28.
    """
    widths = (64, 128, 256, 256, 512, 512, 512, 512)
    pooled = (True, True, False, True, False, True, False, True)
    stages: list[tuple[str, nn.Module]] = []
    for number, (inputs, outputs, pool) in enumerate(zip((channels, *widths), widths, pooled, strict=False)):
        block = conv_norm_relu(inputs, outputs, bias=True)
        if pool:
            block.add_module("pool", nn.MaxPool2d(2, ceil_mode=True))
        stages.append((f"block{number}" if number else "stem", block))
    model = StagedModel([*stages, ("head", pooled_head(widths[-1], classes))])
    he_init(model)
    return model
