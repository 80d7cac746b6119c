"""What the pages say. Measured claims carry their numbers; nothing here is a promise."""

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
        "same batches, so the curves differ only by the method.",
        "With wrong training labels, SGD first rises and then falls: it learns the wrong labels by heart. "
        "With clean labels expect no visible gain: on 10,000 clean Fashion-MNIST images we measured "
        "SGD 87.7 ± 0.4 % and SAM 87.5 ± 0.6 %.",
    ),
    "steps": (
        "Training loss: L(w) of each batch before the update. Thin: the mean of neighbouring steps; bold: smoothed. "
        "Lower is not better here when labels are wrong: it means they are being memorised.",
        "Ascent gap: L(w+ε) − L(w), how much the loss rises at the perturbed weights. "
        "Effective radius: ‖m⊙ε‖. With the full norm a mask shortens it below rho: a random half to about 0.71 rho. "
        "So a sparser race is also one with a smaller radius, unless the norm is masked.",
    ),
    "masks": (
        "Which weights are perturbed in the ascent step. Every cell is a patch of the layer's weights: the stronger the "
        "colour, the larger the share that is perturbed. Only the perturbation is sparse: every weight is still trained.",
        "SSAM-F perturbs the weights with the largest empirical Fisher information. SSAM-D starts at random, then at each "
        "refresh drops its flattest weights and grows as many new ones at random. "
        "In our noisy-label runs Fisher and random masks ended within noise of each other.",
    ),
    "timing": (
        "Where one training step spends its time: the median of each phase. Waiting for data, evaluation and mask "
        "refreshes are left out. × SGD is paired: each step is divided by the SGD step that ran next to it, "
        "so a busy machine slows both.",
        "The price of SAM is its second forward and backward. A mask over single weights does not lower it: "
        "the second pass is still computed in full. On a CPU we measured 1.9 to 2.1 times SGD for SAM and for Sparse SAM.",
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

HELP = {
    "lanes": "Each lane is one method. Type ssam-f:sparsity=0.9 to add a lane with its own settings.",
    "sparsity": "Share of the weights that is **not** perturbed.",
    "rho": "Length of the perturbation: its L2 radius over all weights.",
    "seed": "Decides the first weights, the batches, the noise.",
    "label_noise": "Share of training labels replaced by another class.",
    "train_size": "Empty: all training images.",
    "mask_interval": "Epochs between two mask refreshes.",
    "fisher_samples": "Training images behind each Fisher mask (SSAM-F).",
    "norm": "What ε is divided by. With the full gradient's norm a mask shortens ε; with the masked one its length stays rho.",
    "clock": "What the lanes get the same amount of.",
    "seconds": "Compute time of each lane.",
    "image_size": "Images are resized to this many pixels a side. Empty: 64.",
    "upload": "One folder per class, or train/ and test/ (or val/) with one folder per class each.",
}


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
