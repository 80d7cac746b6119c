"""Running a record: one training for each seed of its task, on one thread."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ssam.data import Batches, load_dataset
from ssam.engine.evaluate import evaluate
from ssam.experiment import parse_spec
from ssam.models import build_model
from ssam.record.script import Output, Script
from ssam.record.task import TASKS

CPU = torch.device("cpu")


class TrainingBatches:
    """What a script gets of the data: training images with the labels that training sees.

    ``get(step)`` returns the batch of a step, x (B, C, S, S) and y (B,); ``steps_per_epoch`` of them are an epoch. ``samples(count, seed)`` yields
    chunks of distinct training images, for masks.
    """

    def __init__(self, batches: Batches, batch_size: int) -> None:
        self.get, self.samples = batches.get, batches.samples
        self.steps_per_epoch, self.batch_size = batches.steps_per_epoch, batch_size


def run(script: Script, home: Path) -> Iterator[tuple[int, float, float]]:
    """Yield (seed, gradients, test accuracy) for each seed of the task.

    A gradient is one forward and backward pass of a whole batch: the images that went through the network with gradients on, divided by the batch
    size. So a pass of half a batch is half a gradient, and the images of a Fisher mask count, too.
    """
    train = _train_of(script)
    task = TASKS[script.task]
    for seed in task.seeds:
        spec = parse_spec({**task.settings, "seed": seed, "lanes": "sgd"})
        data = load_dataset(spec, home, progress=lambda *_: None)
        batches = data.batches(spec, CPU, channels_last=True)
        channels, _, size = batches.shape
        model = build_model(spec.model, channels=channels, classes=len(data.classes), size=size, seed=seed)
        model.to(memory_format=torch.channels_last)
        torch.manual_seed(seed)
        with one_thread(), counted(model) as count:
            train(model, TrainingBatches(batches, spec.batch_size))
            model.requires_grad_(False)
            _, accuracy, _ = evaluate(model, batches.test(None))
        yield seed, round(count[0] / spec.batch_size, 4), accuracy


def output_of(script: Script, home: Path, progress: Callable[[str], None]) -> Output:
    """Run a record; pass one line a seed to ``progress``."""
    rows = []
    for seed, gradients, accuracy in run(script, home):
        progress(f"{script.name}, seed {seed}: {100 * accuracy:.2f}%, {gradients:g} gradients")
        rows.append((gradients, accuracy))
    return Output(tuple(gradients for gradients, _ in rows), tuple(accuracy for _, accuracy in rows))


def _train_of(script: Script) -> Callable[[nn.Module, TrainingBatches], object]:
    """Import the script, as Python imports any file, and return its function."""
    spec = importlib.util.spec_from_file_location("record", script.path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{script.path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    train: Callable[[nn.Module, TrainingBatches], object] = module.train
    return train


@contextmanager
def counted(model: nn.Module) -> Iterator[list[int]]:
    """Count in the only element the images that go through the model with gradients on, also inside ``torch.func.vmap``."""
    count = [0]

    def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled():
            count[0] += images_in(inputs[0])

    hook = model.register_forward_pre_hook(before)
    try:
        yield count
    finally:
        hook.remove()


def images_in(x: Tensor) -> int:
    """Return the number of images of a batch (B, C, S, S); of one inside vmap, those of the whole batch."""
    per_image = x[0].numel()
    while torch._C._functorch.is_functorch_wrapped_tensor(x):  # torch has no public way to ask
        x = torch._C._functorch.get_unwrapped(x)
    return x.numel() // per_image


@contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
