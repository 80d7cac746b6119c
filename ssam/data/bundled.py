"""The subset of Fashion-MNIST that is bundled with the app."""

import numpy as np
import torch

from ssam.data.in_memory import MemoryImages
from ssam.experiment import ASSETS

FILE = ASSETS / "fashion-mnist-10k.npz"  # made by assets/make_fashion_mnist_10k.py
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load_bundled() -> tuple[tuple[str, ...], MemoryImages, MemoryImages]:
    """Return the class names, 10,000 training images and 10,000 test images (1, 28, 28)."""
    with np.load(FILE, allow_pickle=False) as arrays:
        train, test = (
            MemoryImages(
                torch.from_numpy(arrays[f"{split}_images"])[:, None],
                torch.from_numpy(arrays[f"{split}_labels"]).long(),
            )
            for split in ("train", "test")
        )
    return CLASSES, train, test
