"""What a new duel is asked for, and what it will cost."""

from functools import partial

import streamlit as st

from app.duel import query
from app.shell import identity, nav
from app.ui import long_work, texts
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
        images.append(state["duel_images"])  # someone else's, by its address
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
    return long_work.start_button("duel", lambda: _read(lab), partial(cost, lab), partial(_start, lab))


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


def _read(lab: Lab) -> DuelSpec:
    """Return what the controls show. Raise ValueError, one line, if it is no duel."""
    return query.spec({field.name: st.session_state[f"duel_{field.name}"] for field in query.TABLE.fields}, lab)


def cost(lab: Lab, spec: DuelSpec) -> str:
    """Return how many trainings, and how long they will take here."""
    rate = lab.store.runs.rate(spec.base.device, spec.base.model, shared=True)
    slots = lab.client.slots_of_one()
    sizes = lab.store.uploads.sizes(spec.base.data) if spec.base.data else None
    methods, judged = len(spec.contenders), len(spec.contenders) * spec.seeds
    searches = f"{methods} methods × {spec.seeds} rounds × {spec.trials} trials, and {judged} to judge the winners"
    guess = "" if rate.measured else " (rough estimate)"
    seconds = duel_seconds(spec, rate, sizes) / slots
    return f"{judged * (spec.trials + 1)} trainings ({searches}): about {texts.duration(seconds)} here{guess}."


def _start(lab: Lab) -> None:
    """Start the duel that the controls show; one, however often the button is pressed."""
    with submit_once("duel") as request:
        long_work.show("duel", lab.client.duels.start(_read(lab), request, identity.person(lab)))
