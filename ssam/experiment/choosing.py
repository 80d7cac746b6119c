"""The images that a sweep chooses settings by: held out of the training set, never taken from the test set."""

from collections.abc import Mapping

from ssam.experiment.race import RaceSpec, parse_spec
from ssam.experiment.sweep import SweepSpec, parse_sweep

VALIDATION = 0.2  # share of the training images that a new sweep holds out if its race holds out none


def new_sweep(values: Mapping[str, object]) -> SweepSpec:
    """Build a new sweep from loose values, as ``parse_sweep`` does. If its race holds out no images for validation, it holds out the
    share VALIDATION of the training images.

    >>> new_sweep({"base": RaceSpec(lanes="sam"), "vary": ["rho=0.1,0.2"]}).base.validation
    0.2
    """
    base = values.get("base")
    if isinstance(base, RaceSpec) and not base.validation:
        values = {**values, "base": parse_spec({"validation": VALIDATION}, base)}
    return parse_sweep(values)


def chosen_by(spec: SweepSpec) -> str:
    """Return one or two sentences on how settings are chosen and how to read the numbers."""
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
