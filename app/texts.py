"""What the pages say. Measured claims carry their numbers; nothing here is a promise."""

import re

from app.measured import accuracies

WELCOME = """
# Watch sharpness-aware training happen

Four optimizers train the same network from the same start on the same images: **SGD**, **SAM**, and two that perturb
only part of the weights, **SSAM-F** and **SSAM-D**. See their accuracy, their masks and what each step costs, live.
"""

PREVIEW = {
    "curves": "**Accuracy** after every epoch, and the loss of every step",
    "masks": "**Masks**: which weights are perturbed, and how that changes",
    "timing": "**Time**: what a step costs, phase by phase",
}

SEEING = {
    "accuracy": (
        "The share of test images that are classified correctly. All lanes start from the same weights and see the "
        "same batches in the same order, so the curves differ only by the method and its settings. A preset may give "
        "lanes a rho of their own, chosen so that a masked perturbation is about as long as the dense one; the cards "
        "show it.",
        "With wrong training labels SGD tends to rise and then to fall: it learns them by heart.",
        *filter(None, (accuracies("noisy-labels"), accuracies("clean-labels"))),
    ),
    "steps": (
        "Training loss: L(w) of each batch before the update. Thin: the mean of neighbouring steps; bold: smoothed. "
        "Lower is not better here when labels are wrong: it means they are being memorised.",
        "Ascent gap: L(w+ε) − L(w), how much the loss rises at the perturbed weights. Effective radius: ‖m⊙ε‖. "
        "With the full norm a mask makes it shorter than rho; a random half leaves about 0.71 rho. So at equal rho a "
        "sparser lane is also one with a smaller radius, unless its rho makes up for it or its norm is masked.",
    ),
    "masks": (
        "Which weights are perturbed in the ascent step. Every cell is a patch of the layer's weights: the stronger the "
        "colour, the larger the share that is perturbed. Only the perturbation is sparse: every weight is still trained.",
        "SSAM-F perturbs the weights with the largest empirical Fisher information. SSAM-D starts at random, then at each "
        "refresh drops its flattest weights and grows as many new ones at random.",
    ),
    "timing": (
        "Where one training step spends its time: the median of each phase over the last few hundred steps. Waiting for "
        "data, evaluation and mask refreshes are left out. × SGD is paired: each step is divided by the SGD step that "
        "ran next to it, so a busy machine slows both.",
        "The price of SAM is its second forward and backward. A mask over single weights does not lower it: both passes "
        "are still computed in full. Lanes with a late region and the masked norm, with a small ascent batch or with a "
        "direction that needs no gradient do save time: see the help beside Lanes.",
    ),
}

PHASES = {
    "forward1": "forward 1",
    "backward1": "backward 1",
    "perturb": "perturb",
    "forward2": "forward 2",
    "backward2": "backward 2",
    "update": "update",
}

STATES = {
    "queued": "Queued",
    "starting": "Starting",
    "running": "Running",
    "paused": "Paused",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Failed",
    "interrupted": "Interrupted",
}

AUGMENTATIONS = {"none": "none", "flip": "flip", "crop-flip": "crop + flip", "crop-flip-cutout": "crop + flip + cutout"}
CLOCKS = {"epochs": "equal epochs", "gradients": "equal gradients", "seconds": "equal seconds"}
NORMS = {"full": "full gradient (paper)", "masked": "masked gradient"}

LABELS = {
    "preset": "Preset",
    "dataset": "Data set",
    "data": "Images",
    "model": "Model",
    "lanes": "Lanes",
    "sparsity": "Sparsity",
    "rho": "Rho",
    "epochs": "Epochs",
    "seed": "Seed",
    "batch_size": "Batch",
    "lr": "Learning rate",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
    "label_noise": "Label noise",
    "train_size": "Training size",
    "mask_interval": "Mask every",
    "fisher_samples": "Fisher samples",
    "fisher_batch": "Fisher batch",
    "image_size": "Image size",
    "augment": "Augmentation",
    "norm": "Norm",
    "clock": "Clock",
    "seconds": "Seconds a lane",
    "device": "Device",
}

HELP = {
    "lanes": (
        "Each lane is one method. Type ssam-f:sparsity=0.9 to add a lane with its own settings. Some save time: "
        "`ssam-f:region=late:norm=masked`, `sam:ascent_batch=32`, `sam:direction=momentum:rho=1`."
    ),
    "sparsity": "Share of the weights that is **not** perturbed.",
    "rho": "Length of the perturbation: its L2 radius over all weights.",
    "seed": "Decides the first weights, the batches, the noise.",
    "label_noise": "Share of training labels replaced by another class.",
    "train_size": "Empty: all training images.",
    "mask_interval": "Epochs between two mask refreshes.",
    "fisher_samples": "Training images behind each Fisher mask (SSAM-F).",
    "fisher_batch": "Images that share one gradient in the Fisher scores. 1 is exact; 8 is cheaper and nearly the same mask.",
    "norm": (
        "What ε is divided by. With the full gradient's norm a masked ε is shorter than a dense one of equal rho; "
        "with the masked gradient's its length stays rho."
    ),
    "clock": "What the lanes get the same amount of.",
    "seconds": "Compute time of each lane.",
    "image_size": "Images are resized to this many pixels a side. Empty: the data set's own size, 64 for your images.",
    "upload": "One folder per class, or train/ and test/ (or val/) with one folder per class each.",
}


def labelled(message: str) -> str:
    """A complaint about settings in the words of the form.

    >>> labelled("batch_size 128 must be at most train_size 100")
    'Batch 128 must be at most Training size 100'
    >>> labelled("rho '' must be a number from 0 to 10")
    'Rho is empty: a number from 0 to 10'
    """
    named = re.sub(r"^\w+|\b[a-z]+_[a-z]+\b", lambda name: LABELS.get(name[0], name[0]), message)
    return re.sub(r" '' must be ", " is empty: ", named)


def duration(seconds: float) -> str:
    """Seconds in words, coarse enough to be true.

    >>> duration(83)
    '1 min 25 s'
    """
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 60:
        return f"{round(seconds / 5) * 5} s"
    if seconds < 600:
        minutes, rest = divmod(round(seconds / 5) * 5, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"
