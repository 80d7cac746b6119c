"""The anatomy page's choices: whose step, of which moment, and where in it; session state ↔ address."""

import streamlit as st

from app.anatomy import text as anatomy_text
from app.anatomy import view as anatomy_view
from app.anatomy.data import Anatomy
from app.shell import analysis_job, url_state
from app.ui import run_labels, run_picker, texts
from app.ui.lab import Lab
from ssam.experiment.analysis import AnalysisSpec
from ssam.store import Person, Run, Store
from ssam.store.views import ALIVE

PAGE = "anatomy"
RUNS = 60  # own races to choose from, the newest
RECORDED = "recorded"
NEWEST = "newest"
SETTINGS = ("run", "epoch", "lane", "layer", "phase")
PLACES = ("lane", "layer", "phase")
PHASES = ("loss", "gradient", "norm", "epsilon", "mask", "ascent", "loss2", "second", "restore", "update")


def go(store: Store) -> str:
    """Sets what is shown to the address; returns one line about what was not understood."""
    asked, problems = dict(st.query_params), []
    if unknown := [name for name in asked if name not in SETTINGS]:
        problems.append(f"{unknown[0][:40]!r} is no setting here; allowed: {', '.join(SETTINGS)}.")
    if asked:
        run_id = asked.get("run", RECORDED)
        race = None if run_id == RECORDED else run_picker.race_of(store, run_id)
        if race is None and run_id != RECORDED:
            problems.append(f"There is no race {run_id[:40]!r} here.")
        st.session_state["anatomy_run"] = race.id if race else RECORDED
        st.session_state["anatomy_epoch"] = _epoch(asked.get("epoch"), problems)
        for name in PLACES:
            st.session_state[f"anatomy_{name}"] = asked.get(name)
    st.session_state.setdefault("anatomy_run", RECORDED)
    st.session_state["anatomy_moves"] = st.session_state.get("anatomy_moves", 0) + 1
    st.session_state["anatomy_at"] = {name: st.session_state.get(f"anatomy_{name}") for name in PLACES}
    return " ".join(problems)


def _epoch(text: str | None, problems: list[str]) -> int | str:
    if text is None or text == NEWEST:
        return NEWEST
    if text.isascii() and text.isdigit() and len(text) < 7:
        return int(text)
    problems.append(f"epoch {text[:40]!r} must be a whole number from 0, or {NEWEST}.")
    return NEWEST


def check(anatomy: Anatomy) -> str:
    """Leaves out what the shown step has not; one line about it."""
    lanes = list(anatomy.spec.lane_names)  # also those that are still to come
    known = {"lane": lanes, "layer": [layer["name"] for layer in anatomy.about["layers"]], "phase": list(PHASES)}
    at, problems = st.session_state["anatomy_at"], []
    for name in PLACES:
        if (value := at[name]) is not None and value not in known[name]:
            allowed = "none of this network's" if name == "layer" else f"none of {', '.join(known[name])}"
            problems.append(f"{name} {value[:40]!r} is {allowed}.")
            at[name] = st.session_state[f"anatomy_{name}"] = None
    return " ".join(problems)


def write() -> None:
    """Puts what is shown into the address; what is the default is left out."""
    run_id, epoch = st.session_state["anatomy_run"], st.session_state.get("anatomy_epoch", NEWEST)
    where = {} if run_id == RECORDED else {"run": run_id}
    if run_id != RECORDED and epoch != NEWEST:
        where["epoch"] = str(epoch)
    where |= {name: value for name in PLACES if (value := st.session_state.get(f"anatomy_{name}"))}
    url_state.put(where, PAGE)


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
    found = [
        run
        for run in lab.store.runs.newest(RUNS, person.owner)
        if run.checkpointed or lab.store.analyses.snapshots(run.id)
    ]
    if shown not in (RECORDED, *(run.id for run in found)) and (run := run_picker.race_of(lab.store, shown)):
        found = [run, *found]
    known = {run.id: run for run in found}
    if shown not in (RECORDED, *known):
        st.session_state["anatomy_run"] = RECORDED
    labels = {RECORDED: "Recorded: the race “Noisy labels”", **run_labels.labels(found)}
    chosen = st.selectbox(
        "A step of",
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
            format_func=lambda epoch: "newest weights" if epoch == NEWEST else f"after epoch {epoch}",
            width=190,
            persist_state="session",
        )
    epochs = () if epoch == NEWEST else (int(epoch),)
    return AnalysisSpec(kind="anatomy", images=16, epochs=epochs)  # its images are the race's next batch


def button(lab: Lab, race: Run, analysis: AnalysisSpec) -> None:
    st.button(
        "Take its next step apart",
        key="anatomy_measure",
        type="primary",
        icon=":material/footprint:",
        on_click=analysis_job.submit,
        args=(lab, race.id, lambda: analysis, PAGE),
    )


def show(anatomy: Anatomy, run_id: str) -> None:
    """The step, played, and in words."""
    if problem := check(anatomy):
        st.warning(texts.plain(problem))
    at = {**st.session_state["anatomy_at"], "moves": st.session_state["anatomy_moves"]}
    anatomy_view.draw(anatomy_view.told(anatomy, run_id, at), seen)
    with st.expander("In words", key="anatomy_words"), st.container(width=860):
        st.markdown(anatomy_text.words(anatomy))
