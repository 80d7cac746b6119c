"""The form of a new sweep: lane, parameters, strategy, objective, budget."""

from functools import partial

import streamlit as st

from app.shell import identity
from app.sweeps import query
from app.ui import long_work, run_labels, texts, theme
from app.ui.lab import Lab
from app.ui.submit_once import submit_once
from ssam.catalogue import DATASETS
from ssam.experiment.choosing import chosen_by
from ssam.experiment.sweep import MAX_FIELDS, SweepSpec
from ssam.planning.estimate import estimate_seconds

NARROW = 130  # pixels
HELP = {
    "vary": "Values separated by commas: `0.1, 0.2, 0.4`. Or a range: `0.02..1`, with `:log` for a logarithmic scale.",
    "method": "A grid trains every combination. Bayesian search (TPE) tries settings near the best so far.",
    "pruning": (
        "Stops a trial that falls behind. Median: worse than half of the finished ones. Hyperband: only the best third continues, "
        "repeatedly. Settings that start slowly may be lost."
    ),
    "cost": "With a cost there is no single best: the figure *Trade-off* shows the Pareto front.",
    "seeds": "Trials of each combination, each with its own seed. The score is the mean of their validation accuracies.",
    "minutes": "Total training time of all trials, in minutes. Empty: no limit.",
    "gradients": "Total forward+backward passes of all trials. Empty: no limit.",
    "races": "Empty: no limit; a grid ends by itself.",
}


def form(lab: Lab) -> SweepSpec | None:
    """Draw the form and its button; return the sweep, None if the form is invalid."""
    base = query.race()
    lane = query.lane_said(base, st.session_state["sweep_lane"])
    st.caption(
        f"The race: {run_labels.describe(base)}. The lane: {lane}. Both are taken from the Race page; edit them there."
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        titles = theme.lane_titles(base)
        st.selectbox(
            "Lane",
            range(len(base.lanes)),
            key="sweep_lane",
            width=170,
            format_func=lambda place: titles[place] if place < len(titles) else "",
            on_change=_other_lane,
            help="The method that is trained, alone. Its final validation accuracy is the score.",
            persist_state="session",
        )
        _choice("Strategy", query.METHOD_TITLES, "method", 230)
        offered = query.fields(base.lanes[st.session_state["sweep_lane"]])
        if st.session_state["sweep_fields"] is None:
            st.session_state["sweep_fields"] = query.first_fields(base.lanes[st.session_state["sweep_lane"]])
        extra = [field for field in st.session_state["sweep_fields"] if field not in offered]
        st.multiselect(
            "Parameters",
            [*offered, *extra],
            key="sweep_fields",
            format_func=query.title,
            max_selections=MAX_FIELDS,
            width=380,
            persist_state="session",
        )
    method = st.session_state["sweep_method"]
    with st.container(horizontal=True, gap="small", key="sweep_vary"):
        for field in st.session_state["sweep_fields"]:
            key = f"sweep_vary_{field}_{method}"
            st.session_state.setdefault(key, query.first(field))
            st.text_input(
                query.title(field), key=key, max_chars=200, width=230, help=HELP["vary"], persist_state="session"
            )
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        _number("Max. trials", "races", 1)
        _number("Time budget (min)", "minutes", 1.0)
        _number("Gradient budget", "gradients", 10_000)
        _number("Seeds per setting", "seeds", 1)
        _choice("Objective", query.COSTS, "cost", 220)
        _choice("Pruning", query.PRUNINGS, "pruning", 130)
    spec = long_work.start_button("sweep", query.read, partial(cost, lab), partial(_start, lab))
    if spec is not None:
        st.caption(f"{chosen_by(spec)}{_images(lab, spec)} The test images are not used for the choice.")
    return spec


def _images(lab: Lab, spec: SweepSpec) -> str:
    """Return how many images are held out, unless their number varies."""
    if any(vary.field in ("dataset", "train_size") for vary in spec.vary):
        return ""
    base = spec.base
    available = lab.store.uploads.sizes(base.data)[0] if base.data else DATASETS[base.dataset].train
    trained, held = base.split(available)
    return f" Each trial trains on {trained:,} images and is validated on {held:,}."


def cost(lab: Lab, spec: SweepSpec) -> str:
    """Return how many trials, and how long they will take here."""
    rate = lab.store.runs.rate(spec.base.device, spec.base.model, shared=True)
    slots = lab.client.slots_of_one()
    one = estimate_seconds(spec.base, rate, lab.store.uploads.sizes(spec.base.data) if spec.base.data else None)
    races = spec.most_races
    at_once = f", {slots} at once" if slots > 1 else ""
    if spec.minutes and (races == 1000 or races * one > 60 * spec.minutes):
        return f"Until {spec.minutes:g} minutes of training{at_once}. A trial takes about {texts.duration(one)}."
    if races == 1000 and spec.gradients:
        return f"Until {spec.gradients:,} gradient evaluations{at_once}. A trial takes about {texts.duration(one)}."
    guess = "" if rate.measured else " (rough estimate)"
    pruned = ", less with pruning" if spec.pruning != "none" else ""
    return (
        f"{races} trial{'s' * (races > 1)}{at_once}: about {texts.duration(races * one / slots)} here{guess}{pruned}."
    )


def _start(lab: Lab) -> None:
    """Start the sweep that the controls show, once however often the button is pressed."""
    with submit_once("sweep") as request:
        long_work.show("sweep", lab.client.sweeps.start(query.read(), request, identity.person(lab)))


def _other_lane() -> None:
    """Drop parameters that the new lane does not have."""
    lane = query.race().lanes[st.session_state["sweep_lane"]]
    kept = [field for field in st.session_state["sweep_fields"] or [] if field in query.fields(lane)]
    st.session_state["sweep_fields"] = kept or query.first_fields(lane)


def _choice(label: str, choices: dict[str, str], name: str, width: int) -> None:
    st.selectbox(
        label,
        list(choices),
        key=f"sweep_{name}",
        format_func=choices.__getitem__,
        width=width,
        help=HELP[name],
        persist_state="session",
    )


def _number(label: str, name: str, step: float) -> None:
    st.number_input(
        label,
        value=None,
        min_value=type(step)(1) if name == "seeds" else None,
        step=step,
        format="%g" if isinstance(step, float) else None,
        key=f"sweep_{name}",
        width=NARROW,
        placeholder="no limit" if name != "seeds" else None,
        help=HELP[name],
        persist_state="session",
    )
