"""Situations in Lightning and Accelerate, where the framework calls the optimizer."""

import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.border.cases import X, Y, closure_for, equal, network
from benchmarks.border.libraries import Library

STEPS = 2


def lightning_automatic(library: Library) -> bool:
    """Lightning's own loop takes the steps of a plain loop."""
    return _by_lightning(library, accumulate=1)


def lightning_accumulates(library: Library) -> bool:
    """Two micro-batches a step are the whole batch."""
    return _by_lightning(library, accumulate=2)


def accelerate_prepared(library: Library) -> bool:
    """The optimizer that Accelerate has wrapped takes the steps of the bare one."""
    from accelerate import Accelerator

    model, plain = network(), network()
    accelerator = Accelerator(cpu=True)
    wrapped, optimizer = accelerator.prepare(model, library.make(model))
    bare = library.make(plain)
    for _ in range(STEPS):
        library.step(optimizer, wrapped, closure_for(optimizer, wrapped))
        library.step(bare, plain, closure_for(bare, plain))
    return equal(model, plain)


def accelerate_accumulates(library: Library) -> bool:
    """``gradient_accumulation_steps=2``: two micro-batches a step are the whole batch."""
    from accelerate import Accelerator
    from accelerate.state import GradientState

    try:
        return _accumulated(library, Accelerator(cpu=True, gradient_accumulation_steps=2))
    finally:
        GradientState._reset_state()  # it is the process's, and would meet the next optimizer, too


def _accumulated(library: Library, accelerator: Any) -> bool:
    model, plain = network(), network()
    wrapped, optimizer = accelerator.prepare(model, library.make(model))
    for x, y in ((X[:8], Y[:8]), (X[8:], Y[8:])):
        with accelerator.accumulate(wrapped):

            def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
                optimizer.zero_grad()
                loss = cross_entropy(wrapped(x), y)
                accelerator.backward(loss)
                return loss

            library.step(optimizer, wrapped, closure)
    bare = library.make(plain)
    library.step(bare, plain, closure_for(bare, plain))
    return equal(model, plain)


def _by_lightning(library: Library, accumulate: int) -> bool:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = network()

        def training_step(self, batch: Any, _: int) -> Tensor:
            return cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return library.make(self.model)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    module, plain = Module(), network()
    data = DataLoader(TensorDataset(X.repeat(STEPS, 1), Y.repeat(STEPS)), batch_size=16 // accumulate)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "barebones"), False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", accumulate_grad_batches=accumulate, **quiet)
        trainer.fit(module, data)
    bare = library.make(plain)
    for _ in range(STEPS):
        library.step(bare, plain, closure_for(bare, plain))
    return _equal_weights(module.model, plain)


def _equal_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.allclose(p, q, rtol=1e-4, atol=1e-5) for p, q in zip(a.parameters(), b.parameters(), strict=True))


CASES = {
    "Lightning, automatic optimization": lightning_automatic,
    "Lightning, `accumulate_grad_batches=2`": lightning_accumulates,
    "Accelerate": accelerate_prepared,
    "Accelerate, `gradient_accumulation_steps=2`": accelerate_accumulates,
}
