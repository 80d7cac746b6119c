"""One analysis from beginning to end: the images of a race, the weights of its lanes, and what is found, as it is found.

``rows`` and ``arrays`` of each kind (lanes by their place in the race; NaN where a picture is not there yet):

- sharpness: rows with ``estimator``, ``value``, ``error``, ``rho``.
- curvature: rows with ``eigenvalues``, ``ratio`` (λ₁/λ₅), ``trace``, ``trace_error``.
- spectrum: arrays ``grid`` (G,) and ``density/LANE`` (G,); rows with ``largest``, ``smallest``.
- profile: arrays ``steps`` (P,), ``loss/LANE`` and ``accuracy/LANE`` (D, P).
- surface: arrays ``xs``, ``ys`` (P,) and ``loss/LANE``, ``accuracy/LANE`` (P, P), a row for each of ``ys``; on the plane of all lanes
  ``loss``, ``accuracy`` and ``path/LANE`` (T, 3): x, y and epoch of each kept moment. Rows with ``x``, ``y`` and ``in_plane``.
- fisher: rows of ``what``: "pattern" (``kept``: share of the Fisher mass), "overlap" (``iou``, ``chance``), "stage" (shares).
"""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssam.analysis import hessian, landscape, sharpness
from ssam.analysis.fisher import fisher_rows
from ssam.analysis.objective import Objective
from ssam.data import load_dataset
from ssam.models import StagedModel, build_model
from ssam.spec import RaceSpec
from ssam.spec.analysis import AnalysisSpec, Found

ADAPTIVE = 10  # ρ of the adaptive estimator over SAM's: Kwon et al. 2021 use 0.5 where SAM has 0.05
EIGENVALUES = 5
GRID = 400  # points of a spectrum

Result = Generator[tuple[float, str], None, None]  # the share done and what has been done


@dataclass(frozen=True)
class LaneWeights:
    """One lane at one moment: its ``state_dict``, and the mask it was trained with then, {layer: bool tensor} with the layers' names
    of ``Started`` (None: everything, or nothing, is perturbed)."""

    lane: int
    step: int
    weights: dict[str, Tensor]
    masks: dict[str, Tensor] | None = None


def of_checkpoint(lane: int, state: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> LaneWeights:
    """A lane as a race's checkpoint has it; ``layers`` are the name and shape of each trained tensor, as ``Started`` tells them."""
    packed, masks = state["optimizer"].get("masks"), None
    if packed is not None:
        masks = {}
        for layer, bits in zip(layers, packed, strict=True):
            shape = tuple(layer["shape"])
            flat = (
                np.zeros(math.prod(shape), bool)
                if bits is None
                else np.unpackbits(bits.numpy(), count=math.prod(shape))
            )
            masks[layer["name"]] = torch.from_numpy(flat.astype(bool).reshape(shape))
    return LaneWeights(lane, state["step_count"], state["model"], masks)


@dataclass
class Desk:
    """What an analysis works with and what it has found so far."""

    race: RaceSpec
    analysis: AnalysisSpec
    moments: Sequence[LaneWeights]  # by step, then lane
    model: StagedModel
    images: list[tuple[Tensor, Tensor]]
    steps_per_epoch: int
    shape: tuple[int, int, int]
    pulse: Callable[[], None]
    about: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def last(self) -> list[LaneWeights]:
        """The newest moment of each lane, by lane."""
        return list({moment.lane: moment for moment in sorted(self.moments, key=lambda m: (m.lane, m.step))}.values())

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.analysis.dtype == "float64" else torch.float32

    def objective(self, moment: LaneWeights) -> Objective:
        self.model.load_state_dict(moment.weights)
        return Objective(self.model, self.images, self.analysis.batchnorm, self.dtype)

    def when(self, moment: LaneWeights) -> dict[str, Any]:
        return {"lane": moment.lane, "step": moment.step, "epoch": moment.step / self.steps_per_epoch}


def analyse(
    race: RaceSpec,
    analysis: AnalysisSpec,
    moments: Sequence[LaneWeights],
    *,
    home: Path,
    device: torch.device,
    device_name: str = "",
    image_root: Path | None = None,
    pulse: Callable[[], None] = lambda: None,
) -> Iterator[Found]:
    """Measures what ``analysis`` asks for on the moments of a race and tells what is known after every piece of work.

    The images are training images of the race, without augmentation, with the labels that it trains on. ``pulse`` is called before
    each chunk of images; what it raises ends the analysis. Raises ValueError, one line, where the data cannot be had, or the weights do not fit the model.
    """
    begin = time.monotonic()

    def progress(message: str, fraction: float | None = None) -> None:
        pulse()

    dataset = load_dataset(race, home, image_root=image_root, progress=progress)
    # On a CPU the products with the Hessian are a quarter quicker in the plain format, and the rest no slower.
    batches = dataset.batches(race, device, channels_last=device.type == "cuda")
    shape = {"channels": dataset.channels, "classes": len(dataset.classes), "size": dataset.size}
    model = build_model(race.model, **shape, seed=race.seed).to(device)
    model.register_forward_pre_hook(lambda *_: pulse())  # copied with the model into every objective
    desk = Desk(
        race,
        analysis,
        sorted(moments, key=lambda moment: (moment.step, moment.lane)),
        model,
        list(batches.samples(analysis.images, analysis.seed)),
        batches.steps_per_epoch,
        batches.shape,
        pulse,
        {},
    )
    _check_fit(desk)
    desk.about = _about(desk, len(dataset.classes), device, device_name)
    kinds: dict[str, Callable[[Desk], Result]] = {
        "sharpness": _sharpness,
        "curvature": _curvature,
        "spectrum": _spectrum,
        "profile": _profile,
        "surface": _own_surfaces if analysis.plane == "random" else _common_surface,
        "fisher": _fisher,
    }
    for done, message in kinds[analysis.kind](desk):
        pulse()
        desk.about["seconds"] = time.monotonic() - begin
        yield Found(done, message, desk.about, desk.rows, desk.arrays)


def _check_fit(desk: Desk) -> None:
    wanted = {name: tensor.shape for name, tensor in desk.model.state_dict().items()}
    for moment in desk.moments:
        if {name: tensor.shape for name, tensor in moment.weights.items()} != wanted:
            raise ValueError(f"the weights kept of lane {desk.race.lane_names[moment.lane]!r} do not fit this model")
    if not desk.moments:
        raise ValueError("there are no weights to look at")


def _about(desk: Desk, classes: int, device: torch.device, device_name: str) -> dict[str, Any]:
    analysis = desk.analysis
    caveats = ["Measured on training images with the labels the race trains on, wrong ones included."]
    if analysis.batchnorm == "evaluation":
        caveats.append(
            "BatchNorm uses the statistics stored with the weights; they do not follow when weights are moved."
        )
    else:
        caveats.append("BatchNorm normalises by the statistics of each chunk of images.")
    names = desk.race.lane_names
    return {
        "device": str(device),
        "device_name": device_name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "images": sum(len(y) for _, y in desk.images),
        "classes": classes,
        "parameters": sum(p.numel() for p in desk.model.parameters()),
        "batchnorm": analysis.batchnorm,
        "dtype": analysis.dtype,
        "seed": analysis.seed,
        "lanes": [
            {"name": names[moment.lane], "method": desk.race.lanes[moment.lane].method, **desk.when(moment)}
            for moment in desk.last
        ],
        "caveats": caveats,
    }


def _title(desk: Desk, moment: LaneWeights) -> str:
    return f"{desk.race.lane_names[moment.lane]}, epoch {moment.step / desk.steps_per_epoch:g}"


Estimate = tuple[float, Callable[[Objective, float], float | tuple[float, float]]]  # its rho, and itself


def _sharpness(desk: Desk) -> Result:
    rho = desk.analysis.rho
    for number, moment in enumerate(desk.moments):
        objective, title = desk.objective(moment), _title(desk, moment)
        loss, accuracy = objective.loss_and_accuracy()
        estimates: dict[str, Estimate] = {
            "ascent_gap": (rho, sharpness.ascent_gap),
            "random_directions": (rho, partial(sharpness.random_directions, seed=desk.analysis.seed)),
            "adaptive": (ADAPTIVE * rho, sharpness.adaptive_sharpness),
            "m_sharpness": (rho, sharpness.m_sharpness),
            "worst_case": (rho, sharpness.worst_case),
        }
        if moment.masks is not None:
            norm = desk.race.lane_norm(desk.race.lanes[moment.lane])
            own = partial(sharpness.ascent_gap, masks=_in_order(desk, moment), norm=norm)
            estimates["masked_ascent_gap"] = (rho, own)
        for place, (name, (radius, estimator)) in enumerate(estimates.items(), 1):
            found = estimator(objective, radius)
            value, error = found if isinstance(found, tuple) else (found, None)
            row = {"estimator": name, "value": value, "error": error, "rho": radius, "loss": loss, "accuracy": accuracy}
            desk.rows.append(desk.when(moment) | row)
            yield (number + place / len(estimates)) / len(desk.moments), f"{title}: {name.replace('_', ' ')}"


def _in_order(desk: Desk, moment: LaneWeights) -> list[Tensor | None]:
    """The moment's mask for each parameter of the model; what it does not name is not perturbed."""
    masks = moment.masks or {}
    return [
        masks[name].to(p.device) if name in masks else torch.zeros_like(p, dtype=torch.bool)
        for name, p in desk.model.stages.named_parameters()
        if p.requires_grad
    ]


def _curvature(desk: Desk) -> Result:
    for number, moment in enumerate(desk.moments):
        objective, title = desk.objective(moment), _title(desk, moment)
        matrix = hessian.Hessian(objective, desk.pulse)
        values = hessian.top_eigenvalues(matrix, EIGENVALUES, desk.analysis.seed)
        yield (number + 0.7) / len(desk.moments), f"{title}: largest eigenvalues"
        trace, error = hessian.trace(matrix, seed=desk.analysis.seed)
        ratio = float(values[0] / values[-1]) if values[-1] > 0 else None  # a negative λ₅ has no ratio to speak of
        row = {"eigenvalues": values.tolist(), "ratio": ratio, "trace": trace, "trace_error": error}
        desk.rows.append(desk.when(moment) | row | {"loss": objective.loss()})
        yield (number + 1) / len(desk.moments), f"{title}: trace"


def _spectrum(desk: Desk) -> Result:
    found: dict[int, hessian.Ritz] = {}
    for number, moment in enumerate(desk.last, 1):
        matrix = hessian.Hessian(desk.objective(moment), desk.pulse)
        ritz = found[moment.lane] = hessian.lanczos(matrix, seed=desk.analysis.seed)
        ends = {"largest": float(ritz.values.max()), "smallest": float(ritz.values.min())}
        desk.rows.append(desk.when(moment) | ends)
        low = min(float(each.values.min()) for each in found.values())
        high = max(float(each.values.max()) for each in found.values())
        margin = 0.05 * (high - low)
        grid = desk.arrays["grid"] = np.linspace(low - margin, high + margin, GRID)
        desk.arrays |= {f"density/{lane}": hessian.density(each, grid) for lane, each in found.items()}
        yield number / len(desk.last), f"{_title(desk, moment)}: spectrum"


def _profile(desk: Desk) -> Result:
    analysis, layout = desk.analysis, landscape.Layout.of(desk.model)
    steps = desk.arrays["steps"] = np.linspace(-analysis.span, analysis.span, analysis.points)
    for moment in desk.last:
        for name in ("loss", "accuracy"):
            desk.arrays[f"{name}/{moment.lane}"] = np.full((analysis.directions, analysis.points), np.nan)
        desk.rows.append(desk.when(moment) | {"loss": desk.objective(moment).loss()})
    done, whole = 0, analysis.directions * len(desk.last)
    for draw in range(analysis.directions):
        for moment in desk.last:
            objective = desk.objective(moment)
            origin = layout.point(objective.tensors)
            direction = landscape.filter_normalised(layout, objective.tensors, _seed(analysis.seed, draw))
            for place, (loss, accuracy) in enumerate(
                landscape.line(objective, layout, origin, direction, steps.tolist())
            ):
                desk.arrays[f"loss/{moment.lane}"][draw, place] = loss
                desk.arrays[f"accuracy/{moment.lane}"][draw, place] = accuracy
                desk.pulse()
            done += 1
            yield done / whole, f"{_title(desk, moment)}: direction {draw + 1}"


def _own_surfaces(desk: Desk) -> Result:
    """The same draw of two directions for every lane, each normalised by that lane's own filters."""
    analysis, layout = desk.analysis, landscape.Layout.of(desk.model)
    ticks = desk.arrays["xs"] = desk.arrays["ys"] = np.linspace(-analysis.span, analysis.span, analysis.points)
    walks = []
    for moment in desk.last:
        objective = desk.objective(moment)
        desk.rows.append(desk.when(moment) | {"x": 0.0, "y": 0.0, "loss": objective.loss()})
        origin = layout.point(objective.tensors)
        axes = (landscape.filter_normalised(layout, objective.tensors, _seed(analysis.seed, axis)) for axis in (0, 1))
        walk = landscape.surface(objective, layout, landscape.Plane(origin, *axes), ticks.tolist(), ticks.tolist())
        walks.append((_blank(desk, f"/{moment.lane}"), walk))
    yield from _fill(desk, walks)


def _common_surface(desk: Desk) -> Result:
    """One plane through the newest weights of all lanes, and every kept moment projected onto it."""
    analysis, layout = desk.analysis, landscape.Layout.of(desk.model)
    objective = desk.objective(desk.last[0])
    shared = landscape.common_plane(layout, [_moved(moment, objective) for moment in desk.last], analysis.seed)
    for moment, place, share in zip(desk.last, shared.coordinates, shared.in_plane, strict=True):
        objective.go_to(_moved(moment, objective))
        where = {"x": float(place[0]), "y": float(place[1]), "in_plane": float(share)}
        desk.rows.append(desk.when(moment) | where | {"loss": objective.loss()})
        path = [other for other in desk.moments if other.lane == moment.lane]
        points = [layout.point(_moved(other, objective)) for other in path]
        coordinates, _ = landscape.project(layout, shared.plane, points)
        epochs = np.array([other.step / desk.steps_per_epoch for other in path])
        desk.arrays[f"path/{moment.lane}"] = np.column_stack([coordinates, epochs])
    for name, ends in (("xs", shared.coordinates[:, 0]), ("ys", shared.coordinates[:, 1])):
        reach = (
            analysis.span * max(float(np.ptp(shared.coordinates[:, 0])), float(np.ptp(shared.coordinates[:, 1]))) / 2
        )
        desk.arrays[name] = np.linspace(ends.min() - reach, ends.max() + reach, analysis.points)
    desk.about["plane"] = {
        "kind": shared.kind,
        "unit": "Distances are Euclidean, between all weights of the network; BatchNorm's statistics are mixed like the weights.",
        "in_plane": float(shared.in_plane.min()),
    }
    xs, ys = desk.arrays["xs"].tolist(), desk.arrays["ys"].tolist()
    yield from _fill(desk, [(_blank(desk, ""), landscape.surface(objective, layout, shared.plane, xs, ys))])


def _moved(moment: LaneWeights, objective: Objective) -> dict[str, Tensor]:
    """Its floating-point tensors in the objective's place and precision."""
    return {
        name: tensor.to(objective.tensors[name])
        for name, tensor in moment.weights.items()
        if tensor.is_floating_point()
    }


Pictures = tuple[np.ndarray, np.ndarray]  # loss and accuracy


def _blank(desk: Desk, suffix: str) -> Pictures:
    size = (desk.analysis.points, desk.analysis.points)
    desk.arrays |= {f"{name}{suffix}": np.full(size, np.nan) for name in ("loss", "accuracy")}
    return desk.arrays[f"loss{suffix}"], desk.arrays[f"accuracy{suffix}"]


def _fill(desk: Desk, walks: Sequence[tuple[Pictures, Iterator[tuple[int, int, float, float]]]]) -> Result:
    """All pictures together, so that they become finer together."""
    whole = desk.analysis.points**2
    for number, points in enumerate(zip(*(walk for _, walk in walks), strict=True), 1):
        for ((loss, accuracy), _), (row, column, its_loss, its_accuracy) in zip(walks, points, strict=True):
            loss[row, column], accuracy[row, column] = its_loss, its_accuracy
            desk.pulse()
        yield number / whole, f"{number:,} of {whole:,} points"


def _fisher(desk: Desk) -> Result:
    found = fisher_rows(desk.race, desk.model, desk.images, desk.shape, desk.last)
    for number, (message, rows) in enumerate(found, 1):
        desk.rows += rows
        yield number / (len(desk.last) + 1), message


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
