"""A cache of which masks perturb any entry and which perturb all, so that a step need not read them from the device."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from ssam.interop.sharded import is_sharded, local, version, whole

Masks = Mapping[Tensor, Tensor]


class SeenMasks:
    """The masks of an optimizer, with their counts as of the last ``look``. ``masks`` None: everything is perturbed."""

    def __init__(self, masks: Masks | None, parameters: Collection[Tensor]) -> None:
        self.masks = masks
        self._seen: list[tuple[Tensor, Tensor, int]] | None = None
        self.look(parameters)

    def look(self, parameters: Collection[Tensor]) -> None:
        """Check and count the masks again if any has changed since the last call.

        With the counts kept, a step does not wait for the device, does not copy tensors that are not perturbed, and
        does not multiply by a mask that is all True.
        """
        now = [(p, mask, version(mask)) for p, mask in (self.masks or {}).items()]
        old = self._seen
        if old is not None and len(old) == len(now):
            pairs = zip(now, old, strict=True)
            if all(p is q and m is n and v == u for (p, m, v), (q, n, u) in pairs):
                return
        check_masks(self.masks or {}, parameters)
        counts = {p: int(whole(mask.sum())) for p, mask, _ in now}
        self._perturbed_in = {p for p, count in counts.items() if count > 0}
        self._whole = {p for p, count in counts.items() if count == p.numel()}
        self._seen = now

    def perturbs(self, parameter: Tensor) -> bool:
        """Return whether any entry of the parameter is perturbed."""
        return self.masks is None or parameter in self._perturbed_in

    def mask_of(self, parameter: Tensor) -> Tensor | None:
        """Return the parameter's mask; None if all of it is perturbed, all False if it is not in the masks."""
        if self.masks is None or parameter in self._whole:
            return None
        mask = self.masks.get(parameter)
        return torch.zeros_like(parameter, dtype=torch.bool) if mask is None else mask


def check_masks(masks: Masks, parameters: Collection[Tensor]) -> None:
    """Raise ValueError if a mask does not fit its parameter, or if its parameter is not one of ``parameters``."""
    known = set(parameters)
    for parameter, mask in masks.items():
        if parameter not in known:
            raise ValueError(f"a mask of shape {tuple(mask.shape)} is for a tensor that the optimizer does not hold")
        if mask.dtype != torch.bool or mask.shape != parameter.shape or mask.device != parameter.device:
            raise ValueError(
                f"a mask must be bool, of shape {tuple(parameter.shape)}, on {parameter.device}; "
                f"this one is {mask.dtype}, {tuple(mask.shape)}, on {mask.device}"
            )
        if is_sharded(mask) != is_sharded(parameter) or local(mask).shape != local(parameter.detach()).shape:
            raise ValueError("a mask must be sharded as its parameter is; the functions that make masks do so")
