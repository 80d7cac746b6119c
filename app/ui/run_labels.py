"""Names and descriptions of races: their settings, when they were started, how they went."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st

from app.ui import texts, theme
from app.ui.lab import Lab
from ssam.catalogue import DATASETS, MODELS
from ssam.experiment import LaneSpec, RaceSpec
from ssam.methods import METHODS
from ssam.methods.bases import BASES, DEFAULT_BASE
from ssam.planning.estimate import estimate_seconds
from ssam.store import Run
from ssam.store.outcome import outcomes


def describe(spec: RaceSpec) -> str:
    """Return what is raced, in one line."""
    return f"{describe_without_seed(spec)} · seed {spec.seed}"


def describe_without_seed(spec: RaceSpec) -> str:
    """Return what several seeds have in common."""
    parts = [f"{MODELS[spec.model].title} on {_images(spec)}"]
    if spec.train_size:
        parts.append(f"{spec.train_size:,} images")
    if spec.label_noise:
        parts.append(f"{spec.label_noise * 100:g}% label noise")
    if spec.base != DEFAULT_BASE:
        parts.append(BASES[spec.base].title)
    if spec.validation:
        parts.append(f"{spec.validation * 100:g}% held out for validation")
    epochs = f"{spec.epochs} epoch{'s' * (spec.epochs > 1)}"
    budgets = {"gradients": f"{epochs}, equal gradient evaluations", "seconds": f"{spec.seconds:g} s per lane"}
    return " · ".join([*parts, budgets.get(spec.clock, epochs)])


def describe_lanes(spec: RaceSpec) -> str:
    """Return every lane with what it perturbs, in one line.

    >>> describe_lanes(RaceSpec(lanes="sgd,sam,ssam-f:rho=0.25:norm=masked", rho=0.2))
    'SGD, SAM (ρ 0.2), SSAM-F (ρ 0.25, sparsity 50%, masked norm)'
    """
    return ", ".join(_lane(spec, lane) for lane in spec.lanes)


def _lane(spec: RaceSpec, lane: LaneSpec) -> str:
    method = METHODS[lane.method]
    said = [f"ρ {spec.lane_rho(lane):g}"] * method.perturbs
    said += [f"sparsity {100 * spec.lane_sparsity(lane):g}%"] * method.sparse
    said += texts.lane_words(lane) + theme.training_words(lane)
    title = method.title if method.perturbs else BASES[spec.lane_base(lane)].title
    return f"{title} ({', '.join(said)})" if said else title


ANALYSES = {
    "sharpness": "Sharpness",
    "curvature": "Curvature",
    "spectrum": "Spectrum",
    "profile": "Profiles",
    "surface": "Surface",
    "fisher": "Fisher information",
    "anatomy": "Anatomy of a step",
    "robustness": "Disturbed images",
    "disturbed_weights": "Disturbed weights",
}


def title(run: Run) -> str:
    """Return what is raced, or what is measured on it."""
    what = f"{ANALYSES[run.analysis.kind]} of " if run.analysis else ""
    return what + describe(run.spec)


def _images(spec: RaceSpec) -> str:
    """Return the data set's title; for uploaded images also the name of the file."""
    title = DATASETS[spec.dataset].title
    if not spec.data:
        return title
    return f"{title} ({texts.plain(texts.file_name(spec.data))})"


def cost(lab: Lab, spec: RaceSpec, per: str = "") -> str:
    """Return how long a race will take here; ``per`` says what the time is for."""
    rate = lab.store.runs.rate(spec.device, spec.model)
    sizes = lab.store.uploads.sizes(spec.data) if spec.data else None
    guess = "" if rate.measured else " (rough estimate)"
    return f"Takes about {texts.duration(estimate_seconds(spec, rate, sizes))}{per} on this machine{guess}."


def labels(found: list[Run]) -> dict[str, str]:
    """Return what is raced and when, by id; with a part of the id if two would read the same: a select box needs distinct options."""
    return distinct({run.id: f"{describe(run.spec)} · {when(run)}" for run in found})


def distinct(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels by id, with a part of the id where two would read the same.

    >>> distinct({"abcdefgh": "SAM", "ijklmnop": "SAM", "qrstuvwx": "SGD"})
    {'abcdefgh': 'SAM · abcdef', 'ijklmnop': 'SAM · ijklmn', 'qrstuvwx': 'SGD'}
    """
    twice = Counter(labels.values())
    return {one: f"{label} · {one[:6]}" if twice[label] > 1 else label for one, label in labels.items()}


def facts(run: Run) -> str:
    """Return when a race was started, how it went, and what sets it apart from others of the same description."""
    parts = [when(run), texts.STATES[run.state].lower()]
    if ends := outcomes(run):
        scores = zip((end.accuracy for end in ends), theme.lane_titles(run.spec), strict=True)
        if known := [(accuracy, title) for accuracy, title in scores if accuracy is not None]:
            best, title = max(known)
            parts.append(f"best final accuracy {100 * best:.1f}% ({title})")
        if lost := sum(end.status == "diverged" for end in ends):
            parts.append(f"{lost} lane{'s' * (lost > 1)} diverged")
    spec = run.spec
    parts.append(", ".join(theme.lane_title(lane, spec.base) for lane in spec.lanes))
    if any(METHODS[lane.method].perturbs and lane.rho is None for lane in spec.lanes):
        parts.append(f"ρ {spec.rho:g}")
    if any(METHODS[lane.method].sparse and lane.sparsity is None for lane in spec.lanes):
        parts.append(f"sparsity {100 * spec.sparsity:g}%")
    return " · ".join(parts)


def when(run: Run) -> str:
    """Return the time of day that a race was started, with the date if that is not today."""
    zone = ZoneInfo(st.context.timezone) if st.context.timezone else None  # the reader's, not the server's
    created, now = datetime.fromtimestamp(run.created, zone), datetime.now(zone)
    return f"{created:%H:%M}" if created.date() == now.date() else f"{created.day} {created:%b %H:%M}"


def waiting(lab: Lab, run: Run) -> str:
    """Return a queued race's place and any other reason why it waits; empty for other races."""
    if run.state != "queued":
        return ""
    place, disk = lab.client.races.forecast(run.id), lab.client.disk()
    said = texts.queue_place(place.position, place.seconds) if place else "in the queue"
    return " · ".join(filter(None, [said, run.message, disk.waits if disk else ""]))
