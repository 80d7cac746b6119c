"""Named parts of a network, to which a perturbation can be restricted."""

from itertools import accumulate

from torch import Tensor, nn

from ssam.models.staged import StagedModel

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


def parameters_in(model: StagedModel, region: str) -> list[Tensor]:
    """Return the trained parameters of a region, in the model's order.

    ``all``; ``norm``: normalisation layers; ``late``: the stages from the one at which the remaining parameters are
    closest to half of all; ``early``: the stages before it; ``from-K``: stage K and later, counted from 0. Raises
    ValueError if the model has no such stage or no such layer.
    """
    if region == "norm":
        layers = [module for module in model.modules() if isinstance(module, NORMS)]
        found: list[Tensor] = [p for layer in layers for p in layer.parameters() if p.requires_grad]
        if not found:
            raise ValueError("region 'norm' needs a model with normalisation layers")
        return found
    stages: list[list[Tensor]] = [[p for p in stage.parameters() if p.requires_grad] for stage in model.stages.values()]
    sizes = [sum(p.numel() for p in stage) for stage in stages]
    if region.startswith("from-"):
        start = int(region.removeprefix("from-"))
        if start >= len(stages):
            raise ValueError(f"region {region!r}: this model's stages are 0 to {len(stages) - 1}")
        chosen = stages[start:]
    elif region == "all":
        chosen = stages
    else:
        before = [0, *accumulate(sizes)]
        half = min(range(1, len(stages)), key=lambda k: abs(2 * before[k] - before[-1]))
        chosen = stages[half:] if region == "late" else stages[:half]
    return [p for stage in chosen for p in stage]
