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
