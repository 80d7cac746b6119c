"""The Start button: what the race will cost, what is wrong with the settings, and one race however often it is pressed."""

import secrets
from typing import Literal

import streamlit as st

from app.race import form, seeds
from app.shell import classroom, identity
from app.shell.services import Lab
from app.ui import texts
from ssam.catalogue import DATASETS, METHODS, MODELS
from ssam.experiment import LaneSpec, RaceSpec
from ssam.planning.estimate import estimate_seconds
from ssam.store import Person, Run
from ssam.store.views import ENDED


def describe(spec: RaceSpec) -> str:
    """What is raced, in one line."""
    return f"{describe_without_seed(spec)} · seed {spec.seed}"


def describe_without_seed(spec: RaceSpec) -> str:
    """What several seeds have in common."""
    parts = [f"{MODELS[spec.model].title} on {_images(spec)}"]
    if spec.train_size:
        parts.append(f"{spec.train_size:,} images")
    if spec.label_noise:
        parts.append(f"{spec.label_noise * 100:g} % wrong labels")
    if spec.validation:
        parts.append(f"{spec.validation * 100:g}% held out for validation")
    epochs = f"{spec.epochs} epoch{'s' * (spec.epochs > 1)}"
    budgets = {"gradients": f"{epochs}, equal gradients", "seconds": f"{spec.seconds:g} s a lane"}
    return " · ".join([*parts, budgets.get(spec.clock, epochs)])


def describe_lanes(spec: RaceSpec) -> str:
    """Every lane with what it perturbs, in one line.

    >>> describe_lanes(RaceSpec(lanes="sgd,sam,ssam-f:rho=0.25:norm=masked", rho=0.2))
    'SGD, SAM (ρ 0.2), SSAM-F (ρ 0.25, sparsity 50 %, masked norm)'
    """
    return ", ".join(_lane(spec, lane) for lane in spec.lanes)


def _lane(spec: RaceSpec, lane: LaneSpec) -> str:
    method = METHODS[lane.method]
    said = [f"ρ {spec.lane_rho(lane):g}"] * method.perturbs
    said += [f"sparsity {100 * spec.lane_sparsity(lane):g} %"] * method.sparse
    said += texts.lane_words(lane)
    return f"{method.title} ({', '.join(said)})" if said else method.title


ANALYSES = {
    "sharpness": "Sharpness",
    "curvature": "Curvature",
    "spectrum": "Spectrum",
    "profile": "Profiles",
    "surface": "Surface",
    "fisher": "Fisher information",
    "anatomy": "Anatomy of a step",
}


def title(run: Run) -> str:
    """What is raced, or what is measured of it."""
    what = f"{ANALYSES[run.analysis.kind]} of " if run.analysis else ""
    return what + describe(run.spec)


def _images(spec: RaceSpec) -> str:
    """The data set's title; of own images also the file, as it was called before it was kept."""
    title = DATASETS[spec.dataset].title
    if not spec.data:
        return title
    return f"{title} ({texts.plain(texts.file_name(spec.data))})"


def button(
    lab: Lab,
    spec: RaceSpec | None,
    problem: str,
    shown: Run | None,
    person: Person,
    width: int | Literal["stretch"] = "stretch",
) -> None:
    """The Start button with one line that says how long the race will take, or why it cannot start."""
    st.session_state.setdefault("request_id", secrets.token_urlsafe(16))
    going = spec is not None and seeds.wanted() == 1 and _is_going(shown, spec, person)
    st.button(
        "Start race",
        key="start_race",
        type="primary",
        icon=":material/play_arrow:",
        width=width,
        disabled=spec is None or going,
        on_click=_start,
        args=(lab,),
        shortcut=classroom.shortcut("S"),
    )
    seeds.control(spec)
    if spec is None:
        st.error(texts.plain(problem))
    elif going:
        st.caption("This race is under way. Change a setting to start another.")
    else:
        st.caption(cost(lab, spec) if seeds.wanted() == 1 else f"Each: {cost(lab, spec)}", width="content")


def cost(lab: Lab, spec: RaceSpec) -> str:
    """How long a race will take here."""
    rate = lab.store.rate(spec.device, spec.model)
    sizes = lab.store.image_sizes(spec.data) if spec.data else None
    guess = "" if rate.measured else ", a first guess"
    return f"About {texts.duration(estimate_seconds(spec, rate, sizes))} on this machine{guess}."


def _start(lab: Lab) -> None:
    """Submits what the controls show now. A second click finds the race of the first one under way."""
    try:
        spec = form.read(lab)
    except ValueError:  # the page says what is wrong
        return
    if (count := seeds.wanted()) > 1:
        seeds.show(seeds.start(lab, spec, spec.seed, count, st.session_state["request_id"]))
        st.session_state["reused"] = None
        st.session_state["request_id"] = secrets.token_urlsafe(16)
        return
    run_id = st.session_state.get("run")
    if not _is_going(lab.store.run(run_id) if run_id else None, spec, identity.person(lab)):
        _submit(lab, spec)


def _submit(lab: Lab, spec: RaceSpec, again: bool = False) -> None:
    exclusive = bool(st.session_state.get("exclusive"))
    person, request_id, own = identity.person(lab), st.session_state["request_id"], classroom.own_seed()
    try:
        submitted = lab.client.submit(
            spec, request_id, person, exclusive=exclusive, again=again, class_code=classroom.code(), own_seed=own
        )
    except (ValueError, RuntimeError) as error:  # a limit is reached, or no runner comes up
        st.session_state["notice"] = f"Not started: {error}."
        return
    st.session_state["run"] = submitted.run_id
    if own and (run := lab.store.run(submitted.run_id)):
        st.session_state["seed"] = run.spec.seed
    st.session_state["reused"] = submitted.run_id if submitted.reused else None
    st.session_state["request_id"] = secrets.token_urlsafe(16)
    st.session_state["notice"] = None


def reused(lab: Lab, shown: Run) -> None:
    """Where Start brought a race that was there already: says so, and offers to run it for real."""
    if st.session_state.get("reused") != shown.id or shown.state not in ENDED:
        return
    with st.container(key="reused", horizontal=True, vertical_alignment="center"):
        st.info("This very race, seed included, has been run before. Here it is: a new one would have to wait.")
        st.button("Run it anyway", key="run_anyway", on_click=_submit, args=(lab, shown.spec, True))


def _is_going(run: Run | None, spec: RaceSpec, person: Person) -> bool:
    """Whether just this race of theirs has not ended yet."""
    return run is not None and run.owner == person.owner and run.state not in ENDED and run.spec == spec
