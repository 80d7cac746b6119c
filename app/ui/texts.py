"""Texts that several pages share: labels and help of settings, states, durations."""

import re
from datetime import date
from pathlib import Path

from app.ui.quoted_numbers import eigenvalue_cost
from ssam.experiment import LaneSpec
from ssam.methods.bases import BASES

WELCOME = "## Watch sharpness-aware training happen"

# What to look for while the recorded race of a preset plays; replaces its summary.
WATCH = {
    "noisy-labels": (
        "40% of the training labels are wrong. **SGD** memorises them: its curve rises, then falls. **SAM** (Sharpness-Aware Minimization) "
        "resists: before each update it checks the loss at a slightly worse nearby point. **Sparse SAM** (SSAM\u2011F, SSAM\u2011D) "
        "does that for only half of the weights, and keeps up. So does an SGD with more weight decay: the lesson *Is it SAM, or would tuning do?* asks about that."
    ),
}
RECORDED = "This race is recorded. Press *Start race* to train it live."
NOT_RECORDED = "There is no recording for these settings."

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
CLOCKS = {"epochs": "equal epochs", "gradients": "equal gradient evaluations", "seconds": "equal compute time"}
NORMS = {"full": "full gradient (paper)", "masked": "masked gradient"}
REGIONS = {
    "all": "all layers",
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
    "lanes": "Methods (lanes)",
    "sparsity": "Sparsity",
    "rho": "Rho",
    "epochs": "Epochs",
    "seed": "Seed",
    "batch_size": "Batch size",
    "lr": "Learning rate",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
    "label_noise": "Label noise",
    "train_size": "Training images",
    "mask_interval": "Refresh mask every",
    "fisher_samples": "Fisher samples",
    "fisher_batch": "Fisher batch",
    "image_size": "Image size",
    "augment": "Augmentation",
    "norm": "Norm",
    "clock": "Budget",
    "seconds": "Seconds per lane",
    "snapshot_interval": "Save weights every",
    "eigenvalue_interval": "Measure λ₁ every",
    "device": "Device",
    "validation": "Validation split",
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
        "Each lane is one method; *Settings for each method* says what it perturbs, and how. SSAM is Sparse SAM with a score of "
        "your choice. To race a method twice, type it with its settings: `sgd:epochs=6`, `ssam-f:sparsity=0.9`."
    ),
    "sparsity": "Share of the weights that is **not** perturbed.",
    "rho": (
        "Length of the perturbation before the mask: its L2 radius over all weights. Lanes with a rho of their own "
        "do not follow it. A mask makes the perturbation shorter, unless the norm is that of the masked gradient; the cards show the mean length."
    ),
    "one_rho": (
        "Removes the lanes' own values, so that *Rho* applies to every lane. Lanes that differ in nothing else are merged. A "
        "direction that needs no gradient needs a rho several times as large."
    ),
    "scale_rho": (
        "Multiplies the lanes' own values by the factor by which *Rho* has changed since they were set. Change *Rho* first."
    ),
    "seed": "Sets the initial weights, batch order and label noise.",
    "own_seed": "In this class the server gives every race a different seed.",
    "label_noise": "Share of training labels replaced by another class, chosen at random (symmetric label noise).",
    "train_size": "Empty: all training images.",
    "validation": (
        "Share of the training images that is held out to choose settings by, so that the choice does not use the test "
        "images. Their labels are as noisy as the others'. Evaluated after every epoch. 0: none."
    ),
    "mask_interval": "Epochs between two mask refreshes.",
    "fisher_samples": "Training images used for each mask by Fisher information or gradient (SSAM-F, SSAM).",
    "fisher_batch": "Images that share one gradient in the Fisher scores. 1 is exact; larger is faster and less exact.",
    "norm": (
        "What ε is divided by. With the norm of the full gradient, a masked ε is shorter than a dense one of equal rho; "
        "with that of the masked gradient, its length stays rho."
    ),
    "clock": "What is held equal across lanes: epochs, gradient evaluations or compute time.",
    "base": (
        "Takes the update from the gradient: at w for SGD's own lane, at w + ε for the others. Learning rate and weight decay change to its scale."
    ),
    "seconds": "Compute time of each lane.",
    "exclusive": (
        "No other race runs at the same time, so nothing disturbs the step times. The race starts when all others have ended, "
        "and others wait for it."
    ),
    "snapshot_interval": (
        "Epochs between two saved copies of each lane's weights, for later analysis; the first and last weights are saved "
        "too. Empty: never."
    ),
    "eigenvalue_interval": (
        "Epochs between two estimates of λ₁, the largest eigenvalue of the Hessian, not counted as the lanes' compute time. "
        f"Empty: never. {eigenvalue_cost()}".strip()
    ),
    "image_size": "Images are resized to this many pixels per side. Empty: the data set's own size; 64 for your images. Choosing an upload "
    "with smaller images sets it to their size.",
    "upload": "One folder per class, or training and test folders (train, training; test, val, …) with one folder per class each.",
}

LANE_HELP = {
    "region": (
        "Which layers may be perturbed. With the masked norm, the stages before the region run only once per step, so a step "
        "should cost 1 SGD step plus the share of the compute from the region's first stage on; with the full norm it costs 2."
    ),
    "stage": "The first stage that is perturbed: 0 is the stem, then the blocks; the last is the head.",
    "granularity": (
        "What the mask selects as a unit. Single weights and N of every M (2 of 4 at sparsity 50%) save no time; "
        "tensors and blocks do, with the masked norm, if they leave the first stages unperturbed."
    ),
    "group": "M, from 2 to 64: of every M weights in a row, N are perturbed; N follows from the sparsity.",
    "score": (
        "How the mask ranks weights. Random and magnitude cost next to nothing; gradient and Fisher information need passes "
        "over the Fisher samples at each mask refresh. Fisher per cost (for blocks) prefers those that are cheap to compute."
    ),
    "norm": (
        "What ε is divided by. The norm of the full gradient needs two full passes; that of the masked gradient leaves out "
        "what is not perturbed, and keeps the length of ε at rho."
    ),
    "direction": (
        "Which direction ε follows. The gradient at w costs a second pass. The momentum buffer (against it) and the last "
        "step's gradient cost none, about 1 SGD step in all, but need a rho of their own."
    ),
    "ascent_batch": "How many images of the batch ε is computed from: a step should cost 1 plus their share of the batch.",
    "ascent_interval": "Perturb only in every k-th step: a step should cost 1 + 1/k on average.",
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
    """Return where and how a lane perturbs, a few words each; defaults are left out.

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
        "ascent_interval": f"every {lane.interval} steps",
    }
    return [said for name, said in words.items() if name in lane.own_settings]


def labelled(message: str) -> str:
    """Return an error message about settings with the labels of the form.

    >>> labelled("batch_size 128 must be at most train_size 100")
    'Batch size 128 must be at most Training images 100'
    >>> labelled("rho '' must be a number from 0 to 10")
    'Rho is empty: a number from 0 to 10'
    """
    named = re.sub(r"^\w+|\b[a-z]+_[a-z]+\b", lambda name: LABELS.get(name[0], name[0]), message)
    return re.sub(r" '' must be ", " is empty: ", named)


def plain(text: str) -> str:
    r"""Return what somebody typed, or named a file, as Markdown that shows it literally in one line: no link, picture or
    formula, and nothing that changes the reading direction.

    >>> print(plain("![x](https://a.b) <b>"))
    \!\[x\](https\://a.b) \<b\>
    """
    escaped = re.sub(r"[\\`*_\[\]<>#$~|!&@]|:(?=//)|(?<=www)\.", r"\\\g<0>", text)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in escaped).split())


def file_name(data: str) -> str:
    """Return the name that an uploaded file had, without its folder.

    >>> file_name("/home/lab/images/cats-0123456789abcdef.zip")
    'cats.zip'
    """
    return re.sub(r"-[0-9a-f]{16}[.]zip$", ".zip", Path(data).name)


def queue_place(position: int, seconds: float | None) -> str:
    """Return a race's place in the queue and, if known, how long it will wait.

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


def day(iso: str) -> str:
    """Return a date as it is read.

    >>> day("2026-11-30")
    '30 November 2026'
    """
    found = date.fromisoformat(iso)
    return f"{found.day} {found:%B %Y}"


def ordinal(number: int) -> str:
    """Return a number as an ordinal.

    >>> ordinal(1), ordinal(12), ordinal(23)
    ('1st', '12th', '23rd')
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def duration(seconds: float) -> str:
    """Return seconds in words, rounded to what the estimate supports.

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
