"""The state of a SAM optimizer in torch's format, which ``torch.distributed.checkpoint`` can also save and load.

The state of each parameter contains its mask and what a method's rules keep of it; each parameter group contains the
settings, as numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

SETTINGS = ("sam_rho", "sam_masked_norm", "sam_adaptive", "sam_masks")
KEPT = "sam_kept"  # present only if rules keep tensors


def joined(
    saved: dict[str, Any],
    params: Sequence[Tensor],
    masks: Mapping[Tensor, Tensor] | None,
    settings: Sequence[Any],
    kept: Mapping[Tensor, Tensor],
) -> dict[str, Any]:
    """Add the masks, the tensors kept by rules and the settings to the base optimizer's state ``saved``, in place, and
    return it."""
    for key, p in zip(_keys(saved["param_groups"]), params, strict=True):
        for name, tensors in (("mask", masks or {}), ("kept", kept)):
            if p in tensors:
                saved["state"][key] = {**saved["state"].get(key, {}), name: tensors[p]}
    for group in saved["param_groups"]:
        group.update(zip(SETTINGS, (*settings, masks is not None), strict=True))
        if kept:
            group[KEPT] = True
    return saved


def parted(
    state_dict: Mapping[str, Any], params: Sequence[Tensor]
) -> tuple[dict[str, Any], dict[Tensor, Tensor] | None, dict[Tensor, Tensor], tuple[Any, ...]]:
    """Return the base optimizer's state, the masks (None if there were none), the tensors kept by rules and the settings.

    Raise ValueError if the state is not that of a SAM optimizer, has a different number of parameters, or lacks the
    masks or the kept tensors that it had when it was saved.
    """
    groups = state_dict.get("param_groups") or [{}]
    if any(name not in groups[0] for name in SETTINGS):
        raise ValueError("not the state of a SAM optimizer: its settings are missing in the parameter groups")
    *settings, has_masks = (groups[0][name] for name in SETTINGS)
    keeps = any(KEPT in group for group in groups)
    groups = [{name: value for name, value in group.items() if name not in (*SETTINGS, KEPT)} for group in groups]
    states, keys = {key: dict(kept) for key, kept in state_dict["state"].items()}, _keys(groups)
    if len(keys) != len(params):
        raise ValueError(f"the state is of {len(keys)} parameters, the optimizer holds {len(params)}")
    masks, kept = (_taken(name, states, dict(zip(keys, params, strict=True))) for name in ("mask", "kept"))
    if (has_masks and not masks) or (keeps and not kept):
        what = "masks" if has_masks and not masks else "kept tensors"
        raise ValueError(f"the state had {what} when it was saved and holds none; set any {what} before you load it")
    rest = {key: of_parameter for key, of_parameter in states.items() if of_parameter}
    base = {**state_dict, "state": rest, "param_groups": groups}
    return base, masks if has_masks else None, kept, tuple(settings)


def _taken(name: str, states: dict[Any, dict[str, Any]], params: Mapping[Any, Tensor]) -> dict[Tensor, Tensor]:
    """Remove the tensors called ``name`` from the states, and return them by parameter."""
    found = {p: states.get(key, {}).pop(name, None) for key, p in params.items()}
    return {p: tensor.to(p.device) for p, tensor in found.items() if tensor is not None}


def _keys(groups: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the key of each parameter in a state: its index, or its name in a distributed checkpoint."""
    return [key for group in groups for key in group["params"]]
