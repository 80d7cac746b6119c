"""A multilayer perceptron: the smallest network in the catalogue, for races that take seconds."""

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from ssam.models.staged import StagedModel


def mlp(channels: int, classes: int, size: int) -> StagedModel:
    """Build two hidden layers of 256 units with ReLU, without normalisation, with PyTorch's default initialisation."""
    widths = (channels * size * size, 256, 256)
    first, second = (
        OrderedDict(linear=nn.Linear(inputs, outputs), relu=nn.ReLU()) for inputs, outputs in pairwise(widths)
    )
    stem = nn.Sequential(OrderedDict(flatten=nn.Flatten(), **first))
    return StagedModel([("stem", stem), ("block1", nn.Sequential(second)), ("head", nn.Linear(widths[-1], classes))])
