"""Numbers that the pages may quote: what was measured of a preset, read from ``assets/measured``."""

import json

from ssam.spec import ASSETS, DATASETS, METHODS, LaneSpec, parse_spec, preset


def accuracies(name: str) -> str:
    """One sentence with the final accuracy of every lane; empty where ``name`` has not been measured.

    >>> accuracies("never-measured")
    ''
    """
    file = ASSETS / "measured" / f"{name}.json"
    if not file.exists():
        return ""
    record = json.loads(file.read_text(encoding="utf-8"))
    spec = parse_spec(dict(change.split("=", 1) for change in record["set"]), preset(record["preset"]).spec)
    lanes = [
        f"{METHODS[LaneSpec.parse(lane['lane']).method].title} {lane['accuracy_mean']:.1f} ± {lane['accuracy_sd']:.1f} %"
        for lane in record["summary"]
    ]
    labels = f"{100 * spec.label_noise:g} % of their labels wrong" if spec.label_noise else "all labels right"
    return (
        f"Measured on {spec.train_size or DATASETS[spec.dataset].train:,} images of {DATASETS[spec.dataset].title}, "
        f"{labels}, {spec.epochs} epochs, seeds {', '.join(str(run['seed']) for run in record['runs'])}: "
        f"{', '.join(lanes)} (mean ± standard deviation)."
    )


def eigenvalue_cost() -> str:
    """One sentence: the share of a race's time that λ₁ took at every epoch; empty where that has not been measured."""
    file = ASSETS / "measured" / "inside.json"
    if not file.exists():
        return ""
    record = json.loads(file.read_text(encoding="utf-8"))
    share, title = record["eigenvalue"]["share"], preset(record["race"]["preset"]).title
    return f"Measured at every epoch of the race *{title}*: {100 * share:.1f} % of its time."
