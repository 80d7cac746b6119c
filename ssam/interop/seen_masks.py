"""What a step need not ask the device again: which masks perturb anything, and which everything."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from ssam.interop.sharded import is_sharded, local, version, whole

Masks = Mapping[Tensor, Tensor]


class SeenMasks:
    """The masks of an optimizer as they were last looked at. ``masks`` None: everything is perturbed."""

    def __init__(self, masks: Masks | None, parameters: Collection[Tensor]) -> None:
        self.masks = masks
        self._seen: list[tuple[Tensor, Tensor, int]] | None = None
        self.look(parameters)

    def look(self, parameters: Collection[Tensor]) -> None:
        """Counts again where one has changed since: so that a step neither waits for the device, nor copies tensors that stay
        where they are, nor multiplies by a mask that keeps everything."""
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
        return self.masks is None or parameter in self._perturbed_in

    def mask_of(self, parameter: Tensor) -> Tensor | None:
        """None where all of it is perturbed."""
        if self.masks is None or parameter in self._whole:
            return None
        mask = self.masks.get(parameter)
        return torch.zeros_like(parameter, dtype=torch.bool) if mask is None else mask


def check_masks(masks: Masks, parameters: Collection[Tensor]) -> None:
    """Raises ValueError where a mask does not fit its parameter, or is of none of these."""
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
