"""Batches in their usual forms: (inputs, targets) or one dictionary.

Inputs and targets are each a tensor, or nested tuples, lists and dictionaries of tensors.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor


def parts(batches: Iterable[Any], size: int | None) -> Iterator[tuple[tuple[Any, Any], int]]:
    """Yield (inputs, targets) and their number of samples, at most ``size`` at a time; None keeps the batches whole.

    A dictionary is both the inputs and the targets. Raise ValueError if a batch is neither a pair nor a dictionary, or
    if its tensors differ in their number of samples.
    """
    for batch in batches:
        if not isinstance(batch, Mapping) and len(batch) != 2:
            raise ValueError(f"a batch is (inputs, targets) or a dictionary; this one has {len(batch)} parts")
        pair = (batch, batch) if isinstance(batch, Mapping) else tuple(batch)
        counts = {len(tensor) for tensor in _tensors(pair)}
        if len(counts) != 1:
            raise ValueError(f"the tensors of a batch must hold the same number of samples, not {sorted(counts)}")
        count = counts.pop()
        step = size or count
        for start in range(0, count, step or 1):
            yield change_all(pair, partial(_rows, slice(start, start + step))), min(count - start, step)


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments for a model: a tuple or list is positional, a dictionary keyword."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)), {}


def change_all(tree: Any, change: Callable[[Tensor], Any]) -> Any:
    """Return the tree with ``change`` applied to each tensor, in tuples, lists and dictionaries."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: change_all(value, change) for key, value in tree.items()}
    return tuple(change_all(value, change) for value in tree) if isinstance(tree, tuple | list) else tree


def _rows(rows: slice, tensor: Tensor) -> Tensor:
    return tensor[rows] if tensor.dim() else tensor


def _tensors(tree: Any) -> list[Tensor]:
    found: list[Tensor] = []
    change_all(tree, found.append)
    return found
