"""Tables, masks and weights as files."""

import json
import zipfile
from pathlib import Path

import numpy as np

from ssam.export.source import Source, Weights
from ssam.store.arrays import load_arrays, snapshot_file

NO_MASKS = "this race has no exact masks"
NO_WEIGHTS = (
    "no weights were saved: set snapshot_interval before the race; python -m ssam export has those of its checkpoint"
)


def csv(source: Source, folder: Path) -> None:
    """Write ``evaluations.csv`` and ``steps.csv`` in full precision; missing values are empty.

    Each row names its race, data set, model, seed and lane, and how the lane ended, so that files of many races can be joined."""
    source.evaluations.to_csv(folder / "evaluations.csv", index=False)
    source.steps.to_csv(folder / "steps.csv", index=False)
    _metadata(source, folder)


def parquet(source: Source, folder: Path) -> None:
    """Write the same two tables, with types."""
    source.evaluations.to_parquet(folder / "evaluations.parquet", index=False)
    source.steps.to_parquet(folder / "steps.parquet", index=False)
    _metadata(source, folder)


def _metadata(source: Source, folder: Path) -> None:
    """Write ``metadata.json`` for races of own images: what their numbers are based on, and what was left out."""
    if source.notes:
        facts = {"run": source.run.id, "classes": source.info["classes"], "test_images": source.info["test_size"]}
        text = json.dumps(facts | {"data_notes": source.notes}, indent=2, ensure_ascii=False)
        (folder / "metadata.json").write_text(text + "\n", encoding="utf-8")


def masks(source: Source, folder: Path) -> None:
    """Write a file per masked lane: ``STEP/LAYER`` is a bool array of the layer's shape, True = perturbed from that step on.

    Raise ValueError if there are no exact masks (networks of more than a million weights, old races on a full disk)."""
    written = False
    for lane, name in enumerate(source.spec.lane_names):
        file = folder / f"masks-{source.lane_file(lane)}.npz"
        steps = [step for step, _, _ in source.store.curves.mask_densities(source.run.id, name)]
        kept = ((step, bits) for step in steps if (bits := source.store.curves.mask_bits(source.run.id, name, step)))
        if first := next(kept, None):
            written = True
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:  # one mask in memory, not all
                for step, bits in (first, *kept):
                    for layer, mask in bits.items():
                        with archive.open(f"{step}/{layer}.npy", "w") as member:
                            np.lib.format.write_array(member, np.ascontiguousarray(mask), allow_pickle=False)
    if not written:
        raise ValueError(NO_MASKS)


def why_no_masks(source: Source) -> str:
    """Return why there is none, or an empty text: by the latest mask of each lane."""
    kept = (source.store.curves.mask_bits(source.run.id, name) for name in source.spec.lane_names)
    return "" if any(bits is not None for bits in kept) else NO_MASKS


def weights(source: Source, folder: Path) -> None:
    """Write a safetensors file per lane and saved moment, by the names of ``state_dict``.

    Raise ValueError if the race has none that can be read here."""
    names, written = source.spec.lane_names, set()
    for moment in source.store.analyses.snapshots(source.run.id):
        arrays: Weights = load_arrays(snapshot_file(source.store.run_folder(source.run.id), moment))
        _save_weights(source, folder, moment.lane, moment.step, arrays)
        written.add((names[moment.lane], moment.step))
    try:
        last = source.last_weights() if source.last_weights else {}
    except ValueError:
        if not written:
            raise
        last = {}
    for name, (step, arrays) in last.items():
        if (name, step) not in written:
            _save_weights(source, folder, names.index(name), step, arrays)
            written.add((name, step))
    if not written:
        raise ValueError(NO_WEIGHTS)


def why_no_weights(source: Source) -> str:
    """Return why there are none, or an empty text."""
    return "" if source.last_weights or source.store.analyses.snapshots(source.run.id) else NO_WEIGHTS


def _save_weights(source: Source, folder: Path, lane: int, step: int, arrays: Weights) -> None:
    from safetensors.numpy import save_file

    about = {
        "lane": source.spec.lane_names[lane],
        "step": str(step),
        "model": source.spec.model,
        "race": source.run.id,
    }
    whole = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    save_file(whole, folder / f"weights-{source.lane_file(lane)}-{step}.safetensors", {"ssam": json.dumps(about)})
