"""Makes assets/fashion-mnist-10k.npz from the four published Fashion-MNIST files.

Takes 1,000 training images of each class, chosen with a fixed seed, and the whole test set; the same input gives the
same bytes. The folder must hold the .gz files of https://github.com/zalandoresearch/fashion-mnist as published,
for example from Debian's package dataset-fashion-mnist:

    python assets/make_fashion_mnist_10k.py FOLDER
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

TARGET = Path(__file__).with_name("fashion-mnist-10k.npz")
CLASSES, PER_CLASS, SEED = 10, 1000, 0


def read_idx(path: Path) -> np.ndarray:
    """One idx file of unsigned bytes: two zero bytes, 8 (the type), the number of axes, their lengths, the data."""
    data = gzip.decompress(path.read_bytes())
    axes = data[3]
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an idx file of unsigned bytes")
    shape = np.frombuffer(data, ">u4", count=axes, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def balanced_rows(labels: np.ndarray) -> np.ndarray:
    """Rows of PER_CLASS images of each class, in the order of the original file."""
    rng = np.random.default_rng(SEED)
    rows = [rng.choice(np.flatnonzero(labels == label), PER_CLASS, replace=False) for label in range(CLASSES)]
    return np.sort(np.concatenate(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the bundled Fashion-MNIST subset.")
    parser.add_argument("folder", type=Path, help="holds the four published .gz files")
    parser.add_argument("--target", type=Path, default=TARGET, help="the .npz file to write")
    given = parser.parse_args()
    images = read_idx(given.folder / "train-images-idx3-ubyte.gz")
    labels = read_idx(given.folder / "train-labels-idx1-ubyte.gz")
    rows = balanced_rows(labels)
    np.savez_compressed(
        given.target,
        train_images=images[rows],
        train_labels=labels[rows],
        test_images=read_idx(given.folder / "t10k-images-idx3-ubyte.gz"),
        test_labels=read_idx(given.folder / "t10k-labels-idx1-ubyte.gz"),
    )
    print(f"{given.target}: {given.target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
