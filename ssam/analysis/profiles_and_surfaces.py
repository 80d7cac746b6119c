"""The analyses that give pictures: profiles along lines, surfaces on planes."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from ssam.analysis import landscape
from ssam.analysis.context import AnalysisContext, LaneWeights, Result
from ssam.analysis.objective import Objective
from ssam.training.schedule import derived_seed


def profile(context: AnalysisContext) -> Result:
    analysis, layout = context.analysis, landscape.Layout.of(context.model)
    steps = context.arrays["steps"] = np.linspace(-analysis.span, analysis.span, analysis.points)
    for moment in context.last:
        for name in ("loss", "accuracy"):
            context.arrays[f"{name}/{moment.lane}"] = np.full((analysis.directions, analysis.points), np.nan)
        context.rows.append(context.when(moment) | {"loss": context.objective(moment).loss()})
    done, whole = 0, analysis.directions * len(context.last)
    for draw in range(analysis.directions):
        for moment in context.last:
            objective = context.objective(moment)
            origin = layout.point(objective.tensors)
            direction = landscape.filter_normalised(layout, objective.tensors, derived_seed(analysis.seed, draw))
            for place, (loss, accuracy) in enumerate(
                landscape.line(objective, layout, origin, direction, steps.tolist())
            ):
                context.arrays[f"loss/{moment.lane}"][draw, place] = loss
                context.arrays[f"accuracy/{moment.lane}"][draw, place] = accuracy
                context.pulse()
            done += 1
            yield done / whole, f"{context.title(moment)}: direction {draw + 1}"


def own_surfaces(context: AnalysisContext) -> Result:
    """Evaluate one surface per lane. The two random directions are the same draw for every lane, normalised by the lane's own filters."""
    analysis, layout = context.analysis, landscape.Layout.of(context.model)
    ticks = context.arrays["xs"] = context.arrays["ys"] = np.linspace(-analysis.span, analysis.span, analysis.points)
    walks = []
    for moment in context.last:
        objective = context.objective(moment)
        context.rows.append(context.when(moment) | {"x": 0.0, "y": 0.0, "loss": objective.loss()})
        origin = layout.point(objective.tensors)
        axes = (
            landscape.filter_normalised(layout, objective.tensors, derived_seed(analysis.seed, axis)) for axis in (0, 1)
        )
        walk = landscape.surface(objective, layout, landscape.Plane(origin, *axes), ticks.tolist(), ticks.tolist())
        walks.append((_blank(context, f"/{moment.lane}"), walk))
    yield from _fill(context, walks)


def common_surface(context: AnalysisContext) -> Result:
    """Evaluate one surface through the latest weights of all lanes, and project every snapshot onto its plane."""
    analysis, layout = context.analysis, landscape.Layout.of(context.model)
    objective = context.objective(context.last[0])
    shared = landscape.common_plane(layout, [_moved(moment, objective) for moment in context.last], analysis.seed)
    for moment, place, share in zip(context.last, shared.coordinates, shared.in_plane, strict=True):
        objective.go_to(_moved(moment, objective))
        where = {"x": float(place[0]), "y": float(place[1]), "in_plane": float(share)}
        context.rows.append(context.when(moment) | where | {"loss": objective.loss()})
        path = [other for other in context.moments if other.lane == moment.lane]
        points = [layout.point(_moved(other, objective)) for other in path]
        coordinates, _ = landscape.project(layout, shared.plane, points)
        epochs = np.array([other.step / context.steps_per_epoch for other in path])
        context.arrays[f"path/{moment.lane}"] = np.column_stack([coordinates, epochs])
    for name, ends in (("xs", shared.coordinates[:, 0]), ("ys", shared.coordinates[:, 1])):
        reach = (
            analysis.span * max(float(np.ptp(shared.coordinates[:, 0])), float(np.ptp(shared.coordinates[:, 1]))) / 2
        )
        context.arrays[name] = np.linspace(ends.min() - reach, ends.max() + reach, analysis.points)
    context.about["plane"] = {
        "kind": shared.kind,
        "unit": "Distances are Euclidean, between all weights of the network; BatchNorm's statistics are mixed like the weights.",
        "in_plane": float(shared.in_plane.min()),
    }
    xs, ys = context.arrays["xs"].tolist(), context.arrays["ys"].tolist()
    yield from _fill(context, [(_blank(context, ""), landscape.surface(objective, layout, shared.plane, xs, ys))])


def _moved(moment: LaneWeights, objective: Objective) -> dict[str, Tensor]:
    """Return the moment's floating-point tensors with the objective's device and dtype."""
    return {
        name: tensor.to(objective.tensors[name])
        for name, tensor in moment.weights.items()
        if tensor.is_floating_point()
    }


Pictures = tuple[np.ndarray, np.ndarray]  # loss and accuracy


def _blank(context: AnalysisContext, suffix: str) -> Pictures:
    size = (context.analysis.points, context.analysis.points)
    context.arrays |= {f"{name}{suffix}": np.full(size, np.nan) for name in ("loss", "accuracy")}
    return context.arrays[f"loss{suffix}"], context.arrays[f"accuracy{suffix}"]


def _fill(
    context: AnalysisContext, walks: Sequence[tuple[Pictures, Iterator[tuple[int, int, float, float]]]]
) -> Result:
    """Fill all pictures together, so that they refine at the same pace."""
    whole = context.analysis.points**2
    for number, points in enumerate(zip(*(walk for _, walk in walks), strict=True), 1):
        for ((loss, accuracy), _), (row, column, its_loss, its_accuracy) in zip(walks, points, strict=True):
            loss[row, column], accuracy[row, column] = its_loss, its_accuracy
            context.pulse()
        yield number / whole, f"{number:,} of {whole:,} points"
