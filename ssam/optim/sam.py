"""SAM and Sparse SAM on top of any base optimizer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

import torch
from torch import Tensor
from torch.optim import Optimizer

from ssam.interop.guards import first_pass, forget_cached_weights, needs_closure, replay
from ssam.interop.models import Models
from ssam.interop.optimizer_state import joined, parted
from ssam.interop.scaling import SecondGradients
from ssam.interop.seen_masks import Masks, SeenMasks, check_masks
from ssam.interop.sharded import local, total_norm
from ssam.optim.batchnorm import frozen_batchnorm
from ssam.optim.perturbation import Norm, perturbation
from ssam.optim.rules import Ascent, Descent, Plain, Rules

HALF = (torch.float16, torch.bfloat16)


class SAM(Optimizer):
    r"""Sharpness-aware minimization, dense or sparse.

    .. math::
        \epsilon = \rho\, m \odot g / (\lVert g \rVert_2 + 10^{-12}), \quad g = \nabla L(w), \qquad
        w \leftarrow \mathrm{base}(w, \nabla L(w + \epsilon))

    Without ``mask`` this is SAM (Foret et al. 2021, arXiv 2010.01412); with one it is Sparse SAM (Mi et al. 2022,
    arXiv 2210.05177). Only the perturbation is sparse: the second gradient and the update stay dense.

    Args:
        base: the base optimizer, which already holds the parameters. Any optimizer whose ``step`` needs no closure.
            Learning-rate schedulers attach to it.
        rho: L2 radius of the perturbation over all parameters together, ≥ 0. A parameter group of the base optimizer
            may set its own with the key ``"rho"`` (unless the base itself has such a setting, like Adadelta).
        mask: ``{parameter: bool tensor of its shape}``, True = perturbed; None perturbs everything. A parameter that is
            not in the mapping is not perturbed. Also available as the attribute ``masks``, which may be set at any time
            between steps; its tensors and entries may be changed too.
        norm: ``"full"`` divides by the norm of the whole gradient (the paper); ``"masked"`` divides by that of the
            masked gradient, so that the effective radius is rho at any sparsity.
        adaptive: element-wise adaptive SAM (Kwon et al. 2021, arXiv 2102.11600) with η = 0; a group may set its own.
            Deviation: the authors' code scales only weights, not biases, with η = 0.01; to do the same, give biases a
            group with ``adaptive=False``.
        repeat_random: ``step`` draws the same torch random numbers, above all dropout's, in both passes. Costs a copy
            of the generators' states, a few microseconds each.
        ascent: what ε follows, as a rule of another method (``ssam.optim.rules``); None is the gradient at w. Rules need
            gradients that are not scaled; the tensors that they keep between steps are in ``rules.kept``.
        descent: what the base optimizer steps with, as such a rule; None is the gradient at w + ε.
        plain: what the base optimizer steps with if no ascent came before, as such a rule; None is the gradient at w.

    Attributes after a step: ``gradient_norm`` ‖g‖₂ and ``radius`` ‖ε‖₂, as 0-dim tensors. In half precision w + ε is
    rounded: ``radius`` is then the distance that the weights moved, and ``rounded_away`` the share of the entries of ε
    that moved no weight (None for float32). Parameters in float32 under autocast lose nothing.

    Deviations from the published code: weights are restored by copy (adding and subtracting changes 7% of them by a
    rounding error); BatchNorm statistics are updated once per step; a mask is complete from the first step on.

    With clipping, a ``GradScaler`` or several backward passes per step, write out the two passes. ε does not depend on
    the loss scale; scale both losses, and unscale the base optimizer's gradients once, after the block::

        scaler.scale(loss(batch)).backward()
        with sam.perturbed():
            scaler.scale(loss(batch)).backward()
        scaler.unscale_(sam.base)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(sam.base)
        scaler.update()
        sam.zero_grad()

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
        repeat_random: bool = True,
        ascent: Ascent | None = None,
        descent: Descent | None = None,
        plain: Plain | None = None,
    ) -> None:
        if not isinstance(base, Optimizer) or isinstance(base, SAM):
            raise TypeError(f"base must be a torch optimizer that holds the parameters, not {type(base).__name__}")
        if needs_closure(base):
            raise TypeError(f"base must step without a closure; {type(base).__name__} evaluates the loss itself")
        super().__init__(base.param_groups, base.defaults)
        self.base = base
        self.rho = rho
        self.norm: Norm = norm
        self.adaptive = adaptive
        self.repeat_random = repeat_random
        self.gradient_norm: Tensor | None = None
        self.radius: Tensor | None = None
        self.rounded_away: Tensor | None = None
        self._saved: list[tuple[Tensor, Tensor]] = []  # the perturbed parameters, with their weights at w
        self._second = SecondGradients()
        self.rules = Rules(ascent, descent, plain)
        self._models = Models()
        self._share_state(base)
        base.register_load_state_dict_post_hook(self._share_state)
        base.register_step_pre_hook(lambda *_: self._before_update())
        base.register_step_post_hook(lambda *_: self.rules.after_update())
        for group in self.param_groups:
            self._check_group(group)
        self.masks = mask

    def __reduce__(self) -> tuple[Any, ...]:  # torch's own __getstate__ would lose the base optimizer
        self._must_be_at_w("copy the optimizer")
        settings = (self.base, self.rho, self.masks, self.norm, self.adaptive, self.repeat_random)
        return type(self), settings, {"rules": self.rules}

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "rho":
            _check_rho(value)
        if name == "norm" and value not in get_args(Norm):
            raise ValueError(f"norm must be 'full' or 'masked', not {value!r}")
        super().__setattr__(name, value)

    @property
    def masks(self) -> Masks | None:
        """Return the mask of each parameter, True = perturbed; None for dense SAM."""
        return self._seen.masks

    @masks.setter
    def masks(self, masks: Masks | None) -> None:
        self._must_be_at_w("change the masks")
        self._seen = SeenMasks(masks, self._parameters())

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one whole step and return the loss at w. The closure zeroes the gradients, runs forward and backward,
        and returns the loss; it is called twice.

        Without a closure, after a ``perturbed()`` block: take the base optimizer's step with the gradients from that
        block.
        """
        self._must_be_at_w("take a step")
        if closure is None:
            return self._step_with_second_gradients()
        self._second.forget()
        random_again = replay(self._parameters()) if self.repeat_random else None
        with torch.enable_grad():
            loss = first_pass(closure, self._parameters())
        if isinstance(loss, Tensor):
            loss = loss.detach().clone()  # a CUDA graph would write the second loss over it
        try:
            with self.perturbed():
                if random_again is not None:
                    random_again()
                with torch.enable_grad():
                    closure()
        finally:
            self.restore()  # again: a signal may have interrupted the block's own restore
        self.base.step()
        return loss

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """Move the weights to w + ε inside this block, from the gradients at w, which are cleared; BatchNorm statistics
        are not updated. After the block the weights are back at w, even after an exception. Then clip, and call
        ``step()``.

        Any number of backward passes may come before the block and in it. Dropout draws new random numbers.
        """
        try:
            self.ascent_step()
            with frozen_batchnorm(*self._models.of(self._parameters())):
                yield
        finally:
            self.restore()

    @torch.no_grad()
    def ascent_step(self, along: Masks | None = None) -> None:
        """Move w → w + ε, from the gradients at w, which are cleared. This is the first half of ``perturbed()``, for
        callers that restore w themselves: run the second pass inside ``frozen_batchnorm()``.

        ``along`` replaces the gradients by another direction, ``{parameter: tensor of its shape}``; ``gradient_norm``
        is then its norm. With ``norm="masked"``, the gradients of tensors that are not perturbed at all may be missing:
        the step is the same, bit for bit.
        """
        self._must_be_at_w("take an ascent step")
        self._second.check_gone(self._parameters(), self, self.base)
        self._seen.look(self._parameters())
        followed = self.rules.direction(self._parameters()) if along is None else along
        found = [
            (p, direction, group)
            for group in self.param_groups
            for p in group["params"]
            if (direction := followed.get(p)) is not None
        ]
        if not found:
            raise RuntimeError("no parameter has a gradient; run a backward pass before ascent_step()")
        counted = found if self.norm == "full" else [entry for entry in found if self._seen.perturbs(entry[0])]
        params = [p for p, _, _ in counted]
        adaptive = [group.get("adaptive", self.adaptive) for _, _, group in counted]
        epsilon, self.radius, norm = perturbation(
            params,
            [direction for _, direction, _ in counted],
            [self._check_group(group) for _, _, group in counted],
            [self._seen.mask_of(p) for p in params],
            self.norm,
            adaptive if any(adaptive) else None,
        )
        if self.norm == "full" and not any(adaptive) and self.rules.ascent is None:
            self.gradient_norm = norm
        else:
            self.gradient_norm = total_norm([p.grad if along is None else direction for p, direction, _ in found])
        moved = [(p, e) for p, e in zip(params, epsilon, strict=True) if self._seen.perturbs(p)]
        parts = [local(p) for p, _ in moved]
        saved = [(part, part.clone()) for part in parts]
        try:
            self._saved = saved
            if moved:
                torch._foreach_add_(parts, [e for _, e in moved])
            self._measure_rounding([p for p, _ in moved], [e for _, e in moved])
            forget_cached_weights()
            self.zero_grad()
        except BaseException:
            self.restore()
            raise

    @torch.no_grad()
    def restore(self) -> None:
        """Move w + ε → w, bit for bit. Does nothing if nothing is perturbed."""
        if self._saved:
            torch._foreach_copy_([p for p, _ in self._saved], [w for _, w in self._saved])
            self._saved = []
            self._second.note(self._parameters())
        forget_cached_weights()

    def descent_step(self) -> None:
        """Restore w, then let the base optimizer step with the gradients taken at w + ε."""
        self.restore()
        self.base.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Zero the gradients, as in torch."""
        super().zero_grad(set_to_none)
        self._second.forget()
        if not self._saved:
            self.rules.forget()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base optimizer, as in torch. If there are masks, its parameters are not
        perturbed until they have one."""
        if "base" not in self.__dict__:  # torch calls this while it constructs an optimizer
            return super().add_param_group(param_group)
        self._must_be_at_w("add parameters")
        self._check_group(param_group)
        self.base.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on: the base optimizer's state and groups, masks and settings.

        Has torch's format, as described in ``ssam.interop.optimizer_state``. It holds tensors and primitives only, so
        that ``torch.load(weights_only=True)`` can read it.
        """
        self._must_be_at_w("save the state")
        settings = (self.rho, self.norm == "masked", self.adaptive)
        return joined(self.base.state_dict(), self._parameters(), self.masks, settings, self.rules.kept)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load what ``state_dict`` returned, for the same parameters in the same order. Raise ValueError, and change
        nothing, if anything does not fit.

        ``torch.distributed.checkpoint`` reads only what the optimizer already has: if the state holds masks, set some
        first.
        """
        self._must_be_at_w("load a state")
        base, masks, kept, (rho, masked, adaptive) = parted(state_dict, self._parameters())
        if kept and not self.rules:
            raise ValueError("the state is of a method with rules that keep tensors between steps; this one has none")
        _check_rho(rho)
        check_masks(masks or {}, self._parameters())
        self.base.load_state_dict(base)  # checks before it changes
        self.rho, self.norm, self.adaptive = rho, "masked" if masked else "full", adaptive
        self.masks, self.rules.kept = masks, kept
        self._second.forget()

    def perturbed_parameters(self) -> list[Tensor]:
        """Return the parameters that require a gradient and have at least one perturbed entry."""
        self._seen.look(self._parameters())
        return [p for p in self._parameters() if p.requires_grad and self._seen.perturbs(p)]

    def _share_state(self, base: Optimizer) -> None:
        """Share the base optimizer's groups and state, also after it has loaded new ones."""
        self.param_groups, self.state = base.param_groups, base.state

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _check_group(self, group: dict[str, Any]) -> float:
        """Return the group's rho. Raise ValueError if it is invalid."""
        return _check_rho(self.rho if "rho" in self.base.defaults else group.get("rho", self.rho))

    def _measure_rounding(self, params: list[Tensor], epsilon: list[Tensor]) -> None:
        """Measure how rounding changed ε in half precision."""
        self.rounded_away = None
        if not any(p.dtype in HALF for p in params):
            return
        moved = [now.float() - w.float() for now, w in self._saved]
        self.radius = total_norm(moved, params)
        wanted = [(e != 0).float() for e in epsilon]
        lost = [((e != 0) & (m == 0)).float() for e, m in zip(epsilon, moved, strict=True)]
        self.rounded_away = total_norm(lost, params).square() / total_norm(wanted, params).square().clamp(min=1)

    def _step_with_second_gradients(self) -> Any:
        gradients = [local(p.grad.detach()) for p in self._parameters() if p.grad is not None]
        if not self._second and not (gradients and all(not bool(g.any()) for g in gradients)):
            raise TypeError(
                "SAM.step needs a closure that zeroes the gradients, runs forward and backward and returns the loss; without "
                "one, run the second backward pass inside perturbed() first"
            )
        return self.base.step()  # torch.distributed.checkpoint steps with zero gradients to create a state to fill

    def _before_update(self) -> None:
        self._second.use(self, self.base, bool(self.rules))
        self.rules.before_update(self._parameters())

    def _must_be_at_w(self, action: str) -> None:
        if getattr(self, "_saved", None):
            raise RuntimeError(f"cannot {action}: the weights are perturbed; call descent_step() or restore() first")


def _check_rho(rho: float) -> float:
    if not 0.0 <= rho < float("inf"):
        raise ValueError(f"rho must be a finite number ≥ 0, not {rho}")
    return rho
