"""Slow, obvious reference twins. Each follows the paper line by line and shares no code with the package."""

import math

import torch


def sam_step(params, closure, base, rho, masks=None, norm="full", adaptive=False):
    """One (sparse, adaptive) SAM step, one tensor at a time. ``base`` is a callable that updates from ``.grad``."""
    loss = closure()
    gradients = [None if p.grad is None else p.grad.clone() for p in params]
    weights = [p.detach().clone() for p in params]
    scaled = []
    for i, g in enumerate(gradients):
        if g is None:
            continue
        scale = weights[i].abs() if adaptive else torch.ones_like(weights[i])
        mask = torch.ones_like(g) if masks is None else masks[i].to(g.dtype)
        scaled.append((i, scale, mask, g))
    squared = 0.0
    for _, scale, mask, g in scaled:
        kept = scale * g * (mask if norm == "masked" else 1.0)
        squared += float((kept.double() ** 2).sum())
    for i, scale, mask, g in scaled:
        with torch.no_grad():
            params[i] += rho * mask * scale * scale * g / (math.sqrt(squared) + 1e-12)
    closure()
    for p, w in zip(params, weights, strict=True):
        with torch.no_grad():
            p.copy_(w)
    base()
    return loss


def fisher_loop(model, loss_fn, samples):
    """Empirical Fisher: one sample, one backward pass, squared gradients added up; evaluation mode."""
    model.eval()
    scores = {p: torch.zeros_like(p) for p in model.parameters() if p.requires_grad}
    for x, y in samples:
        model.zero_grad()
        loss_fn(model(x[None]), y[None]).backward()
        for p, score in scores.items():
            score += p.grad**2
    model.zero_grad()
    return scores


def drop_and_grow_counts(perturbed, unperturbed, drop_rate):
    """How many weights stay, fall and rise: never more dropped than can be grown."""
    dropped = min(round(drop_rate * perturbed), unperturbed)
    return perturbed - dropped, dropped


def f_sam_step(params, closure, base, rho, average, sigma=1.0, decay=0.9, masks=None, norm="full"):
    """One Friendly SAM step in the paper's order: m = λ m + (1 − λ) g, then ε along g − σ m. ``average`` holds m between
    steps, a list that is empty before the first one, which follows g."""
    loss = closure()
    gradients = [p.grad.clone() for p in params]
    if not average:
        directions = gradients
        average.extend(g.clone() for g in gradients)
    else:
        for i, g in enumerate(gradients):
            average[i] = decay * average[i] + (1 - decay) * g
        directions = [g - sigma * m for g, m in zip(gradients, average, strict=True)]
    _second_pass(params, closure, rho, directions, masks, norm)
    base()
    return loss


def vasso_step(params, closure, base, rho, average, theta=0.9, masks=None, norm="full"):
    """One VaSSO step: d = (1 − θ) d + θ g, then ε along d. ``average`` holds d between steps, as in ``f_sam_step``."""
    loss = closure()
    gradients = [p.grad.clone() for p in params]
    if not average:
        average.extend(gradients)
    else:
        for i, g in enumerate(gradients):
            average[i] = (1 - theta) * average[i] + theta * g
    _second_pass(params, closure, rho, average, masks, norm)
    base()
    return loss


def gsam_step(params, closure, base, rho, _memory, alpha=0.4, masks=None, norm="full"):
    """One GSAM step: the gradient at w is split along and across the one at w + ε, as vectors of all weights."""
    loss = closure()
    gradients = [p.grad.clone() for p in params]
    _second_pass(params, closure, rho, gradients, masks, norm)
    g, perturbed = (torch.cat([t.flatten() for t in tensors]) for tensors in (gradients, [p.grad for p in params]))
    cosine = (g @ perturbed) / (g.norm() * perturbed.norm() + 1e-12)
    parallel = cosine * g.norm() * perturbed / (perturbed.norm() + 1e-12)
    _step_with(params, perturbed - alpha * (g - parallel), base)
    return loss


def looksam_step(params, closure, base, rho, memory, k=5, alpha=0.7, masks=None, norm="full"):
    """One LookSAM step. ``memory`` holds the part of the last perturbed gradient across the one at w, as a vector of all
    weights, and how many steps were taken."""
    loss = closure()
    g = torch.cat([p.grad.flatten() for p in params])
    orthogonal, step = memory or (None, 0)
    if step % k:
        memory[:] = orthogonal, step + 1
        _step_with(params, g + alpha * g.norm() / orthogonal.norm() * orthogonal, base)
        return loss
    _second_pass(params, closure, rho, [p.grad.clone() for p in params], masks, norm)
    perturbed = torch.cat([p.grad.flatten() for p in params])
    unit = g / g.norm()
    memory[:] = perturbed - (perturbed @ unit) * unit, step + 1
    _step_with(params, perturbed, base)
    return loss


def _step_with(params, vector, base):
    """Give the base optimizer the parts of a vector as gradients."""
    for p, part in zip(params, vector.split([p.numel() for p in params]), strict=True):
        p.grad = part.view(p.shape).clone()
    base()


def _second_pass(params, closure, rho, directions, masks, norm):
    """Take the gradient at w + ε, with ε = ρ m⊙d/‖d‖, and put w back."""
    weights = [p.detach().clone() for p in params]
    kept = directions if masks is None else [d * mask for d, mask in zip(directions, masks, strict=True)]
    squared = sum(float((d.double() ** 2).sum()) for d in (kept if norm == "masked" else directions))
    for p, d in zip(params, kept, strict=True):
        with torch.no_grad():
            p += rho * d / (math.sqrt(squared) + 1e-12)
    closure()
    for p, w in zip(params, weights, strict=True):
        with torch.no_grad():
            p.copy_(w)
