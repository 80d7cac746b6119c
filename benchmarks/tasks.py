"""Where SAM helps and where it does not: many small tasks, every contender tuned alike on each: ``python -m benchmarks.tasks``.

A *setting* is a network, its training images and their labels; a *task* is a setting and what is judged: undisturbed test images, disturbed ones,
or weights rounded to four bits. For each setting, every contender has the same number of trials, drawn from its search space. For each task the
trial with the highest score on held-out images, judged the same way, is trained on fresh seeds and judged on the test images. Held-out labels are as
wrong as training labels.

This is a search, not a registered experiment: with this many tasks some differences are large by chance, and with six trials the choice depends on
luck. Rows go to assets/measured/tasks.json as
they come, so it can be stopped and resumed; ``--table`` prints what is there, the tasks on which SAM loses first.
"""

import argparse
import json
import statistics
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import marked, registered
from benchmarks.flatness import raced
from benchmarks.machine import machine
from ssam.analysis.disturbed_weights import quantised
from ssam.analysis.robustness import accuracy
from ssam.catalogue import CLEAN, DISTURBANCES
from ssam.config import default_home
from ssam.data import load_dataset
from ssam.data.disturbances import disturbed
from ssam.experiment import ASSETS, RaceSpec
from ssam.models import build_model
from ssam.stats.paired import compare

FILE = ASSETS / "measured" / "tasks.json"
CPU = torch.device("cpu")
TRIALS, TUNING_SEED, SEEDS = 6, 200, tuple(range(20, 25))
BITS = 4
ROUNDED = f"{BITS}-bit weights"
EVERYTHING = (CLEAN, *DISTURBANCES, ROUNDED)
TEST_IMAGES = 2000
BASELINE = "SGD or AdamW"
COMMON = {"dataset": "fashion-mnist-10k", "validation": "0.2", "train_size": "2500", "model": "cnn8"}
SETTINGS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "CNN-8": ({}, EVERYTHING),
    "MLP": ({"model": "mlp"}, EVERYTHING),
    "MLP-Mixer": ({"model": "mixer"}, EVERYTHING),
    "CNN-8, 20% wrong labels": ({"label_noise": "0.2"}, (CLEAN,)),
    "CNN-8, 40% wrong labels": ({"label_noise": "0.4"}, (CLEAN,)),
    "CNN-8, 60% wrong labels": ({"label_noise": "0.6"}, (CLEAN,)),
    "MLP, 40% wrong labels": ({"model": "mlp", "label_noise": "0.4"}, (CLEAN,)),
    "CNN-8, 500 images": ({"train_size": "500"}, (CLEAN,)),
    "CNN-8, augmented": ({"augment": "crop-flip"}, (CLEAN,)),
    "CNN-8, batches of 512": ({"batch_size": "512"}, (CLEAN,)),
    "ViT-Tiny": ({"model": "vit-tiny"}, EVERYTHING),
}
SGD = {"base": ["sgd"], "lr": ["0.05", "0.1", "0.2"], "weight_decay": ["0.0005", "0.005", "0.02"]}
ADAMW = {"base": ["adamw"], "lr": ["0.001", "0.003", "0.006"], "weight_decay": ["0.01", "0.05"]}
PLAIN = {"epochs": ["4", "8", "16"], "label_smoothing": ["0", "0.1"]}
PERTURBED = {"epochs": ["4", "8", "16"], "rho": ["0.05", "0.1", "0.2", "0.4"]}
CONTENDERS = {
    BASELINE: {"lane": "sgd", "space": [SGD | PLAIN, ADAMW | PLAIN]},
    "SAM": {"lane": "sam", "space": [SGD | PERTURBED, ADAMW | PERTURBED]},
    "SSAM-F, 50%": {"lane": "ssam-f:sparsity=0.5", "space": [SGD | PERTURBED, ADAMW | PERTURBED]},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", default=list(SETTINGS), metavar="SETTING", help="default: all of them")
    parser.add_argument("--table", action="store_true", help="print what is there, train nothing")
    options = parser.parse_args()
    record = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"settings": {}}
    for name in () if options.table else options.settings:
        for _ in run(name, record["settings"].setdefault(name, {})):
            record |= {"command": "python -m benchmarks.tasks", **machine(), "threads": 1}
            FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if not options.table:
        marked.write(marked.DOCS / "measured.md", "tasks", table(record))
    print(table(record))


def run(setting: str, record: dict[str, Any]) -> Iterable[None]:
    """Do what the record does not have yet; yield after each training."""
    changes, judged = SETTINGS[setting]
    plan = {"name": setting, "task": COMMON | changes, "contenders": CONTENDERS, "trials": TRIALS}
    for name in CONTENDERS:
        known = record.setdefault(name, {"trials": [], "judged": {}})
        drawn = registered.draws(plan, name)
        for number in range(len(known["trials"]), TRIALS):
            spec = registered.spec_of(plan, name, drawn[number], TUNING_SEED + number)
            known["trials"].append({"settings": drawn[number], "validation": scores(spec, judged, held_out=True)})
            print(f"{setting}, {name}, trial {number}: {known['trials'][-1]['validation']}", flush=True)
            yield
        for number in sorted({chosen(known, task) for task in judged}):
            found = known["judged"].setdefault(str(number), {})
            for seed in SEEDS:
                if str(seed) not in found:
                    spec = registered.spec_of(plan, name, drawn[number], seed)
                    found[str(seed)] = scores(spec, judged, held_out=False)
                    print(f"{setting}, {name}, seed {seed}: {found[str(seed)]}", flush=True)
                    yield


def chosen(contender: dict[str, Any], task: str) -> int:
    """Return the number of the trial with the highest score on the task; of equal ones the first."""
    found = [trial["validation"][task] for trial in contender["trials"]]
    return found.index(max(found))


def scores(spec: RaceSpec, judged: tuple[str, ...], held_out: bool) -> dict[str, float]:
    """Train one lane. Return its accuracy, 0–1, by each task, on the held-out images or on test images; 0 if it diverged."""
    [result], [moment] = raced(spec)
    if result["diverged"]:
        return dict.fromkeys(judged, 0.0)
    data = load_dataset(spec, default_home(), progress=lambda message, share: None)
    batches = data.batches(spec, CPU, channels_last=False)
    images = list(batches.validation() if held_out else batches.test(TEST_IMAGES))
    channels, size = images[0][0].shape[1:3]
    model = build_model(spec.model, channels=channels, classes=10, size=size, seed=0)
    found = {}
    for task in judged:
        model.load_state_dict(moment.weights)
        shown: Iterable[tuple[Tensor, Tensor]] = images
        if task == ROUNDED:
            round_weights(model, BITS)
        elif task != CLEAN:
            level = DISTURBANCES[task].shown
            shown = disturbed(images, task, level, mean=data.mean, std=data.std, seed=0)
        found[task] = accuracy(model, shown)
    if not held_out and CLEAN in found:
        found[CLEAN] = result["test_accuracy"]  # on all test images
    return found


@torch.no_grad()
def round_weights(model: nn.Module, bits: int) -> None:
    """Round each tensor of two or more dimensions to ``bits`` bits: multiples of its largest weight ÷ (2^(bits−1) − 1). Biases and norms stay."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.copy_(quantised(parameter, bits))


def differences(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each finished task, by SAM's mean difference to the baseline, the smallest first."""
    rows = []
    for setting, contenders in record["settings"].items():
        for task in SETTINGS[setting][1]:
            if len(contenders) < len(CONTENDERS) or any(len(each["trials"]) < TRIALS for each in contenders.values()):
                continue
            runs = {name: each["judged"].get(str(chosen(each, task)), {}) for name, each in contenders.items()}
            if any(len(found) < len(SEEDS) for found in runs.values()):
                continue
            points = {
                name: {int(seed): 100 * each[task] for seed, each in found.items()} for name, found in runs.items()
            }
            clean = {name: [100 * each[CLEAN] for each in found.values()] for name, found in runs.items()}
            others = {name: compare(own, points[BASELINE]) for name, own in points.items() if name != BASELINE}
            rows.append({"setting": setting, "task": task, "points": points, "clean": clean, "against": others})
    return sorted(rows, key=lambda row: row["against"]["SAM"].mean)


def table(record: dict[str, Any]) -> str:
    """In Markdown: accuracies and paired differences to the baseline, the tasks on which SAM loses first. Each cell ends with the accuracy
    of the same networks on undisturbed images."""
    head = f"| setting | judged on | {BASELINE} %; clean | SAM − baseline (95%); clean | SSAM-F, 50% − baseline (95%); clean |"
    lines = [head, "|---" * 5 + "|"]
    for row in differences(record):
        clean = {name: f"; {statistics.fmean(found):.1f}" for name, found in row["clean"].items()}
        cells = [f"{statistics.fmean(row['points'][BASELINE].values()):.1f}{clean[BASELINE]}"]
        for name, found in row["against"].items():
            cells.append(registered.difference(found, 1) + clean[name])
        lines.append(f"| {row['setting']} | {title(row['task'])} | {' | '.join(cells)} |")
    settings = {row["setting"] for row in differences(record)}
    return "\n".join([*lines, "", f"{len(lines) - 2} tasks in {len(settings)} of {len(SETTINGS)} settings so far."])


def title(task: str) -> str:
    if task in DISTURBANCES:
        return f"{DISTURBANCES[task].title.lower()} {DISTURBANCES[task].shown:g}"
    return "undisturbed images" if task == CLEAN else task


if __name__ == "__main__":
    main()
