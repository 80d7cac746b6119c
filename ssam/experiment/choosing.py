"""What a sweep chooses by: images held out of the training set, never the test set."""

from collections.abc import Mapping

from ssam.experiment.race import RaceSpec, parse_spec
from ssam.experiment.sweep import SweepSpec, parse_sweep

VALIDATION = 0.2  # of the training images that a new sweep holds out where its race holds out none


def new_sweep(values: Mapping[str, object]) -> SweepSpec:
    """As ``parse_sweep``, for a sweep that is yet to begin: its race holds out images to choose by, VALIDATION of those for training
    where it holds out none.

    >>> new_sweep({"base": RaceSpec(lanes="sam"), "vary": ["rho=0.1,0.2"]}).base.validation
    0.2
    """
    base = values.get("base")
    if isinstance(base, RaceSpec) and not base.validation:
        values = {**values, "base": parse_spec({"validation": VALIDATION}, base)}
    return parse_sweep(values)


def chosen_by(spec: SweepSpec) -> str:
    """Return by what the settings are chosen, and how to read its numbers, in a sentence or two."""
    base = spec.base
    if not base.validation:
        return "No images are held out: settings are chosen by test accuracy, so that of the best one is probably optimistic."
    said = f"{100 * base.validation:g}% of the training images are held out to choose settings by validation accuracy."
    if any(vary.field == "label_noise" for vary in spec.vary):
        return f"{said} Their labels are as noisy as each setting says, so compare only settings of equal label noise."
    if base.label_noise:
        said += (
            f" It is measured against the noisy labels: {100 * base.label_noise:g}% of them are wrong, so even a network "
            f"that is always right reaches only about {100 * (1 - base.label_noise):g}%."
        )
    return said
