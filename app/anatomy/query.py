"""The anatomy page's choices: whose step, of which moment, and where in it; session state ↔ address."""

import streamlit as st

from app.anatomy import text as anatomy_text
from app.anatomy import view as anatomy_view
from app.anatomy.data import Anatomy
from app.shell import analysis_job
from app.shell.address import Field, Table, choice
from app.ui import run_labels, run_picker, texts
from app.ui.lab import Lab
from ssam.experiment.analysis import AnalysisSpec
from ssam.store import Person, Run, Store
from ssam.store.views import ALIVE

RECORDED = "recorded"
NEWEST = "newest"
PLACES = ("lane", "layer", "phase")
PHASES = ("loss", "gradient", "norm", "epsilon", "mask", "ascent", "loss2", "second", "restore", "update")


def _epoch(said: str) -> int | str:
    if said == NEWEST:
        return NEWEST
    if said.isascii() and said.isdigit() and len(said) < 7:
        return int(said)
    raise ValueError(f"epoch {said[:40]!r} must be a whole number from 0, or {NEWEST}")


TABLE = Table(
    "anatomy",
    "anatomy",
    (
        Field("run", default=RECORDED),
        Field("epoch", _epoch, default=NEWEST),
        Field("lane"),
        Field("layer"),
        choice("phase", PHASES),
    ),
)


def go(store: Store) -> None:
    """Set what is shown to the address."""
    problems, state = TABLE.load_from_url(), st.session_state
    if (run_id := state["anatomy_run"]) != RECORDED and run_picker.race_of(store, run_id) is None:
        problems.append(f"There is no race {run_id[:40]!r} here")
        state["anatomy_run"] = RECORDED
    state["anatomy_moves"] = state.get("anatomy_moves", 0) + 1
    state["anatomy_at"] = {name: state[f"anatomy_{name}"] for name in PLACES}
    TABLE.complain(problems)


def check(anatomy: Anatomy) -> str:
    """Leave out what the shown step has not; return one line about it."""
    lanes = anatomy.spec.lane_names  # also those that are still to come
    at, problems = st.session_state["anatomy_at"], []
    if (lane := at["lane"]) and lane not in lanes:
        problems.append(f"lane {lane[:40]!r} is none of {', '.join(lanes)}.")
        at["lane"] = st.session_state["anatomy_lane"] = None
    if (layer := at["layer"]) and layer not in {known["name"] for known in anatomy.about["layers"]}:
        problems.append(f"layer {layer[:40]!r} is none of this network's.")
        at["layer"] = st.session_state["anatomy_layer"] = None
    return " ".join(problems)


def write() -> None:
    """Put what is shown into the address. The recorded race has one moment."""
    recorded = st.session_state["anatomy_run"] == RECORDED
    TABLE.push_url(**({"epoch": NEWEST} if recorded else {}))


def seen() -> None:
    """The reader has stopped at another lane, layer or phase in the browser."""
    view = anatomy_view.view()
    if view.get("run") == st.session_state.get("anatomy_run"):
        for name in PLACES:
            st.session_state[f"anatomy_{name}"] = view[name]


# The choices


def choose_race(lab: Lab, person: Person) -> Run | None:
    """None: the step that comes with the lab."""
    shown = st.session_state["anatomy_run"]
    named = None if shown == RECORDED else shown
    found = run_picker.own(lab, person, run_picker.has_weights(lab.store), named)
    known = {run.id: run for run in found}
    if shown not in (RECORDED, *known):
        st.session_state["anatomy_run"] = RECORDED
    labels = {RECORDED: "Recorded: the race “Noisy labels”", **run_labels.labels(found)}
    chosen = st.selectbox(
        "Step of",
        list(labels),
        key="anatomy_run",
        format_func=labels.__getitem__,
        width=560,
        persist_state="session",
        on_change=_other_race,
    )
    return known.get(chosen)


def _other_race() -> None:
    """Its moments are others; lane and layer stay where it has them."""
    st.session_state["anatomy_epoch"] = NEWEST


def choose_moment(lab: Lab, race: Run) -> AnalysisSpec | None:
    """What there is to ask for; None where no weights can be had now."""
    kept = list(lab.client.analyses.kept_epochs(race))
    under_way = race.state in (*ALIVE, "queued")
    options: list[int | str] = ([] if under_way or not race.checkpointed else [NEWEST]) + kept
    if not options:
        return None
    if st.session_state.get("anatomy_epoch") not in options:
        st.session_state["anatomy_epoch"] = options[-1] if under_way else options[0]
    if len(options) == 1:
        epoch = options[0]
    else:
        epoch = st.selectbox(
            "Moment",
            options,
            key="anatomy_epoch",
            format_func=lambda epoch: "latest weights" if epoch == NEWEST else f"after epoch {epoch}",
            width=190,
            persist_state="session",
        )
    epochs = () if epoch == NEWEST else (int(epoch),)
    return AnalysisSpec(kind="anatomy", images=16, epochs=epochs)  # its images are the race's next batch


def button(lab: Lab, race: Run, analysis: AnalysisSpec) -> None:
    st.button(
        "Analyse its next step",
        key="anatomy_measure",
        type="primary",
        icon=":material/footprint:",
        on_click=analysis_job.submit,
        args=(lab, race.id, lambda: analysis, TABLE.prefix),
    )


def show(anatomy: Anatomy, run_id: str) -> None:
    """The step, played, and in words."""
    if problem := check(anatomy):
        st.warning(texts.plain(problem))
    at = {**st.session_state["anatomy_at"], "moves": st.session_state["anatomy_moves"]}
    anatomy_view.draw(anatomy_view.told(anatomy, run_id, at), seen)
    with st.expander("As text", key="anatomy_words"), st.container(width=860):
        st.markdown(anatomy_text.words(anatomy))
