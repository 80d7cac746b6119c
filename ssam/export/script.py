"""The code of a lane: a short script with the package ``ssam`` that reproduces its numbers outside the lab."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ssam.experiment import RaceSpec
from ssam.export.script_steps import Steps, literal
from ssam.export.source import Source
from ssam.methods import METHODS, Method
from ssam.methods.bases import BASES

DATA_FIELDS = (
    "dataset",
    "data",
    "model",
    "train_size",
    "batch_size",
    "label_noise",
    "augment",
    "image_size",
    "seed",
    "validation",
)

ALWAYS = {  # what every script imports
    ("ssam.data", "load_dataset"),
    ("ssam.engine.evaluate", "evaluate"),
    ("ssam.models", "build_model"),
    ("ssam.config", "default_home"),
}


def write(source: Source, folder: Path) -> None:
    """Write ``lane-PLACE-NAME.py`` for each lane that a script can express. Raise ValueError, one line, if none can."""
    if why := why_none(source):
        raise ValueError(why)
    for place in range(len(source.spec.lanes)):
        if not refusal(source, place):
            (folder / f"lane-{source.lane_file(place)}.py").write_text(script(source, place), encoding="utf-8")


def why_none(source: Source) -> str:
    """Return why no lane of this race can be written as a script; empty if one can."""
    reasons = [refusal(source, place) for place in range(len(source.spec.lanes))]
    return reasons[0] if all(reasons) else ""


def refusal(source: Source, place: int) -> str:
    """Return one line that says why a script cannot reproduce this lane; empty if it can."""
    spec, lane = source.spec, source.spec.lanes[place]
    name = spec.lane_names[place]
    if spec.clock == "seconds":
        return "clock 'seconds': the number of steps depends on the machine, which a script cannot reproduce; allowed: epochs, gradients"
    if " × " in source.info["device_name"]:
        return "this race was trained by several processes together; a script is one process"
    if lane.score == "fisher-per-cost":
        return (
            f"lane {name!r}: score 'fisher-per-cost' is not in the script; allowed: fisher, gradient, magnitude, random"
        )
    results = source.run.result["lanes"] if source.run.result else []
    if any(result["name"] == name and result["diverged"] for result in results):
        return f"lane {name!r} diverged: there are no numbers to reproduce"
    return ""


def script(source: Source, place: int) -> str:
    """Return the script of the lane at this place of the race. Raise ValueError, one line, if it would not reproduce the lane."""
    if why := refusal(source, place):
        raise ValueError(why)
    precise = source.info["precision"] != "bfloat16"
    steps = Steps(source.spec, source.spec.lanes[place], autocast=not precise)
    body = [*_model(source, place), *steps.before(), "", *steps.loop(), "", *_end(source.spec, steps.evaluated)]
    return "\n".join([*_docstring(source, place), "", *_imports(steps), "", *body, ""])


def _docstring(source: Source, place: int) -> list[str]:
    lane, info = source.spec.lanes[place], source.info
    own = ", ".join(f"{name} {value}" for name, value in lane.own_settings.items())
    title = METHODS[lane.method].title if METHODS[lane.method].perturbs else BASES[source.spec.lane_base(lane)].title
    threads = f"{info['threads']} thread{'s' * (info['threads'] > 1)}"
    repeats = "exactly" if info["device"] == "cpu" else "up to the order in which a GPU adds"
    return [
        f'"""{title}{f" ({own})" if own else ""}: {_plain(source.title)}.',
        "",
        f"Reproduces this lane of an SSAM Lab race{_numbers(source, place)}.",
        f"On the machine of the race ({_plain(info['device_name'])}, {threads}, PyTorch {_torch()}) it reproduces them {repeats};",
        "elsewhere rounding differs. Learning rate: warm-up, then cosine to 0. Test numbers: last epoch, all test images.",
        '"""',
    ]


def _numbers(source: Source, place: int) -> str:
    for result in source.run.result["lanes"] if source.run.result else []:
        if result["name"] == source.spec.lane_names[place] and result["test_accuracy"] is not None:
            return f": test loss {result['test_loss']!r}, accuracy {result['test_accuracy']!r}"
    return ", which had not ended when this was written"


def _imports(steps: Steps) -> list[str]:
    modules: dict[str, list[str]] = {}
    for module, name in sorted(ALWAYS | steps.imports | _rules(steps.method)):
        modules.setdefault(module, []).append(name)
    own = [f"from {module} import {', '.join(names)}" for module, names in modules.items()]
    others = ["from statistics import fmean", "", "import torch", "from torch.nn.functional import cross_entropy"]
    if steps.lane.ema:
        others.append("from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn")
    if steps.lane.patience:
        others.insert(0, "import copy")
    return [*others, "", "import ssam", *own]


def _rules(method: Method) -> set[tuple[str, str]]:
    """Return the functions of the method's own file that the optimizer is given, as modules and names."""
    return {(value.__module__, value.__name__) for value in method.optimizer.values() if callable(value)}


def _value(value: Any) -> str:
    """Return an argument as Python: a function by its name, anything else as a literal."""
    return value.__name__ if callable(value) else literal(value)


def _model(source: Source, place: int) -> list[str]:
    """Return data, network and optimizer, as the engine makes them."""
    default, spec, info = RaceSpec(), source.spec, source.info
    lane = spec.lanes[place]
    data = {name: getattr(spec, name) for name in DATA_FIELDS if getattr(spec, name) != getattr(default, name)}
    settings = ", ".join(f"{name}={literal(value)}" for name, value in (data | {"seed": spec.seed}).items())
    own = "  # data: your zip or folder of images, by its path" if spec.data else ""
    channels_last = info["device"] != "mps"
    layout = ", memory_format=torch.channels_last" if channels_last else ""
    base = spec.lane_base(lane)
    momentum = f"momentum={spec.momentum!r}" if BASES[base].momentum else f"betas=({spec.momentum!r}, 0.999)"
    rates = f"lr={spec.lane_lr(lane)!r}, {momentum}, weight_decay={spec.lane_weight_decay(lane)!r}"
    total = next(told["total_steps"] for told in info["lanes"] if told["name"] == spec.lane_names[place])
    lines = [
        f"SEED, STEPS, DEVICE = {spec.seed}, {total}, {literal(info['device'])}",
        f"torch.set_num_threads({info['threads']})",
        f"race = ssam.RaceSpec({settings}){own}",
        "data = load_dataset(race, default_home(), progress=print)",
        f"batches = data.batches(race, DEVICE, channels_last={channels_last})",
        "shape = dict(channels=data.channels, classes=len(data.classes), size=data.size)",
        f"model = build_model({literal(spec.model)}, **shape, seed=SEED).to(DEVICE{layout})",
        f"{base} = torch.optim.{BASES[base].title}(model.parameters(), {rates}, fused=True)",
    ]
    if METHODS[lane.method].perturbs:
        given = {"rho": spec.lane_rho(lane), "norm": spec.lane_norm(lane), **METHODS[lane.method].optimizer}
        said = ", ".join(f"{name}={_value(value)}" for name, value in given.items())
        lines.append(f"sam = ssam.SAM({base}, {said})")
    if lane.ema:
        average = f"get_ema_multi_avg_fn({lane.ema!r})"
        lines.append(f"average = AveragedModel(model, multi_avg_fn={average}, use_buffers=True)")
    return lines


def _end(spec: RaceSpec, model: str) -> list[str]:
    held = [
        f"loss, accuracy, images = evaluate({model}, batches.validation())",
        'print(f"validation loss {loss!r}, accuracy {accuracy!r}, {images} images")',
    ]
    return [
        *(held if spec.validation else []),
        f"loss, accuracy, images = evaluate({model}, batches.test(None))",
        'print(f"test loss {loss!r}, accuracy {accuracy!r}, {images} images")',
    ]


def _plain(text: Any) -> str:
    """Return text that is safe in a docstring."""
    return str(text).replace("\\", "/").replace('"', "'")


def _torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:  # a page's server may lack it
        return "as in requirements.txt"
