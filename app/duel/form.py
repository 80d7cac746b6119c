"""What a new duel is asked for, and what it will cost."""

import streamlit as st

from app.duel import query
from app.shell import identity, nav
from app.ui import texts
from app.ui.lab import Lab
from app.ui.submit_once import submit_once
from ssam.catalogue import DATASETS, MODELS
from ssam.experiment.duel import BASELINE, MOST, DuelSpec
from ssam.methods import METHODS
from ssam.planning.estimate import duel_seconds

NARROW, WIDE = 150, 260  # pixels
HELP = {
    "noise": "Share of training labels replaced by another class, at random. The images to choose by are as noisy; the test set is clean.",
    "size": "Training images that each training uses, those held out for validation included. 0: all of them.",
    "trials": "Settings that each method tries in each round: as many for every method.",
    "rounds": "Each round tunes every method from scratch and judges its best settings with a new seed. Below 3 there is no answer; "
    "more rounds show smaller differences.",
    "epochs": "The most that one training may take. A method may end earlier: the number of epochs is tuned, too.",
    "budget": "What is held equal. With the same gradient evaluations SGD may train for twice as many epochs as SAM, whose steps cost two.",
    "margin": "The gain, in percentage points of test accuracy, below which you would not pay for the method.",
}


def form(lab: Lab) -> DuelSpec | None:
    """Draw it and the button; return the duel that it describes, None if it is none."""
    state = st.session_state
    own = lab.store.uploads.names(identity.person(lab).owner)
    images = [*query.datasets(), *own]
    if state["duel_images"] not in images:
        images.append(state["duel_images"])  # of somebody else, by its address
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.selectbox("Images", images, key="duel_images", format_func=_images, width=WIDE, persist_state="session")
        st.selectbox(
            "Model",
            list(MODELS),
            key="duel_model",
            format_func=lambda name: MODELS[name].title,
            width=NARROW,
            persist_state="session",
        )
        st.multiselect(
            f"Compare with a tuned {METHODS[BASELINE].title}",
            query.OFFERED,
            key="duel_methods",
            format_func=lambda name: METHODS[name].title,
            max_selections=MOST - 1,
            width=320,
            persist_state="session",
        )
        _number("Noisy labels (%)", "noise", 0, 90)
        _number("Training images", "size", 0, 2_000_000, 500)
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        _number("Trials per search", "trials", 2, 200)
        _number("Rounds (seeds)", "rounds", 2, 20)
        _number("Max. epochs", "epochs", 1, 1000)
        st.selectbox(
            "Budget per training",
            list(query.CLOCKS),
            key="duel_budget",
            format_func=query.CLOCKS.__getitem__,
            width=WIDE,
            help=HELP["budget"],
            persist_state="session",
        )
        st.number_input(
            "Gain worth having (points)",
            min_value=0.1,
            max_value=50.0,
            step=0.5,
            key="duel_margin",
            width=190,
            help=HELP["margin"],
            persist_state="session",
        )
    nav.link("race", "Upload own images on the page Race")
    return _button(lab)


def _images(name: str) -> str:
    return f"Own images: {texts.file_name(name)}" if name.endswith(query.UPLOAD) else DATASETS[name].title


def _number(label: str, name: str, low: int, high: int, step: int = 1) -> None:
    st.number_input(
        label,
        min_value=low,
        max_value=high,
        step=step,
        key=f"duel_{name}",
        width=NARROW,
        help=HELP[name],
        persist_state="session",
    )


def _button(lab: Lab) -> DuelSpec | None:
    spec, problem = None, ""
    try:
        spec = query.spec({field.name: st.session_state[f"duel_{field.name}"] for field in query.TABLE.fields}, lab)
    except ValueError as error:
        problem = str(error)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Start duel",
            key="start_duel",
            type="primary",
            icon=":material/play_arrow:",
            disabled=spec is None,
            on_click=_start,
            args=(lab, spec),
        )
        if spec is None:
            st.error(texts.plain(problem))
        else:
            st.caption(cost(lab, spec))
    return spec


def cost(lab: Lab, spec: DuelSpec) -> str:
    """How many trainings, and how long they will take here."""
    rate = lab.store.runs.rate(spec.base.device, spec.base.model, shared=True)
    machine = lab.client.machine()
    slots = min(machine.slots if machine else lab.client.limits.slots, lab.client.limits.owner_running)
    sizes = lab.store.uploads.sizes(spec.base.data) if spec.base.data else None
    methods, judged = len(spec.contenders), len(spec.contenders) * spec.seeds
    searches = f"{methods} methods × {spec.seeds} rounds × {spec.trials} trials, and {judged} to judge the winners"
    guess = "" if rate.measured else " (rough estimate)"
    seconds = duel_seconds(spec, rate, sizes) / slots
    return f"{judged * (spec.trials + 1)} trainings ({searches}): about {texts.duration(seconds)} here{guess}."


def _start(lab: Lab, spec: DuelSpec) -> None:
    """Start the duel that the controls showed; one, however often the button is pressed."""
    with submit_once("duel") as request:
        st.session_state["duel_duel"] = lab.client.duels.start(spec, request, identity.person(lab))
        st.session_state["duel_pick"] = st.session_state["duel_duel"]
