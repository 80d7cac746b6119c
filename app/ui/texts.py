"""What the pages say. Measured claims carry their numbers; nothing here is a promise."""

import re
from pathlib import Path

from app.ui.measured import eigenvalue_cost
from ssam.experiment import LaneSpec
from ssam.methods.bases import BASES

WELCOME = "## Watch sharpness-aware training happen"

# What to look for while the recorded race of a preset plays, in place of its summary.
WATCH = {
    "noisy-labels": (
        "40% of the training labels are wrong. **SGD** memorises them: its curve rises, then falls. **SAM** (Sharpness-Aware Minimization) "
        "resists: before each update it goes a short way uphill, and takes the gradient there. **Sparse SAM** (SSAM\u2011F, SSAM\u2011D) "
        "perturbs only half of the weights, and keeps up."
    ),
}
RECORDED = "This race is recorded. Press *Start race* to train it live."
NOT_RECORDED = "Nothing is recorded for these settings."

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
BASE_OPTIMIZERS = {name: base.title for name, base in BASES.items()}
CLOCKS = {"epochs": "equal epochs", "gradients": "equal gradients", "seconds": "equal seconds"}
NORMS = {"full": "full gradient (paper)", "masked": "masked gradient"}
REGIONS = {
    "all": "everywhere",
    "early": "early half",
    "late": "late half",
    "from": "from stage",
    "norm": "normalisation layers",
}
GRANULARITIES = {"weight": "single weights", "tensor": "whole tensors", "block": "blocks (stages)", "n": "N of every M"}
SCORES = {
    "random": "random",
    "magnitude": "magnitude",
    "gradient": "gradient",
    "fisher": "Fisher information",
    "fisher-per-cost": "Fisher per cost",
}

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
    "snapshot_interval": "Keep weights every",
    "eigenvalue_interval": "Measure λ₁ every",
    "device": "Device",
    "validation": "Validation share",
    "base": "Base optimizer",
    "region": "Region",
    "stage": "Stage",
    "granularity": "Granularity",
    "group": "M",
    "score": "Score",
    "direction": "Direction",
    "ascent_batch": "Ascent batch",
    "ascent_interval": "Ascent every",
    "label_smoothing": "Label smoothing",
    "ema": "Weight EMA",
    "patience": "Early stop after",
}

HELP = {
    "lanes": (
        "Each lane is one method; what it perturbs, and how, is set under *Per lane*. SSAM is Sparse SAM with a score of "
        "your choice. For a second lane of a method type it with its settings: `sgd:epochs=6`, `ssam-f:sparsity=0.9`."
    ),
    "sparsity": "Share of the weights that is **not** perturbed.",
    "rho": (
        "Length of the perturbation before a mask is laid over it: its L2 radius over all weights. Lanes with a rho of their own "
        "do not follow it. A mask makes the perturbation shorter, unless the norm is the masked gradient's; the cards show the mean length."
    ),
    "one_rho": (
        "Takes the lanes' own values away, so that *Rho* is that of every lane. Lanes that differ in nothing else become one. A "
        "direction that needs no gradient wants a rho several times as large."
    ),
    "scale_rho": (
        "Multiplies the lanes' own values as *Rho* has been multiplied since they were set, so that their ratios to it stay. Move *Rho* first."
    ),
    "seed": "Decides the first weights, the batches, the noise.",
    "own_seed": "In this class every race gets a seed of its own, given at the start.",
    "label_noise": "Share of training labels replaced by another class.",
    "train_size": "Empty: all training images.",
    "validation": (
        "Share of the training images that is held out, with labels as noisy as the others': to choose settings by, so that the "
        "choice does not see the test set. Evaluated after every epoch. 0: none."
    ),
    "mask_interval": "Epochs between two mask refreshes.",
    "fisher_samples": "Training images behind each mask by Fisher or gradient (SSAM-F, SSAM).",
    "fisher_batch": "Images that share one gradient in the Fisher scores. 1 is exact; more takes fewer gradients and is rougher.",
    "norm": (
        "What ε is divided by. With the full gradient's norm a masked ε is shorter than a dense one of equal rho; "
        "with the masked gradient's its length stays rho."
    ),
    "clock": "What the lanes get the same amount of.",
    "base": (
        "Takes the update from the gradient: at w for SGD's own lane, at w + ε for the others. Learning rate and weight decay change to its scale."
    ),
    "seconds": "Compute time of each lane.",
    "exclusive": (
        "No other race runs at the same time, so nothing disturbs the step times. It starts once all others have ended, "
        "and others wait for it."
    ),
    "snapshot_interval": (
        "Epochs between two moments at which each lane's weights are kept, to be looked at later; its first and last ones are "
        "kept too. Empty: never."
    ),
    "eigenvalue_interval": (
        "Epochs between two estimates of λ₁, the largest eigenvalue of the Hessian, not counted to the lanes' seconds. "
        f"Empty: never. {eigenvalue_cost()}".strip()
    ),
    "image_size": "Images are resized to this many pixels a side. Empty: the data set's own size, 64 for your images. Choosing an upload of "
    "smaller images sets it to their size.",
    "upload": "One folder per class, or training and test folders (train, training; test, val, …) with one folder per class each.",
}

LANE_HELP = {
    "region": (
        "Where weights may be perturbed. With the masked norm the stages before it run once a step, so a step should cost "
        "1 SGD step + the share of the compute from the region's first stage on; with the full norm it costs 2."
    ),
    "stage": "The first stage that is perturbed: 0 is the stem, then come the blocks, the last is the head.",
    "granularity": (
        "What the mask takes or leaves as one. Single weights and N of every M (2 of 4 at sparsity 50%) save no time; "
        "tensors and blocks do with the masked norm, where they leave the first stages unperturbed."
    ),
    "group": "M, 2 to 64: of so many weights in a row N are perturbed, as many as the sparsity leaves.",
    "score": (
        "What the mask ranks weights by. Random and magnitude cost next to nothing; gradient and Fisher cost passes over "
        "the Fisher samples at each mask refresh. Fisher per cost, for blocks, prefers those that are cheap to compute."
    ),
    "norm": (
        "What ε is divided by. The full gradient's norm asks for two full passes; the masked gradient's leaves out what "
        "is not perturbed, and keeps the length of ε at rho."
    ),
    "direction": (
        "What ε follows. The gradient at w costs a second pass; against the momentum buffer or along the last step's "
        "gradient it costs none, about 1 SGD step in all, but asks for a rho of its own."
    ),
    "ascent_batch": "Images of the batch that ε is taken from: a step should cost 1 + their share of the batch.",
    "ascent_interval": "Perturbs in every k-th step only: a step should cost 1 + 1/k on average.",
    "epochs": "The lane's learning rate reaches 0 after so many epochs, at most the race's, and the lane ends.",
    "lr": "The lane's own peak learning rate.",
    "weight_decay": "The lane's own weight decay. SGD with a larger one is a rival of SAM under label noise.",
    "base": "What makes the update from the gradient. Empty learning rate and weight decay change to its scale.",
    "label_smoothing": "Share of each training label that is spread evenly over all classes.",
    "ema": "Decay per step, such as 0.99: what is evaluated is the exponential moving average of the weights, BatchNorm statistics included.",
    "patience": (
        "Epochs without a higher validation accuracy after which the lane stops; the weights of its best epoch count. Needs a "
        "validation share. The learning rate is that of the whole training, broken off."
    ),
}


def lane_words(lane: LaneSpec) -> list[str]:
    """Where and how a lane perturbs, a few words each; nothing for what a lane does anyway.

    >>> lane_words(LaneSpec.parse("ssam-f:region=late:norm=masked:ascent_interval=2"))
    ['late half', 'masked norm', 'every 2 steps']
    """
    regions = {"early": "early half", "late": "late half", "norm": "norm layers"}
    granularities = {"tensor": "whole tensors", "block": "blocks"}
    scores = {"random": "random", "fisher": "by Fisher", "fisher-per-cost": "by Fisher per cost"}
    region, granularity, score = lane.region, lane.granularity, lane.score
    words = {
        "region": regions.get(region, region.replace("-", " stage ")),
        "granularity": granularities.get(granularity, granularity),
        "score": scores.get(score or "", f"by {score}"),
        "norm": f"{lane.norm} norm",
        "direction": f"{lane.direction} direction",
        "ascent_batch": f"ascent from {lane.ascent_batch}",
        "ascent_interval": f"every {lane.ascent_interval} steps",
    }
    return [said for name, said in words.items() if name in lane.own_settings]


def labelled(message: str) -> str:
    """A complaint about settings in the words of the form.

    >>> labelled("batch_size 128 must be at most train_size 100")
    'Batch 128 must be at most Training size 100'
    >>> labelled("rho '' must be a number from 0 to 10")
    'Rho is empty: a number from 0 to 10'
    """
    named = re.sub(r"^\w+|\b[a-z]+_[a-z]+\b", lambda name: LABELS.get(name[0], name[0]), message)
    return re.sub(r" '' must be ", " is empty: ", named)


def plain(text: str) -> str:
    r"""What somebody typed, or what their files are called, as Markdown that shows it letter by letter in one line: no link, no
    picture, no formula, and nothing that turns the direction of reading.

    >>> print(plain("![x](https://a.b) <b>"))
    \!\[x\](https\://a.b) \<b\>
    """
    escaped = re.sub(r"[\\`*_\[\]<>#$~|!&@]|:(?=//)|(?<=www)\.", r"\\\g<0>", text)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in escaped).split())


def file_name(data: str) -> str:
    """An upload as it was called before it was kept, without the folder that it is in.

    >>> file_name("/home/lab/images/cats-0123456789abcdef.zip")
    'cats.zip'
    """
    return re.sub(r"-[0-9a-f]{16}[.]zip$", ".zip", Path(data).name)


def queue_place(position: int, seconds: float | None) -> str:
    """Where a race waits and, where that can be told, for how long.

    >>> queue_place(3, 240)
    '3rd in the queue, starts in about 4 min'
    >>> queue_place(12, None)
    '12th in the queue'
    >>> queue_place(1, 0)
    'starts in a moment'
    """
    place = "next in the queue" if position == 1 else f"{ordinal(position)} in the queue"
    if seconds is None:
        return place
    return "starts in a moment" if seconds < 1 and position == 1 else f"{place}, starts in about {duration(seconds)}"


def ordinal(number: int) -> str:
    """
    >>> ordinal(1), ordinal(12), ordinal(23)
    ('1st', '12th', '23rd')
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


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
