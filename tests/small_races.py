"""Real races of a few steps, and what they tell."""

import numpy as np
import torch

from ssam.data import load_dataset
from ssam.data.batches import Dataset
from ssam.data.in_memory import MemoryImages
from ssam.engine import Race, race
from ssam.experiment import parse_spec
from ssam.experiment.events import StepEvent
from ssam.models import build_model

SMALL = {"train_size": 512, "batch_size": 64, "epochs": 2, "lanes": "sgd,sam,ssam-f,ssam-d", "fisher_samples": 32}
STEPS = 8  # an epoch


def small(**values):
    return parse_spec({**SMALL, **values})


def run(home, **values):
    return list(Race(small(**values), home=home, threads=1).events())


def of(events, kind, lane=None):
    return [e for e in events if isinstance(e, kind) and (lane is None or e.lane == lane)]


def losses(events, lane):
    return [e.loss for e in of(events, StepEvent, lane)]


def parts(home, **values):
    """Spec, batches and a fresh model: what a lane is made of."""
    spec = small(**values)
    dataset = load_dataset(spec, home, progress=lambda message, fraction=None: None)
    batches = dataset.batches(spec, torch.device("cpu"), True)
    model = build_model(spec.model, channels=1, classes=10, size=28, seed=spec.seed)
    return spec, batches, model.to(memory_format=torch.channels_last)


def dataset_of(train=64, test=24, size=16):
    draws = np.random.default_rng(0)

    def images(count):
        pixels = draws.integers(0, 256, (count, 1, size, size), dtype=np.uint8)
        return MemoryImages(torch.from_numpy(pixels), torch.from_numpy(np.arange(count) % 4))

    return Dataset(tuple("abcd"), 1, size, images(train), images(test), (0.5,), (0.3,), train_size=train)


def few_images_each(monkeypatch):
    """Races of four steps an epoch at batch size 16, and nothing that takes long before the first of them."""
    made = dataset_of()
    monkeypatch.setattr(race, "load_dataset", lambda spec, home, image_root, progress: made)
    monkeypatch.setattr(race, "stage_shares", lambda model, shape: [1 / len(model.stages)] * len(model.stages))
