"""What the live panel says of what is seen: more of a finished race than of one under way."""

from app.ui.measured import accuracies, lengths
from ssam.experiment import RaceSpec, preset
from ssam.planning.estimate import HESSIAN_IMAGES, HESSIAN_PRODUCTS

SEEING: dict[str, tuple[str, ...]] = {
    "accuracy": (
        "The share of test images that are classified correctly. All lanes start from the same weights and see the "
        "same batches in the same order, so the curves differ only by the method and its settings. A preset may give "
        "lanes a rho of their own, because a mask makes the perturbation shorter than rho. "
        "That does not make the lengths equal: each card shows its lane's rho and the mean length that came of it.",
    ),
    "steps": (
        "Training loss: L(w) of each batch before the update. Thin: the mean of neighbouring steps; bold: smoothed.",
        "Ascent gap: L(w+ε) − L(w), how much the loss rises at the perturbed weights. Effective radius: ‖m⊙ε‖. "
        "With the full norm a mask makes it shorter than rho; a random half leaves about 0.71 rho. So at equal rho a "
        "sparser lane is also one with a smaller radius, unless its rho makes up for it or its norm is masked.",
        "Gradient norm: of the gradient at w, as far as the step computes it. At w+ε: of the whole gradient there, which the "
        "update is made of; SGD has none.",
    ),
    "masks": (
        "Which weights are perturbed in the ascent step. Every cell is a patch of the layer's weights: the stronger the "
        "colour, the larger the share that is perturbed. Only the perturbation is sparse: every weight is still trained.",
        "SSAM-F perturbs the weights with the largest empirical Fisher information. SSAM-D starts at random, then at each "
        "refresh drops the perturbed weights with the smallest gradient (the paper calls them the flattest) and grows as many new ones "
        "at random. SSAM ranks by the score that you chose. "
        "SAM has a mask where it is kept to a region: all of that, for good.",
    ),
    "timing": (
        "Where one training step spends its time: the median of each phase over the last few hundred steps. Waiting for "
        "data, evaluation and mask refreshes are left out. × SGD is paired: each step is divided by the SGD step that "
        "ran next to it, so a busy machine slows both.",
        "The price of SAM is its second forward and backward. A mask over single weights does not lower it: both passes "
        "are still computed in full. Lanes with a late region and the masked norm, with a small ascent batch or with a "
        "direction that needs no gradient do save time.",
        "Counted: the multiply-accumulates of a step over those of an SGD step, 1 + what each stage runs again. Measured: "
        "the time. What a count leaves out makes the difference: perturbing and restoring the weights, layers that move "
        "data and multiply nothing, and small batches, which a machine computes less efficiently.",
        "The strips show the network's stages, each as wide as its share of the count: grey for the pass that every step "
        "makes, in colour what the ascent adds under the newest mask. So the coloured area is the counted price. A finished "
        "race's time is that of all its steps, under every mask it had. Where only every k-th step perturbs, all numbers "
        "are means over k steps.",
    ),
}

SEEING_CURVE = {  # in place of what is said of the other curves of the steps
    "convergence": (
        "How fast the gradient shrinks: the mean of its squared norm over the first T steps, on logarithmic axes. Bold at w, "
        "dotted at w+ε, each of the batch that the step was made with. Where a point stands for several steps, the mean of "
        "their norms is squared.",
        "The guide line c·log T/√T is the rate proved for SAM and SSAM under the paper's assumptions (Mi et al. 2022), through "
        "the first lane's value at the end of the first epoch. The theorem is about the gradient of the whole loss. Gradients of "
        "batches carry noise that does not vanish, so a curve that ends flat is no contradiction.",
    ),
    "eigenvalue": (
        "λ₁, the largest eigenvalue of the Hessian of the training loss: how sharply the loss bends in its sharpest direction. By "
        f"power iteration on {HESSIAN_IMAGES} training images with the labels that the race trains on, the same for all lanes, "
        "BatchNorm as in evaluation.",
        f"It makes {HESSIAN_PRODUCTS} products of the Hessian with a vector at a time and goes on from the last vector, so the first "
        "estimates are rough. None lies above λ₁ itself. Early in training the eigenvalue of largest magnitude may be a "
        "negative one: power iteration finds that. The residual ‖Hv − λ₁v‖/|λ₁| says how rough: 0 is exact.",
    ),
    "validation": (
        "The share of the training images held out that are classified as their label says. No lane trains on them, so a setting, or a "
        "moment to stop, can be chosen by them without looking at the test set.",
        "Their labels are as noisy as those of training: where 40% are wrong, a network that is always right reaches about 60%.",
    ),
}

MEASURED = {name: accuracies(name) for name in ("noisy-labels", "clean-labels")}


def seeing(spec: RaceSpec, finished: bool) -> dict[str, tuple[str, ...]]:
    """What is said of each panel. What such a race shows is said of a finished one only: before, it would be the answer."""
    if not finished:
        return SEEING
    same = {"seed": 0, "device": "auto"}
    alike = [name for name in MEASURED if preset(name).spec.model_copy(update=same) == spec.model_copy(update=same)]
    accuracy = [MEASURED[name] for name in alike if MEASURED[name]]
    steps = [said for name in alike if (said := lengths(name))]
    if spec.label_noise:
        accuracy.insert(0, "Where a curve rises and then falls, the network has begun to memorise the wrong labels.")
        steps.append(
            "With wrong labels, a lower training loss is not better: it means that more of them are memorised."
        )
    return SEEING | {
        "accuracy": (*SEEING["accuracy"], *accuracy),
        "steps": (*SEEING["steps"], *steps),
    }
