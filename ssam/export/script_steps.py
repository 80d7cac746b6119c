"""The part of a lane's script that is the method: its masks and its training loop, as lines of Python."""

import json
from collections.abc import Callable
from typing import Any

from ssam.experiment import LaneSpec, RaceSpec
from ssam.methods import METHODS
from ssam.methods.directions import DIRECTIONS
from ssam.planning.cost import is_sub_batch

FISHER_DRAW, MASK_DRAW = 1, 2  # the engine's random streams: ssam/engine/mask_source.py, compared by a test


class Steps:
    """Writes the lines, and collects the (module, name) pairs that they need in ``imports``."""

    def __init__(self, spec: RaceSpec, lane: LaneSpec, autocast: bool) -> None:
        self.spec, self.lane, self.method, self.autocast = spec, lane, METHODS[lane.method], autocast
        self.sparsity = spec.lane_sparsity(lane)
        self.base = spec.lane_base(lane)  # the name of the variable too
        self.evaluated = "average.module" if lane.ema else "model"
        self.imports = {("ssam.training.schedule", "step_rate")}

    def before(self) -> list[str]:
        """Return the region of the masks, and the mask used from the first step on."""
        lane = self.lane
        if self._is_published() or (lane.region == "all" and not self.method.sparse):
            return []
        whole = "list(model.parameters())"
        if lane.region != "all":
            whole = f"{self._need('ssam.models', 'parameters_in')}(model, {literal(lane.region)})"
        lines = [f"region = {whole}  # the weights that may be perturbed"]
        if not self.method.sparse:
            return [*lines, "sam.masks = {p: torch.ones_like(p, dtype=torch.bool) for p in region}"]
        self._need("ssam.masks", "perturbed_count")
        lines += [
            "size = sum(p.numel() for p in region)",
            f"count = min(perturbed_count(sum(p.numel() for p in model.parameters()), {self.sparsity!r}), size)",
        ]
        if self.method.first_mask is not None:
            first = self._need_rule(self.method.first_mask)
            lines.append(f"sam.masks = {first}(region, count, {self._generator('0')})")
        return lines

    def _is_published(self) -> bool:
        """Return whether the mask is that of SSAM-F as published, which the package has as one function."""
        lane = self.lane
        return lane.mask_score == "fisher" and (lane.region, lane.granularity) == ("all", "weight")

    def _generator(self, step: str) -> str:
        self._need("ssam.training.schedule", "derived_seed")
        return f"torch.Generator().manual_seed(derived_seed(SEED, {MASK_DRAW}, {step}))"

    def loop(self) -> list[str]:
        smoothing = f", label_smoothing={self.lane.label_smoothing!r}" if self.lane.label_smoothing else ""
        value = f"cross_entropy(model(x), y{smoothing})"
        objective = (
            [f'    with torch.autocast("cuda", torch.bfloat16):\n        return {value}']
            if self.autocast
            else [f"    return {value}"]
        )
        return [
            "",
            "def objective(x, y):",
            *objective,
            "",
            "",
            "losses = []",
            *(["best = None"] if self.lane.patience else []),
            "for step in range(STEPS):",
            *_indented(self._step()),
            *(["    average.update_parameters(model)"] if self.lane.ema else []),
            "    losses.append(loss.item())",
            "    if (step + 1) % batches.steps_per_epoch == 0 or step + 1 == STEPS:",
            "        print((step + 1) / batches.steps_per_epoch, fmean(losses), flush=True)  # epoch, training loss",
            "        losses.clear()",
            *self._early_stop(),
        ]

    def _early_stop(self) -> list[str]:
        if not self.lane.patience:
            return []
        return [
            f"        accuracy = evaluate({self.evaluated}, batches.validation())[1]",
            "        if best is None or accuracy > best[0]:",
            f"            best = accuracy, step, copy.deepcopy({self.evaluated}.state_dict())",
            f"        elif step - best[1] >= {self.lane.patience} * batches.steps_per_epoch:",
            "            break",
            f"{self.evaluated}.load_state_dict(best[2])",
        ]

    def _step(self) -> list[str]:
        reuses = DIRECTIONS[self.lane.direction].keeps_gradients
        lines = [
            "x, y = batches.get(step)",
            f'{self.base}.param_groups[0]["lr"] = step_rate({self.spec.lane_lr(self.lane)!r}, step, STEPS, batches.steps_per_epoch)',
            "model.train()",
            *([] if reuses else [f"{self.base}.zero_grad()"]),
            *self._new_mask(),
        ]
        plain = [
            *([f"{self.base}.zero_grad()"] if reuses else []),
            "loss = objective(x, y)",
            "loss.backward()",
            f"{self.base}.step()",
        ]
        if not self.method.perturbs:
            return [*lines, *plain]
        conditions = [f"step % {self.lane.interval} == 0"] if self.lane.interval > 1 else []
        conditions += ["step > 0"] if self.lane.is_free else []
        if not conditions:
            return [*lines, *self._perturbed()]
        return [*lines, f"if {' and '.join(conditions)}:", *_indented(self._perturbed()), "else:", *_indented(plain)]

    def _perturbed(self) -> list[str]:
        """Return the lines of a step that perturbs."""
        lane = self.lane
        at_perturbed = ["loss = objective(x, y)  # at w + ε", "loss.backward()"]
        down = "sam.descent_step()  # back to w, then the update with the gradient at w + ε"
        direction = DIRECTIONS[lane.direction]
        if direction.rule is not None:
            ascent = f"sam.ascent_step({self._need_rule(direction.rule)}(sam))  # w + ε {direction.words}"
            return [ascent, *at_perturbed, down]
        if is_sub_batch(self.spec, lane):
            part = f"[:{lane.ascent_batch}]"
            first = ["with ssam.frozen_batchnorm():", f"    objective(x{part}, y{part}).backward()"]
            return [*first, *self._grown_mask(), "sam.ascent_step()  # w + ε", *at_perturbed, down]
        return [
            "loss = objective(x, y)",
            "loss.backward()",
            *self._grown_mask(),
            "sam.ascent_step()  # w + ε",
            "with ssam.frozen_batchnorm():",
            "    objective(x, y).backward()",
            down,
        ]

    def _mask_is_due(self) -> str:
        interval = self.spec.mask_interval
        return (
            f"step % {'batches.steps_per_epoch' if interval == 1 else f'({interval} * batches.steps_per_epoch)'} == 0"
        )

    def _grown_mask(self) -> list[str]:
        """Return the lines for the next mask of a method that makes it from the gradients at w."""
        if self.method.next_mask is None:
            return []
        return [
            f"if step > 0 and {self._mask_is_due()}:",
            "    gradients = {p: p.grad for p in region}",
            f"    generator = {self._generator('step')}",
            f"    sam.masks = {self._need_rule(self.method.next_mask)}(sam.masks, gradients, step / STEPS, generator)",
        ]

    def _new_mask(self) -> list[str]:
        """Return the lines for the next mask of a lane that ranks, at the current weights."""
        if self.lane.mask_score is None:
            return []
        return [
            f"if {self._mask_is_due()}:  # a new mask",
            *_indented([*self._scores(), *self._ranked()]),
        ]

    def _scores(self) -> list[str]:
        kind = self.lane.mask_score
        if kind == "magnitude":
            return ["scores = {p: p.detach().abs() for p in region}"]
        if kind == "random":
            lines = [f"generator = {self._generator('step')}"]
            if self.lane.granularity in ("tensor", "block"):
                return lines
            return [
                *lines,
                "draws = torch.rand(size, generator=generator).split([p.numel() for p in region])",
                "scores = {p: draw.view(p.shape).to(DEVICE) for p, draw in zip(region, draws)}",
            ]
        self._need("ssam.training.schedule", "derived_seed")
        lines = [f"samples = batches.samples({self.spec.fisher_samples}, derived_seed(SEED, {FISHER_DRAW}, step))"]
        batch = f", batch={self.spec.fisher_batch}" if kind == "fisher" and self.spec.fisher_batch > 1 else ""
        if self._is_published():
            return [*lines, f"sam.masks = ssam.fisher_mask(model, cross_entropy, samples, {self.sparsity!r}{batch})"]
        score = self._need("ssam.masks", f"{kind}_scores")
        return [*lines, f"scores = {score}(model, cross_entropy, samples{batch})"]

    def _ranked(self) -> list[str]:
        granularity = self.lane.granularity
        if self._is_published():
            return []
        if granularity == "weight":
            return [f"sam.masks = {self._need('ssam.masks', 'largest_mask')}({{p: scores[p] for p in region}}, count)"]
        if granularity.startswith("n-of-"):
            m = granularity.removeprefix("n-of-")
            mask = self._need("ssam.masks", "n_of_m_mask")
            return [f"sam.masks = {mask}({{p: scores[p] for p in region}}, round({m} * count / size), {m})"]
        groups = {
            "tensor": ["groups = [[p] for p in region]"],
            "block": [
                "stages = [[p for p in stage.parameters() if p in set(region)] for stage in model.stages.values()]",
                "groups = [stage for stage in stages if stage]",
            ],
        }[granularity]
        means = (
            ["means = torch.rand(len(groups), generator=generator).tolist()"]
            if self.lane.mask_score == "random"
            else ["means = [sum(float(scores[p].sum()) for p in g) / sum(p.numel() for p in g) for g in groups]"]
        )
        return [*groups, *means, f"sam.masks = {self._need('ssam.masks', 'group_mask')}(groups, means, count)"]

    def _need_rule(self, rule: Callable[..., Any]) -> str:
        """Import a function of a method's own file."""
        return self._need(rule.__module__, rule.__name__)

    def _need(self, module: str, name: str) -> str:
        self.imports.add((module, name))
        return name


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def literal(value: Any) -> str:
    """Return a value as a Python literal, text in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
