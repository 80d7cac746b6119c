"""Files of arrays in a run's folder: masks, saved weights, results of analyses. Nothing in them is ever executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ssam.experiment.analysis import Moment


def mask_file(folder: Path, lane: int, step: int) -> Path:
    """Return the path of a mask: a picture per layer under ``m/`` and, for small networks, its bits under ``b/``."""
    return folder / "masks" / f"{lane}-{step}.npz"


def snapshot_file(folder: Path, moment: Moment) -> Path:
    """Return the path of a lane's weights after ``step`` steps."""
    return folder / "weights" / f"{moment.lane}-{moment.step}.npz"


def save_arrays(
    file: BinaryIO, named: Mapping[str, np.ndarray], others: Mapping[str, Mapping[str, np.ndarray]] | None = None
) -> None:
    """Save arrays; ``load_arrays`` reads ``named`` back, and each of ``others`` by its prefix."""
    # An array may be called "file", which is savez's own argument: hence the prefixes.
    kinds = {"m/": named, **(others or {})}
    arrays = {prefix + name: array for prefix, arrays in kinds.items() for name, array in arrays.items()}
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def save_weights(file: BinaryIO, weights: Mapping[str, np.ndarray]) -> None:
    """Save like ``save_arrays``, but uncompressed: weights would shrink by a tenth, and take ten times as long to write."""
    np.savez(file, **{f"m/{name}": array for name, array in weights.items()})  # type: ignore[arg-type]


def load_arrays(path: Path, prefix: str = "m/") -> dict[str, np.ndarray]:
    """Return the arrays of one kind: ``m/``, or another prefix."""
    with np.load(path, allow_pickle=False) as kept:
        return {name.removeprefix(prefix): kept[name] for name in kept.files if name.startswith(prefix)}
