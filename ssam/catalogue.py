"""What can be raced on: models and data sets, and how test images and weights are disturbed, as plain facts.

The form, the address bar, the command line and the engine all read these tables; nothing here imports torch.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """One network. ``parameters`` is for ``classes`` classes and the data set it was published on.

    ``mmacs`` is millions of multiply-accumulates of one forward pass for one image of ``size``×``size`` pixels;
    ``min_size`` is the smallest image side the network makes sense for; ``stages`` the number of its stages; ``norm_layers`` whether it
    has normalisation layers.
    """

    name: str
    title: str
    summary: str
    parameters: int
    classes: int
    channels: int
    size: int
    mmacs: float
    min_size: int
    stages: int
    norm_layers: bool = True


@dataclass(frozen=True)
class Dataset:
    """One data set. Sizes are 0 and channels 3 for ``images``, whose facts come from the files themselves."""

    name: str
    title: str
    summary: str
    classes: int
    channels: int
    size: int
    train: int
    test: int
    bundled: bool
    credit: str


@dataclass(frozen=True)
class Disturbance:
    """One way to disturb test images or weights, from the weakest of ``levels`` to the strongest. ``unit`` says what a level is; ``shown`` is
    the level that charts show first and claims are about; ``none`` is the level that changes nothing. ``suffix`` follows a level in a
    title. ``draws`` is how many random draws are averaged."""

    title: str
    unit: str
    levels: tuple[float, ...]
    none: float = 0.0
    suffix: str = ""
    draws: int = 1

    @property
    def shown(self) -> float:
        return self.levels[2]

    def strength(self, level: float) -> float:
        """Return how far a level is from the one that changes nothing."""
        return abs(level - self.none)

    def at(self, level: float) -> str:
        """Return the title with a level.

        >>> WEIGHT_DISTURBANCES["quantisation"].at(4)
        'Quantisation 4 bits'
        """
        return f"{self.title} {level:g}{self.suffix}"


# Parameter counts are asserted in tests/test_models.py, multiply-accumulates are counted there too.
MODELS = {
    model.name: model
    for model in (
        Model("cnn8", "CNN-8", "Seven small convolutions; the default, quick on a CPU.", 73_890, 10, 1, 28, 1.19, 8, 8),
        Model("resnet20", "ResNet-20", "The small ResNet made for CIFAR.", 269_722, 10, 3, 32, 40.6, 8, 11),
        Model("resnet18", "ResNet-18", "ResNet-18 with a 3×3 stem.", 11_173_962, 10, 3, 32, 555.4, 8, 10),
        Model("wrn-16-4", "WRN-16-4", "Wide ResNet, 16 layers, 4× wide.", 2_748_890, 10, 3, 32, 392.6, 8, 8),
        Model(
            "wrn-28-10",
            "WRN-28-10",
            "Wide ResNet, 28 layers, 10× wide; wants a GPU.",
            36_479_194,
            10,
            3,
            32,
            5243.3,
            8,
            14,
        ),
        Model("vgg11-bn", "VGG-11-BN", "Plain deep convolutions.", 9_231_114, 10, 3, 32, 152.8, 16, 9),
        Model("vit-tiny", "ViT-Tiny", "A small vision transformer without BatchNorm.", 208_842, 10, 3, 32, 15.9, 8, 8),
        Model(
            "mixer", "MLP-Mixer", "Linear layers across patches and channels, in turn.", 31_086, 10, 1, 28, 1.23, 8, 6
        ),
        Model("mlp", "MLP", "Two hidden layers of 256.", 269_322, 10, 1, 28, 0.269, 8, 3, norm_layers=False),
        Model("resnet50", "ResNet-50", "The ImageNet network.", 25_557_032, 1000, 3, 224, 4089.2, 64, 18),
    )
}

DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "fashion-mnist-10k",
            "Fashion-MNIST 10k",
            "10,000 training and all 10,000 test images of clothes; comes with the app.",
            10, 1, 28, 10_000, 10_000, True,
            "Xiao, Rasul & Vollgraf 2017, Zalando SE, MIT licence",
        ),
        Dataset("fashion-mnist", "Fashion-MNIST", "All 60,000 images of clothes.", 10, 1, 28, 60_000, 10_000, False,
                "Xiao, Rasul & Vollgraf 2017, Zalando SE, MIT licence"),
        Dataset("mnist", "MNIST", "Handwritten digits.", 10, 1, 28, 60_000, 10_000, False, "LeCun, Cortes & Burges 1998"),
        Dataset("cifar10", "CIFAR-10", "Colour photographs in 10 classes.", 10, 3, 32, 50_000, 10_000, False, "Krizhevsky 2009"),
        Dataset("cifar100", "CIFAR-100", "Colour photographs in 100 classes.", 100, 3, 32, 50_000, 10_000, False, "Krizhevsky 2009"),
        Dataset("images", "Your own images", "A folder or zip with one folder per class.", 0, 3, 0, 0, 0, False, ""),
    )
}  # fmt: skip

# Levels are of this lab: relative to the range of a pixel or to the side of the image, so they mean the same for images of any size.
CLEAN = "clean"  # the name of images that are not disturbed
DISTURBANCES = {
    "noise": Disturbance("Noise", "standard deviation ÷ pixel range", (0.05, 0.1, 0.25, 0.4)),
    "blur": Disturbance("Blur", "standard deviation ÷ image side", (0.02, 0.04, 0.06, 0.1)),
    "contrast": Disturbance("Low contrast", "share of the contrast removed", (0.3, 0.5, 0.7, 0.85)),
    "shift": Disturbance("Shift", "distance ÷ image side", (0.04, 0.07, 0.11, 0.18)),
    "occlusion": Disturbance("Occlusion", "side of the square ÷ image side", (0.15, 0.25, 0.35, 0.5)),
}
UNDISTURBED = "undisturbed"  # the name of weights that are not disturbed
WEIGHT_DISTURBANCES = {
    "noise": Disturbance("Noise", "standard deviation ÷ RMS of the tensor", (0.1, 0.2, 0.3, 0.4, 0.5), draws=3),
    "quantisation": Disturbance("Quantisation", "bits per weight", (8, 6, 4, 3, 2), none=32, suffix=" bits"),
    "pruning": Disturbance("Pruning", "share of the weights set to 0", (0.2, 0.4, 0.6, 0.8, 0.9)),
}
