"""One analysis from start to finish: the images of a race, the weights of its lanes, and the results as they become available.

``rows`` and ``arrays`` of each kind (LANE is the index in the race; points of a picture that are not computed yet are NaN):

- sharpness: rows with ``estimator``, ``value``, ``error``, ``rho``.
- curvature: rows with ``eigenvalues``, ``ratio`` (λ₁/λ₅), ``trace``, ``trace_error``.
- spectrum: arrays ``grid`` (G,) and ``density/LANE`` (G,); rows with ``largest``, ``smallest``.
- profile: arrays ``steps`` (P,), ``loss/LANE`` and ``accuracy/LANE`` (D, P).
- surface: arrays ``xs``, ``ys`` (P,) and ``loss/LANE``, ``accuracy/LANE`` (P, P), one row for each of ``ys``; on the common plane of all
  lanes ``loss``, ``accuracy`` and ``path/LANE`` (T, 3): x, y and epoch of each snapshot. Rows with ``x``, ``y`` and ``in_plane``.
- anatomy: see ``ssam.analysis.anatomy``.
- robustness, disturbed_weights: see ``ssam.analysis.robustness``.
- fisher: rows whose ``what`` is "pattern" (``kept``: share of the Fisher mass), "overlap" (``iou``, ``chance``) or "stage" (shares).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssam.analysis import hessian, profiles_and_surfaces, sharpness
from ssam.analysis.anatomy import anatomy
from ssam.analysis.context import AnalysisContext, LaneWeights, Result
from ssam.analysis.fisher import fisher_rows
from ssam.analysis.objective import Objective
from ssam.analysis.robustness import robustness, weight_robustness
from ssam.data import load_dataset
from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec, Found
from ssam.methods.asam import ASAM
from ssam.models import build_model

EIGENVALUES = 5
GRID = 400  # grid points of a spectrum
ON_TEST = {  # kinds that use test images, with their caveats
    "robustness": "Measured on test images. Every lane sees the same disturbed images; none was trained on such images.",
    "disturbed_weights": (
        "Measured on test images, the same for all lanes. Disturbed are the tensors with two or more dimensions, not biases and "
        "normalisation layers; BatchNorm keeps its stored statistics."
    ),
}


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
    """Run ``analysis`` on the moments of a race. Yield the results so far after every piece of work.

    The images are training images of the race, without augmentation, with the labels that it trains on; the kinds in ``ON_TEST``
    use test images. ``pulse`` is called before each chunk of images; an exception from it ends the analysis. Raise ValueError, one line, if the
    data are not available or the weights do not fit the model.
    """
    begin = time.monotonic()

    def progress(message: str, fraction: float | None = None) -> None:
        pulse()

    dataset = load_dataset(race, home, image_root=image_root, progress=progress)
    # On a CPU, Hessian-vector products are 25% faster in the contiguous format. A step that must equal the race's own uses the memory
    # format of training: float32 sums in a different order may differ by a percent in a layer. Forward passes alone take 40% less time
    # in it (cnn8); ``robustness`` keeps the format that its recorded numbers were measured in.
    as_trained = analysis.kind in ("anatomy", "disturbed_weights") and device.type != "mps"
    batches = dataset.batches(race, device, channels_last=as_trained or device.type == "cuda")
    shape = {"channels": dataset.channels, "classes": len(dataset.classes), "size": dataset.size}
    model = build_model(race.model, **shape, seed=race.seed).to(device)
    if as_trained:
        model = model.to(memory_format=torch.channels_last)
    model.register_forward_pre_hook(lambda *_: pulse())  # copied into every objective along with the model
    on_test = analysis.kind in ON_TEST
    images = batches.test(analysis.images) if on_test else batches.samples(analysis.images, analysis.seed)
    context = AnalysisContext(
        race,
        analysis,
        sorted(moments, key=lambda moment: (moment.step, moment.lane)),
        model,
        list(images),
        (dataset.mean, dataset.std),
        batches.steps_per_epoch,
        batches.shape,
        batches.get,
        pulse,
        {},
    )
    _check_fit(context)
    context.about = _about(context, len(dataset.classes), device, device_name)
    kinds: dict[str, Callable[[AnalysisContext], Result]] = {
        "sharpness": _sharpness,
        "curvature": _curvature,
        "spectrum": _spectrum,
        "profile": profiles_and_surfaces.profile,
        "surface": profiles_and_surfaces.own_surfaces
        if analysis.plane == "random"
        else profiles_and_surfaces.common_surface,
        "fisher": _fisher,
        "anatomy": anatomy,
        "robustness": robustness,
        "disturbed_weights": weight_robustness,
    }
    for done, message in kinds[analysis.kind](context):
        pulse()
        context.about["seconds"] = time.monotonic() - begin
        yield Found(done, message, context.about, context.rows, context.arrays)


def _check_fit(context: AnalysisContext) -> None:
    wanted = {name: tensor.shape for name, tensor in context.model.state_dict().items()}
    for moment in context.moments:
        if {name: tensor.shape for name, tensor in moment.weights.items()} != wanted:
            raise ValueError(f"the weights kept of lane {context.race.lane_names[moment.lane]!r} do not fit this model")
    if not context.moments:
        raise ValueError("there are no weights to look at")


def _about(context: AnalysisContext, classes: int, device: torch.device, device_name: str) -> dict[str, Any]:
    analysis = context.analysis
    caveats = ["Measured on training images with the labels the race trains on, wrong ones included."]
    if analysis.kind in ON_TEST:
        caveats = [ON_TEST[analysis.kind]]
    elif analysis.batchnorm == "evaluation":
        caveats.append(
            "BatchNorm uses the statistics stored with the weights; they do not follow when weights are moved."
        )
    else:
        caveats.append("BatchNorm normalises by the statistics of each chunk of images.")
    names = context.race.lane_names
    return {
        "device": str(device),
        "device_name": device_name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "images": sum(len(y) for _, y in context.images),
        "classes": classes,
        "parameters": sum(p.numel() for p in context.model.parameters()),
        "batchnorm": analysis.batchnorm,
        "dtype": analysis.dtype,
        "seed": analysis.seed,
        "lanes": [
            {"name": names[moment.lane], "method": context.race.lanes[moment.lane].method, **context.when(moment)}
            for moment in context.last
        ],
        "caveats": caveats,
    }


Estimate = tuple[float, Callable[[Objective, float], float | tuple[float, float]]]  # rho, and the estimator itself


def _sharpness(context: AnalysisContext) -> Result:
    rho = context.analysis.rho
    for number, moment in enumerate(context.moments):
        objective, title = context.objective(moment), context.title(moment)
        loss, accuracy = objective.loss_and_accuracy()
        estimates: dict[str, Estimate] = {
            "ascent_gap": (rho, sharpness.ascent_gap),
            "random_directions": (rho, partial(sharpness.random_directions, seed=context.analysis.seed)),
            "adaptive": (ASAM.rho_scale * rho, sharpness.adaptive_sharpness),
            "m_sharpness": (rho, sharpness.m_sharpness),
            "worst_case": (rho, sharpness.worst_case),
        }
        if moment.masks is not None:
            norm = context.race.lane_norm(context.race.lanes[moment.lane])
            own = partial(sharpness.ascent_gap, masks=_in_order(context, moment), norm=norm)
            estimates["masked_ascent_gap"] = (rho, own)
        for place, (name, (radius, estimator)) in enumerate(estimates.items(), 1):
            found = estimator(objective, radius)
            value, error = found if isinstance(found, tuple) else (found, None)
            row = {"estimator": name, "value": value, "error": error, "rho": radius, "loss": loss, "accuracy": accuracy}
            context.rows.append(context.when(moment) | row)
            yield (number + place / len(estimates)) / len(context.moments), f"{title}: {name.replace('_', ' ')}"


def _in_order(context: AnalysisContext, moment: LaneWeights) -> list[Tensor | None]:
    """Return the moment's mask for each parameter of the model; parameters that it does not name are not perturbed."""
    masks = moment.masks or {}
    return [
        masks[name].to(p.device) if name in masks else torch.zeros_like(p, dtype=torch.bool)
        for name, p in context.model.stages.named_parameters()
        if p.requires_grad
    ]


def _curvature(context: AnalysisContext) -> Result:
    for number, moment in enumerate(context.moments):
        objective, title = context.objective(moment), context.title(moment)
        matrix = hessian.Hessian(objective, context.pulse)
        values = hessian.top_eigenvalues(matrix, EIGENVALUES, context.analysis.seed)
        yield (number + 0.7) / len(context.moments), f"{title}: largest eigenvalues"
        trace, error = hessian.trace(matrix, seed=context.analysis.seed)
        ratio = float(values[0] / values[-1]) if values[-1] > 0 else None  # meaningless if λ₅ is not positive
        row = {"eigenvalues": values.tolist(), "ratio": ratio, "trace": trace, "trace_error": error}
        context.rows.append(context.when(moment) | row | {"loss": objective.loss()})
        yield (number + 1) / len(context.moments), f"{title}: trace"


def _spectrum(context: AnalysisContext) -> Result:
    found: dict[int, hessian.Ritz] = {}
    for number, moment in enumerate(context.last, 1):
        matrix = hessian.Hessian(context.objective(moment), context.pulse)
        ritz = found[moment.lane] = hessian.lanczos(matrix, seed=context.analysis.seed)
        ends = {"largest": float(ritz.values.max()), "smallest": float(ritz.values.min())}
        context.rows.append(context.when(moment) | ends)
        low = min(float(each.values.min()) for each in found.values())
        high = max(float(each.values.max()) for each in found.values())
        margin = 0.05 * (high - low)
        grid = context.arrays["grid"] = np.linspace(low - margin, high + margin, GRID)
        context.arrays |= {f"density/{lane}": hessian.density(each, grid) for lane, each in found.items()}
        yield number / len(context.last), f"{context.title(moment)}: spectrum"


def _fisher(context: AnalysisContext) -> Result:
    found = fisher_rows(context.race, context.model, context.images, context.shape, context.last)
    for number, (message, rows) in enumerate(found, 1):
        context.rows += rows
        yield number / (len(context.last) + 1), message
