"""The distribution of the Fisher information over the weights, and the share of it that each mask pattern keeps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssam.analysis.context import LaneWeights
from ssam.experiment import RaceSpec
from ssam.masks import fisher_scores, group_mask, n_of_m_mask, random_mask_of, top_k_mask
from ssam.methods import METHODS
from ssam.models import StagedModel, stage_shares
from ssam.training.mask_facts import density, overlap

Masks = dict[Tensor, Tensor]
Rows = list[dict[str, Any]]


def kept_mass(scores: Mapping[Tensor, Tensor], masks: Mapping[Tensor, Tensor]) -> float:
    """Return the share of the total score that lies under the mask, 0–1."""
    total = sum(float(score.double().sum()) for score in scores.values())
    kept = sum(float(score.double()[masks[p]].sum()) for p, score in scores.items())
    return kept / total if total > 0 else 0.0


def patterns(model: StagedModel, scores: Masks, sparsity: float, seed: int) -> dict[str, Masks]:
    """Return, for each pattern, the mask that perturbs the highest scores, at this sparsity or as close as its groups allow (Mi et al.
    2023, arXiv 2306.17504): single weights, 2:4 (N of 4 consecutive weights), whole tensors, blocks (stages); and a random mask of
    single weights. Groups are ranked by their mean score."""
    total = sum(score.numel() for score in scores.values())
    count = round((1 - sparsity) * total)
    tensors = [[p] for p in scores]
    blocks = [group for stage in model.stages.values() if (group := [p for p in stage.parameters() if p in scores])]
    n = round(4 * (1 - sparsity))
    return {
        "weight": top_k_mask(scores, sparsity),
        f"{n}:4": n_of_m_mask(scores, n, 4),
        "tensor": group_mask(tensors, _means(tensors, scores), count),
        "block": group_mask(blocks, _means(blocks, scores), count),
        "random": random_mask_of(list(scores), count, torch.Generator().manual_seed(seed)),
    }


def _means(groups: Sequence[Sequence[Tensor]], scores: Masks) -> list[float]:
    return [sum(float(scores[p].sum()) for p in group) / max(1, sum(p.numel() for p in group)) for group in groups]


def chance(first: float, second: float) -> float:
    """Return the expected IoU of two independent random masks with these densities.

    >>> round(chance(0.5, 0.5), 3)
    0.333
    """
    both = first * second
    either = first + second - both
    return both / either if either else 1.0  # two empty masks overlap fully


def fisher_rows(
    race: RaceSpec,
    model: StagedModel,
    images: Sequence[tuple[Tensor, Tensor]],
    shape: tuple[int, int, int],
    moments: Sequence[LaneWeights],
) -> Iterator[tuple[str, Rows]]:
    """Yield a message and rows for each lane in turn, then for the comparison of lanes. The scores are exact: they use the gradient of
    each single image, in evaluation mode."""
    own: dict[int, dict[str, Tensor]] = {}
    shares = stage_shares(model, shape)
    for moment in moments:
        model.load_state_dict(moment.weights)
        model.eval()
        scores = fisher_scores(model, cross_entropy, images)
        lane = race.lanes[moment.lane]
        sparsity = race.lane_sparsity(lane) if METHODS[lane.method].sparse else race.sparsity
        made = patterns(model, scores, sparsity, race.seed)
        names: dict[Tensor, str] = {p: name for name, p in model.stages.named_parameters()}
        if moment.masks is not None:
            made["own mask"] = {p: moment.masks[names[p]].to(p.device) for p in scores}
            own[moment.lane] = {names[p]: mask for p, mask in made["own mask"].items()}
        yield (
            f"{race.lane_names[moment.lane]}: Fisher information",
            [*_pattern_rows(moment.lane, scores, made), *_stage_rows(moment.lane, model, scores, shares, made)],
        )
    yield "overlaps", _overlap_rows(own)


def _pattern_rows(lane: int, scores: Masks, made: dict[str, Masks]) -> Rows:
    about = {"what": "pattern", "lane": lane}
    rows: Rows = [
        about | {"pattern": name, "density": density(mask), "kept": kept_mass(scores, mask)}
        for name, mask in made.items()
    ]
    if own := made.get("own mask"):
        for other, name in (("weight", "fisher"), ("random", "random")):
            expected = chance(density(own), density(made[other]))
            iou = overlap(own, made[other])
            rows.append({"what": "overlap", "a": lane, "b": name, "iou": iou, "chance": expected})
    return rows


def _stage_rows(lane: int, model: StagedModel, scores: Masks, shares: Sequence[float], made: dict[str, Masks]) -> Rows:
    mass = sum(float(score.double().sum()) for score in scores.values())
    total = sum(score.numel() for score in scores.values())
    rows: Rows = []
    for (stage, module), compute in zip(model.stages.items(), shares, strict=True):
        inside = [p for p in module.parameters() if p in scores]
        size = sum(p.numel() for p in inside)
        own = made.get("own mask")
        rows.append(
            {
                "what": "stage",
                "lane": lane,
                "stage": stage,
                "fisher": sum(float(scores[p].double().sum()) for p in inside) / mass if mass > 0 else 0.0,
                "compute": compute,
                "weights": size / total,
                "density": sum(int(own[p].sum()) for p in inside) / size if own and size else None,
            }
        )
    return rows


def _overlap_rows(own: dict[int, dict[str, Tensor]]) -> Rows:
    rows: Rows = []
    lanes = sorted(own)
    for place, a in enumerate(lanes):
        for b in lanes[place + 1 :]:
            first, second = (torch.cat([mask.reshape(-1) for mask in own[lane].values()]) for lane in (a, b))
            union = int((first | second).sum())
            iou = int((first & second).sum()) / union if union else 1.0
            expected = chance(float(first.double().mean()), float(second.double().mean()))
            rows.append({"what": "overlap", "a": a, "b": b, "iou": iou, "chance": expected})
    return rows
