"""Models as ordered lists of named stages. ``build_model`` builds one by its name in the catalogue."""

import torch

from ssam.models.cnn import cnn8, vgg11_bn
from ssam.models.mixer import mixer
from ssam.models.mlp import mlp
from ssam.models.regions import parameters_in
from ssam.models.resnet import resnet18, resnet20, resnet50, wrn_16_4, wrn_28_10
from ssam.models.staged import StagedModel, forward_macs, stage_macs, stage_shares
from ssam.models.vit import vit_tiny

__all__ = ["StagedModel", "build_model", "forward_macs", "parameters_in", "stage_macs", "stage_shares"]

_BUILDERS = {
    "cnn8": cnn8,
    "resnet20": resnet20,
    "resnet18": resnet18,
    "wrn-16-4": wrn_16_4,
    "wrn-28-10": wrn_28_10,
    "vgg11-bn": vgg11_bn,
    "vit-tiny": vit_tiny,
    "mixer": mixer,
    "mlp": mlp,
    "resnet50": resnet50,
}


def build_model(name: str, *, channels: int, classes: int, size: int, seed: int) -> StagedModel:
    """Return a new model in training mode on the CPU, for (B, channels, size, size) float images.

    ``seed`` alone determines the weights; the global random state is not changed. Raises ValueError for an unknown
    name.
    """
    if name not in _BUILDERS:
        raise ValueError(f"{name[:60]!r} is not a model; allowed: {', '.join(_BUILDERS)}")
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPUs as well
        return _BUILDERS[name](channels, classes, size)
