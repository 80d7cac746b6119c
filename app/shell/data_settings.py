"""Settings that belong to a data set: they are kept when another one is chosen, and restored with it."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.ui import texts
from ssam.catalogue import DATASETS
from ssam.experiment import RaceSpec, left_behind, preset
from ssam.experiment.race import DATA_SETTINGS

NAMES = tuple(name for name in DATA_SETTINGS if name != "data")  # an upload is restored elsewhere
DEFAULTS = {name: RaceSpec.model_fields[name].default for name in NAMES}
_CHOSEN, _KEPT, _CHANGED = (
    "_data_chosen",
    "_data_kept",
    "_data_changed",
)  # the settings of each data set, and what the last choice changed


def begin() -> None:
    """Forget the settings of earlier data sets: the form has been refilled."""
    st.session_state[_CHOSEN], st.session_state[_KEPT] = st.session_state["dataset"], {}
    st.session_state[_CHANGED] = {}


def choose() -> None:
    """Replace the settings of the previous data set by those of the chosen one."""
    state, kept = st.session_state, st.session_state[_KEPT]
    before = {name: state[name] for name in NAMES}
    kept[state[_CHOSEN]] = before
    state[_CHOSEN] = state["dataset"]
    now = kept.get(state["dataset"], DEFAULTS)
    state[_CHANGED] = {name: (before[name], now[name]) for name in NAMES if before[name] != now[name]}
    for name in NAMES:
        state[name] = now[name]


def note() -> str:
    """Return one line about what the last choice of a data set changed and is still so; empty if nothing."""
    changed = {name: pair for name, pair in st.session_state[_CHANGED].items() if st.session_state[name] == pair[1]}
    return _line({name: f"{_said(name, old)} → {_said(name, new)}" for name, (old, new) in changed.items()})


def ended(words: Mapping[str, str]) -> str:
    """Return one line about what an address with another data set does not take from its preset; empty if nothing."""
    if "preset" not in words or "dataset" not in words:
        return ""
    settings = left_behind(preset(words["preset"]).spec, words)
    shown = {
        name: f"{_said(name, settings[name])} → {_said(name, DEFAULTS[name])}" for name in NAMES if name in settings
    }
    return _line(shown, DATASETS[words["dataset"]].title)


def _line(changes: dict[str, str], title: str = "") -> str:
    """Return what changed with the data set, and where it is set.

    >>> _line({"label_noise": "40% → 0%"}, "CIFAR-10")
    'New data set, CIFAR-10: label noise 40% → 0%. Change it under Training settings.'
    """
    if not changes:
        return ""
    said = ", ".join(f"{texts.LABELS[name].lower()} {change}" for name, change in changes.items())
    title = title or DATASETS[st.session_state["dataset"]].title
    return f"New data set, {title}: {said}. Change {'it' if len(changes) == 1 else 'them'} under Training settings."


def _said(name: str, value: Any) -> str:
    """Return a setting's value as the form shows it.

    >>> _said("label_noise", 0.4), _said("train_size", 4000), _said("train_size", None), _said("image_size", None)
    ('40%', '4,000', 'all', 'its own')
    """
    if value is None:
        return "all" if name == "train_size" else "its own"
    return f"{100 * value:g}%" if name == "label_noise" else f"{value:,}"
