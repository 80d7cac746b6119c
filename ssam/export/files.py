"""Tables, masks and weights as files."""

import json
import zipfile
from pathlib import Path

import numpy as np

from ssam.export.source import Source, Weights
from ssam.store.arrays import load_arrays, snapshot_file


def csv(source: Source, folder: Path) -> None:
    """``evaluations.csv`` and ``steps.csv``; what a lane does not have stays empty. Numbers as they were, to the last digit."""
    source.evaluations.to_csv(folder / "evaluations.csv", index=False)
    source.steps.to_csv(folder / "steps.csv", index=False)


def parquet(source: Source, folder: Path) -> None:
    """The same two tables, with their types."""
    source.evaluations.to_parquet(folder / "evaluations.parquet", index=False)
    source.steps.to_parquet(folder / "steps.parquet", index=False)


def masks(source: Source, folder: Path) -> None:
    """A file per masked lane: ``STEP/LAYER`` is a bool array of the layer's shape, True = perturbed from that step on.

    Raises ValueError where no mask is kept to the bit (networks of more than a million weights, old races on a full disk)."""
    written = False
    for place, name in enumerate(source.spec.lane_names):
        file = folder / f"masks-{source.lane_file(place)}.npz"
        steps = [step for step, _, _ in source.store.mask_densities(source.run.id, name)]
        kept = ((step, bits) for step in steps if (bits := source.store.mask_bits(source.run.id, name, step)))
        if first := next(kept, None):
            written = True
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:  # one mask in memory, not all of them
                for step, bits in (first, *kept):
                    for layer, mask in bits.items():
                        with archive.open(f"{step}/{layer}.npy", "w") as member:
                            np.lib.format.write_array(member, np.ascontiguousarray(mask), allow_pickle=False)
    if not written:
        raise ValueError("masks: none of this race is kept to the bit")


def weights(source: Source, folder: Path) -> None:
    """A safetensors file per lane and kept moment, by the names of ``state_dict``.

    Raises ValueError where the race keeps none that can be read here."""
    names, written = source.spec.lane_names, set()
    for moment in source.store.snapshots(source.run.id):
        arrays = load_arrays(snapshot_file(source.store.run_folder(source.run.id), moment))
        _save_weights(source, folder, moment.lane, moment.step, arrays)
        written.add((names[moment.lane], moment.step))
    for name, (step, arrays) in (source.last_weights() if source.last_weights else {}).items():
        if (name, step) not in written:
            _save_weights(source, folder, names.index(name), step, arrays)
            written.add((name, step))
    if not written:
        raise ValueError(
            "weights: this race keeps none for the page; set snapshot_interval, or take those of its checkpoint with "
            "python -m ssam export"
        )


def _save_weights(source: Source, folder: Path, place: int, step: int, arrays: Weights) -> None:
    from safetensors.numpy import save_file

    about = {"lane": source.spec.lane_names[place], "step": str(step), "model": source.spec.model, "race": source.run.id}
    whole = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    save_file(whole, folder / f"weights-{source.lane_file(place)}-{step}.safetensors", {"ssam": json.dumps(about)})
