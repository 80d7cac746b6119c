"""What the live panel says of what is seen: more of a finished race than of one under way."""

from app.ui import texts
from app.ui.measured import accuracies, lengths
from ssam.experiment import RaceSpec, preset

MEASURED = {name: accuracies(name) for name in ("noisy-labels", "clean-labels")}


def seeing(spec: RaceSpec, finished: bool) -> dict[str, tuple[str, ...]]:
    """What is said of each panel. What such a race shows is said of a finished one only: before, it would be the answer."""
    if not finished:
        return texts.SEEING
    same = {"seed": 0, "device": "auto"}
    alike = [name for name in MEASURED if preset(name).spec.model_copy(update=same) == spec.model_copy(update=same)]
    accuracy = [MEASURED[name] for name in alike if MEASURED[name]]
    steps = [said for name in alike if (said := lengths(name))]
    if spec.label_noise:
        accuracy.insert(0, "Where a curve rises and then falls, the network has begun to memorise the wrong labels.")
        steps.append(
            "With wrong labels, a lower training loss is not better: it means that more of them are memorised."
        )
    return texts.SEEING | {
        "accuracy": (*texts.SEEING["accuracy"], *accuracy),
        "steps": (*texts.SEEING["steps"], *steps),
    }
