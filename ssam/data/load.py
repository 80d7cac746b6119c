"""Loading of the data set that a race specifies."""

from dataclasses import replace
from pathlib import Path

from ssam.data.batches import Dataset, Progress, Statistics
from ssam.data.bundled import load_bundled
from ssam.experiment import RaceSpec
from ssam.imagefolder.archive import shown
from ssam.system import expanded

# Mean and standard deviation per channel of the training pixels scaled to 0–1, as in the published recipes.
FASHION = ((0.2860,), (0.3530,))
KNOWN_STATISTICS: dict[str, Statistics] = {
    "fashion-mnist-10k": FASHION,
    "fashion-mnist": FASHION,
    "mnist": ((0.1307,), (0.3081,)),
    "cifar10": ((125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def load_dataset(spec: RaceSpec, home: Path, *, image_root: Path | None = None, progress: Progress) -> Dataset:
    """Load the data set of a race; the first time, it may be downloaded to ``home/downloads``.

    ``image_root`` confines the user's own images: ``spec.data`` is then the name of a file in that folder, otherwise any
    path. ``progress`` is called with what is being done and the share done (None if unknown).

    Raise ValueError, one line that says what is wrong and what to do: no connection, no such folder, too few classes or
    readable images, or a training or batch size larger than the data.
    """
    # Imported here because torchvision takes seconds to import, and the bundled data does not need it.
    if spec.dataset == "images":
        from ssam.data.own_images import load_own

        return _for_race(load_own(image_path(spec.data or "", image_root), spec.input_size, progress), spec)
    if spec.dataset == "fashion-mnist-10k":
        classes, train, test = load_bundled()
    else:
        from ssam.data.torchvision_sets import load_downloaded

        classes, train, test = load_downloaded(spec.dataset, home / "downloads", progress)
    mean, std = KNOWN_STATISTICS[spec.dataset]
    return _for_race(Dataset(classes, len(mean), spec.input_size, train, test, mean, std), spec)


def _for_race(data: Dataset, spec: RaceSpec) -> Dataset:
    """Return the data with the number of training images that the race specifies."""
    available = len(data.train)
    for field in ("train_size", "batch_size"):
        if (getattr(spec, field) or 0) > available:
            raise ValueError(
                f"{field} {getattr(spec, field)} must be at most {available}, the training images there are"
            )
    trained, held = spec.split(available)
    if trained < spec.batch_size:
        raise ValueError(
            f"batch_size {spec.batch_size} must be at most {trained}, the training images less the {held} held out for validation"
        )
    return replace(data, train_size=trained + held)


def image_path(given: str, image_root: Path | None) -> Path:
    """Return the path of the user's own images. Inside ``image_root`` only a plain name is allowed: no folders, no links that lead out."""
    if image_root is None:
        return expanded(given, "data")
    path = image_root / given
    plain = given == Path(given).name and not set(given) & set("/\\\0") and given not in ("", ".", "..")
    if not plain or path.is_symlink():
        raise ValueError(f"data {shown(given)} must be the name of one of the stored image sets")
    if not path.exists():
        raise ValueError(f"the images {shown(given)} are not on this server any more: upload them again")
    return path
