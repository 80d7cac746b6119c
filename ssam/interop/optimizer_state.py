"""The state of a SAM optimizer in torch's format, which ``torch.distributed.checkpoint`` can also save and load.

The state of each parameter contains its mask; each parameter group contains the settings, as numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

SETTINGS = ("sam_rho", "sam_masked_norm", "sam_adaptive", "sam_masks")


def joined(
    saved: dict[str, Any], params: Sequence[Tensor], masks: Mapping[Tensor, Tensor] | None, settings: Sequence[Any]
) -> dict[str, Any]:
    """Add the masks and the settings to the base optimizer's state ``saved``, in place, and return it."""
    for key, p in zip(_keys(saved["param_groups"]), params, strict=True):
        if masks is not None and p in masks:
            saved["state"][key] = {**saved["state"].get(key, {}), "mask": masks[p]}
    for group in saved["param_groups"]:
        group.update(zip(SETTINGS, (*settings, masks is not None), strict=True))
    return saved


def parted(
    state_dict: Mapping[str, Any], params: Sequence[Tensor]
) -> tuple[dict[str, Any], dict[Tensor, Tensor] | None, tuple[Any, ...]]:
    """Return the base optimizer's state, the masks (None if there were none) and the settings.

    Raise ValueError if the state is not that of a SAM optimizer, has a different number of parameters, or lacks the
    masks that it had when it was saved.
    """
    groups = state_dict.get("param_groups") or [{}]
    if any(name not in groups[0] for name in SETTINGS):
        raise ValueError("not the state of a SAM optimizer: its settings are missing in the parameter groups")
    *settings, has_masks = (groups[0][name] for name in SETTINGS)
    groups = [{name: value for name, value in group.items() if name not in SETTINGS} for group in groups]
    states, keys = {key: dict(kept) for key, kept in state_dict["state"].items()}, _keys(groups)
    if len(keys) != len(params):
        raise ValueError(f"the state is of {len(keys)} parameters, the optimizer holds {len(params)}")
    masks = {p: states.get(key, {}).pop("mask", None) for key, p in zip(keys, params, strict=True)}
    masks = {p: mask.to(p.device) for p, mask in masks.items() if mask is not None}
    if has_masks and not masks:
        raise ValueError("the state had masks when it was saved and holds none; set any masks before you load it")
    kept = {key: of_parameter for key, of_parameter in states.items() if of_parameter}
    return {**state_dict, "state": kept, "param_groups": groups}, masks if has_masks else None, tuple(settings)


def _keys(groups: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the key of each parameter in a state: its index, or its name in a distributed checkpoint."""
    return [key for group in groups for key in group["params"]]
