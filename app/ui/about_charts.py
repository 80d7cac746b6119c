"""What the live panel explains about its charts. Results are mentioned only once the race has finished."""

from app.ui.quoted_numbers import accuracies, lengths
from ssam.experiment import RaceSpec, preset
from ssam.planning.estimate import HESSIAN_IMAGES, HESSIAN_PRODUCTS

SEEING: dict[str, tuple[str, ...]] = {
    "accuracy": (
        "The share of test images that are classified correctly. All lanes start from the same weights and see the "
        "same batches in the same order, so the curves differ only by the method and its settings. A preset may give "
        "lanes their own rho, because a mask makes the perturbation shorter than rho: "
        "each card shows its lane's rho and the mean length that resulted.",
    ),
    "steps": (
        "Training loss: L(w) of each batch before the update. Thin: the mean of neighbouring steps; bold: smoothed.",
        "Ascent gap: L(w+ε) − L(w), how much the loss rises at the perturbed weights. Effective radius: ‖m⊙ε‖. "
        "With the full norm a mask makes it shorter than rho; a random half leaves about 0.71 rho. So at equal rho a "
        "sparser lane also has a smaller radius, unless its own rho compensates or its norm is masked.",
        "Gradient norm: that of the part of the gradient at w that the step computes. At w+ε: that of the full gradient "
        "there, which the update uses; SGD has none.",
    ),
    "masks": (
        "Which weights are perturbed in the ascent step. Every cell is a patch of the layer's weights: full "
        "colour = all perturbed, no colour = none. Only the perturbation is sparse: every weight is still trained.",
        "SSAM-F perturbs the weights with the largest empirical Fisher information. SSAM-D starts at random, then at each "
        "refresh drops the perturbed weights with the smallest gradient (the paper calls them the flattest) and adds the same number of "
        "new ones at random. SSAM ranks weights by the score that you chose. "
        "SAM restricted to a region uses a fixed mask that covers that region.",
    ),
    "timing": (
        "Where a training step spends its time: the median of each phase over the last few hundred steps. Waiting for "
        "data, evaluation and mask refreshes are not included. × SGD is paired: each step is divided by the SGD step that "
        "ran next to it, so a busy machine slows both.",
        "SAM costs more because of its second forward and backward pass. A mask over single weights does not change that: "
        "both passes are still computed in full. Lanes with a late region and the masked norm, with a small ascent batch "
        "or with a direction that needs no gradient do save time.",
        "FLOPs: the multiply-accumulates of a step relative to an SGD step, 1 + what each stage runs again. Measured: "
        "the time. They differ by what the operation count leaves out: perturbing and restoring the weights, layers that "
        "move data without multiplying, and small batches, which use the hardware less efficiently.",
        "The strips show the network's stages, each as wide as its share of the FLOPs: grey for the pass that every step "
        "makes, in colour what the ascent adds under the latest mask. So the coloured area is the extra cost in "
        "FLOPs. The measured time of a finished race covers all its steps and masks. If only every k-th step perturbs, all "
        "numbers are means over k steps.",
    ),
}

SEEING_CURVE = {  # these curves per step have explanations of their own
    "convergence": (
        "How fast the gradient shrinks: the mean of its squared norm over the first T steps, on logarithmic axes. Bold at w, "
        "dotted at w+ε, each on the batch of its step. Where a point stands for several steps, the mean of "
        "their norms is squared.",
        "The guide line c·log T/√T is the rate proved for SAM and SSAM under the paper's assumptions (Mi et al. 2022), through "
        "the first lane's value at the end of the first epoch. The theorem is about the gradient of the whole loss. Gradients of "
        "batches carry noise that does not vanish, so a curve that flattens out does not contradict it.",
    ),
    "eigenvalue": (
        "λ₁, the largest eigenvalue of the Hessian of the training loss: the curvature in its sharpest direction, by "
        f"power iteration on {HESSIAN_IMAGES} training images with the labels used in training, the same for all lanes, "
        "with BatchNorm as in evaluation.",
        f"Each estimate makes {HESSIAN_PRODUCTS} Hessian-vector products and continues from the last vector, so the first "
        "estimates are rough. None exceeds λ₁ itself. Early in training the eigenvalue of largest magnitude may be "
        "negative: power iteration then finds that one. The residual ‖Hv − λ₁v‖/|λ₁| measures the error: 0 is exact.",
    ),
    "validation": (
        "The share of held-out training images that are classified as labelled. No lane trains on them, so they can be used "
        "to choose a setting, or when to stop, without looking at the test images.",
        "Their labels are as noisy as those of training: where 40% are wrong, a network that is always right reaches about 60%.",
    ),
}

MEASURED = {name: accuracies(name) for name in ("noisy-labels", "clean-labels")}
TUNED = f"The SGD of this race was not tuned. {accuracies('tuned-sgd')} The lesson *Is it SAM, or would tuning do?* races it."


def seeing(spec: RaceSpec, finished: bool) -> dict[str, tuple[str, ...]]:
    """Return the explanation of each panel. Results are left out until the race has finished: they would give away the answer."""
    if not finished:
        return SEEING
    same = {"seed": 0, "device": "auto"}
    alike = [name for name in MEASURED if preset(name).spec.model_copy(update=same) == spec.model_copy(update=same)]
    accuracy = [MEASURED[name] for name in alike if MEASURED[name]]
    steps = [said for name in alike if (said := lengths(name))]
    if spec.label_noise:
        accuracy += [TUNED] * ("noisy-labels" in alike)
        accuracy.insert(0, "Where a curve rises and then falls, the network has begun to memorise the wrong labels.")
        steps.append(
            "With wrong labels, a lower training loss is not better: it means that more of them are memorised."
        )
    return SEEING | {
        "accuracy": (*SEEING["accuracy"], *accuracy),
        "steps": (*SEEING["steps"], *steps),
    }
