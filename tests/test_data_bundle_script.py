"""The script that makes the bundled data: same input, same bytes, balanced."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np

from ssam.experiment import ASSETS

SCRIPT = ASSETS / "make_fashion_mnist_10k.py"


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def test_it_takes_a_thousand_of_each_class_and_the_whole_test_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(11_000) % 10)
    images = np.repeat(labels[:, None], 4, axis=1).reshape(-1, 2, 2)
    for split, count in (("train", 11_000), ("t10k", 50)):
        write_idx(tmp_path / f"{split}-images-idx3-ubyte.gz", images[:count])
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte.gz", labels[:count])
    for name in ("one.npz", "two.npz"):
        subprocess.run([sys.executable, SCRIPT, tmp_path, "--target", tmp_path / name], check=True, capture_output=True)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as made:
        assert np.bincount(made["train_labels"]).tolist() == [1000] * 10
        assert (made["train_images"] == made["train_labels"][:, None, None]).all()
        assert np.array_equal(made["test_images"], images[:50])
        assert np.array_equal(made["test_labels"], labels[:50])
