"""The inputs of a timing: the race, its images, and the initial network."""

import torch

from ssam.catalogue import DATASETS, MODELS
from ssam.config import default_home
from ssam.data import Batches, Dataset, load_dataset
from ssam.data.in_memory import MemoryImages
from ssam.experiment import RaceSpec, parse_spec
from ssam.models import StagedModel, build_model

BIG = 100.0  # million multiply-accumulates per image; from here on a batch has 64 images instead of 128
CLASSES = 10


def spec_for(model: str, batch_size: int | None, dataset: str = "fashion-mnist-10k") -> RaceSpec:
    """Return a race as the app runs it, but so long that no step of the bench refreshes the mask, and with few images for the first mask."""
    facts = MODELS[model]
    return parse_spec(
        {
            "model": model,
            "dataset": dataset,
            "batch_size": batch_size or (64 if facts.mmacs > BIG else 128),
            "image_size": max(DATASETS[dataset].size or 0, facts.min_size),
            "epochs": 100,
            "mask_interval": 1000,
            "fisher_samples": 16,
        }
    )


def bundled_images(spec: RaceSpec, device: torch.device) -> Batches:
    data = load_dataset(spec, default_home(), progress=lambda *_: None)
    return data.batches(spec, device, channels_last=device.type != "mps")


def random_images(spec: RaceSpec, device: torch.device, count: int, channels: int) -> Batches:
    """Return batches of ``count`` images with random pixels and labels; the time of a step does not depend on them."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, spec.input_size, spec.input_size)
    images = MemoryImages(
        torch.randint(256, shape, generator=generator, dtype=torch.uint8), torch.arange(count) % CLASSES
    )
    names = tuple(str(number) for number in range(CLASSES))
    mean, std = (0.5,) * channels, (0.29,) * channels
    data = Dataset(names, channels, spec.input_size, images, images, mean, std, count)
    return data.batches(spec, device, channels_last=device.type != "mps")


def network(spec: RaceSpec, batches: Batches, device: torch.device) -> StagedModel:
    channels, _, size = batches.shape
    model = build_model(spec.model, channels=channels, classes=CLASSES, size=size, seed=spec.seed).to(device)
    return model if device.type == "mps" else model.to(memory_format=torch.channels_last)
