"""SAM and Sparse SAM around any base optimizer."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import torch
from torch import Tensor
from torch.optim import Optimizer

from ssam.optim.batchnorm import frozen_batchnorm
from ssam.optim.perturbation import Norm, perturbation, total_norm

Masks = Mapping[Tensor, Tensor]


class SAM(Optimizer):
    r"""Sharpness-aware minimization, dense or sparse.

    .. math::
        \epsilon = \rho\, m \odot g / (\lVert g \rVert_2 + 10^{-12}), \quad g = \nabla L(w), \qquad
        w \leftarrow \mathrm{base}(w, \nabla L(w + \epsilon))

    Without ``mask`` this is SAM (Foret et al. 2021, arXiv 2010.01412); with one it is Sparse SAM (Mi et al. 2022,
    arXiv 2210.05177). Only the perturbation is sparse: the second gradient and the update stay dense.

    Args:
        base: the base optimizer, already holding the parameters. Any whose ``step`` needs no closure. Learning-rate
            schedulers attach to it.
        rho: L2 radius of the perturbation over all parameters together, ≥ 0. A parameter group of the base optimizer
            may set its own with the key ``"rho"`` (unless the base has such a setting itself, like Adadelta).
        mask: ``{parameter: bool tensor of its shape}``, True = perturbed; None perturbs everything. A parameter that is
            not in the mapping is not perturbed. Also the attribute ``masks``, which may be set at any time between steps.
        norm: ``"full"`` divides by the norm of the whole gradient (the paper); ``"masked"`` by that of the masked
            gradient, so that the effective radius is rho at any sparsity.
        adaptive: element-wise adaptive SAM (Kwon et al. 2021, arXiv 2102.11600) with η = 0; a group may set its own.
            Deviation: the authors' code scales weights only, not biases, with η = 0.01; give biases a group with
            ``adaptive=False`` for that.

    Attributes after a step: ``gradient_norm`` ‖g‖₂ and ``radius`` ‖ε‖₂, as 0-dim tensors.

    Deviations from the published code: weights are restored by copy (adding and subtracting changes 7 % of them by a
    rounding error); BatchNorm statistics count once a step; a mask is complete from the first step on.

    With a ``GradScaler``: ε does not depend on the loss scale, so call ``ascent_step()`` on scaled gradients, and after
    the second backward pass ``restore()`` and ``scaler.step(sam.base)``.

    Example:
        >>> import torch, ssam
        >>> model = torch.nn.Linear(4, 2)
        >>> x, y = torch.randn(8, 4), torch.randint(2, (8,))
        >>> optimizer = ssam.SAM(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), rho=0.1)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = torch.nn.functional.cross_entropy(model(x), y)
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)  # the loss at w; the closure ran twice
    """

    def __init__(
        self,
        base: Optimizer,
        rho: float = 0.05,
        mask: Masks | None = None,
        norm: Norm = "full",
        adaptive: bool = False,
    ) -> None:
        if not isinstance(base, Optimizer):
            raise TypeError(f"base must be a torch optimizer that holds the parameters, not {type(base).__name__}")
        _check_settings(rho, norm)
        super().__init__(base.param_groups, base.defaults)
        self.base = base
        self.rho = rho
        self.norm: Norm = norm
        self.adaptive = adaptive
        self.gradient_norm: Tensor | None = None
        self.radius: Tensor | None = None
        self._saved: list[tuple[Tensor, Tensor]] = []
        self._share_state(base)
        base.register_load_state_dict_post_hook(self._share_state)
        for group in self.param_groups:
            _check_settings(self._group_rho(group), norm)
        self.masks = mask

    def __reduce__(self) -> tuple[Any, ...]:  # torch's own __getstate__ would lose the base optimizer
        self._must_be_at_w("copy the optimizer")
        return type(self), (self.base, self.rho, self.masks, self.norm, self.adaptive)

    @property
    def masks(self) -> Masks | None:
        """The mask of each parameter, True = perturbed, or None for dense SAM."""
        return self._masks

    @masks.setter
    def masks(self, masks: Masks | None) -> None:
        self._must_be_at_w("change the masks")
        if masks is not None:
            self._check_masks(masks)
        self._masks = masks
        # Known once a mask, so that a step neither waits for the device, nor copies tensors that stay where they are, nor
        # multiplies by a mask that keeps everything.
        self._untouched = set() if masks is None else {p for p in self._parameters() if not _any(masks.get(p))}
        self._whole = set() if masks is None else {p for p, mask in masks.items() if bool(mask.all())}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One whole step. The closure zeroes the gradients, runs forward and backward, and returns the loss; it is
        called twice. Returns the loss at w."""
        if closure is None:
            raise TypeError(
                "SAM.step needs a closure that zeroes the gradients, runs forward and backward and returns the loss; "
                "without one, call ascent_step() after the first backward pass and descent_step() after the second"
            )
        with torch.enable_grad():
            loss = closure()
        self.ascent_step()
        try:
            with torch.enable_grad(), frozen_batchnorm():
                closure()
        except BaseException:
            self.restore()
            raise
        self.descent_step()
        return loss

    @torch.no_grad()
    def ascent_step(self, along: Masks | None = None) -> None:
        """w → w + ε, from the gradients at w, which are cleared. Run the second pass inside ``frozen_batchnorm()``.

        ``along`` gives another direction than the gradients, ``{parameter: tensor of its shape}``; ``gradient_norm`` is
        then its norm. With ``norm="masked"`` the gradients of tensors that are not perturbed at all may be missing: the
        step is the same, bit for bit.
        """
        self._must_be_at_w("take an ascent step")
        found = [
            (p, direction, group)
            for group in self.param_groups
            for p in group["params"]
            if (direction := p.grad if along is None else along.get(p)) is not None
        ]
        if not found:
            raise RuntimeError("no parameter has a gradient; run a backward pass before ascent_step()")
        counted = found if self.norm == "full" else [entry for entry in found if entry[0] not in self._untouched]
        params = [p for p, _, _ in counted]
        adaptive = [group.get("adaptive", self.adaptive) for _, _, group in counted]
        epsilon, self.radius, norm = perturbation(
            params,
            [direction for _, direction, _ in counted],
            [self._group_rho(group) for _, _, group in counted],
            [self._mask_of(p) for p in params],
            self.norm,
            adaptive if any(adaptive) else None,
        )
        known = self.norm == "full" and not any(adaptive)
        self.gradient_norm = norm if known else total_norm([direction for _, direction, _ in found])
        moved = [(p, e) for p, e in zip(params, epsilon, strict=True) if p not in self._untouched]
        self._saved = [(p, p.clone()) for p, _ in moved]
        if moved:
            torch._foreach_add_([p for p, _ in moved], [e for _, e in moved])
        self.zero_grad()

    @torch.no_grad()
    def restore(self) -> None:
        """w + ε → w, bit for bit. Does nothing where nothing is perturbed."""
        if self._saved:
            torch._foreach_copy_([p for p, _ in self._saved], [w for _, w in self._saved])
            self._saved = []

    def descent_step(self) -> None:
        """Restores w, then lets the base optimizer step with the gradients taken at w + ε."""
        self.restore()
        self.base.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on: the base optimizer's state and groups, masks and settings.

        Tensors and primitives only, so that ``torch.load(weights_only=True)`` reads it back.
        """
        self._must_be_at_w("save the state")
        masks = None if self._masks is None else [self._masks.get(p) for p in self._parameters()]
        settings = {"rho": self.rho, "norm": self.norm, "adaptive": self.adaptive}
        return {"base": self.base.state_dict(), "masks": masks, **settings}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what ``state_dict`` returned, for the same parameters in the same order; all of it or, where
        something does not fit, nothing (ValueError)."""
        missing = {"base", "masks", "rho", "norm", "adaptive"} - set(state_dict)
        if missing:
            raise ValueError(f"not the state of a SAM optimizer: {', '.join(sorted(missing))} missing")
        params, masks = self._parameters(), state_dict["masks"]
        if masks is not None and len(masks) != len(params):
            raise ValueError(f"the state has masks for {len(masks)} parameters, the optimizer holds {len(params)}")
        self._must_be_at_w("load a state")
        _check_settings(state_dict["rho"], state_dict["norm"])
        if masks is not None:
            masks = {p: m.to(p.device) for p, m in zip(params, masks, strict=True) if m is not None}
            self._check_masks(masks)
        self.base.load_state_dict(state_dict["base"])  # checks its groups before it changes anything
        self.rho, self.norm, self.adaptive = state_dict["rho"], state_dict["norm"], state_dict["adaptive"]
        self.masks = masks

    def perturbed_parameters(self) -> list[Tensor]:
        """The parameters of which at least one entry is perturbed, and that require a gradient."""
        return [p for p in self._parameters() if p.requires_grad and p not in self._untouched]

    def _share_state(self, base: Optimizer) -> None:
        """Groups and state are the base optimizer's own, also after it has loaded new ones."""
        self.param_groups, self.state = base.param_groups, base.state

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _group_rho(self, group: dict[str, Any]) -> float:
        return self.rho if "rho" in self.base.defaults else group.get("rho", self.rho)

    def _mask_of(self, parameter: Tensor) -> Tensor | None:
        """None where all of it is perturbed."""
        if self._masks is None or parameter in self._whole:
            return None
        mask = self._masks.get(parameter)
        return torch.zeros_like(parameter, dtype=torch.bool) if mask is None else mask

    def _must_be_at_w(self, action: str) -> None:
        if getattr(self, "_saved", None):
            raise RuntimeError(f"cannot {action}: the weights are perturbed; call descent_step() or restore() first")

    def _check_masks(self, masks: Masks) -> None:
        known = set(self._parameters())
        for parameter, mask in masks.items():
            if parameter not in known:
                raise ValueError(
                    f"a mask of shape {tuple(mask.shape)} is for a tensor that the optimizer does not hold"
                )
            if mask.dtype != torch.bool or mask.shape != parameter.shape or mask.device != parameter.device:
                raise ValueError(
                    f"a mask must be bool, of shape {tuple(parameter.shape)}, on {parameter.device}; "
                    f"this one is {mask.dtype}, {tuple(mask.shape)}, on {mask.device}"
                )


def _check_settings(rho: float, norm: str) -> None:
    if not 0.0 <= rho < float("inf"):
        raise ValueError(f"rho must be a finite number ≥ 0, not {rho}")
    if norm not in get_args(Norm):
        raise ValueError(f"norm must be 'full' or 'masked', not {norm!r}")


def _any(mask: Tensor | None) -> bool:
    return mask is not None and bool(mask.any())
