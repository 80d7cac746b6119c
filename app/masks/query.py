"""The masks page's choices: which race, view, layer, lanes and epoch; session state ↔ address."""

import streamlit as st

from app.masks import panel
from app.shell import url_state
from app.ui import live_panel, run_labels, run_picker, step_plan, theme
from app.ui.lab import Lab
from ssam.store import Person, Run, Store, Window

PAGE = "masks"
RUNS = 60  # own races to choose from, the newest
VIEWS = {"network": "Network", "training": "Over training", "often": "How often", "fisher": "Fisher information"}
SETTINGS = ("run", "view", "layer", "lanes", "epoch")


def go(store: Store) -> str:
    """Sets what is shown to the address; what that leaves out stays as it was. Returns one line about what was not understood."""
    asked, problems = dict(st.query_params), []
    st.session_state.setdefault("masks_view", next(iter(VIEWS)))
    if unknown := [name for name in asked if name not in SETTINGS]:
        problems.append(f"{unknown[0][:40]!r} is no setting here; allowed: {', '.join(SETTINGS)}.")
    if run_id := asked.get("run"):
        race = run_picker.race_of(store, run_id)
        if race is None:
            problems.append(f"There is no race {run_id[:40]!r} here.")
        _show(race)
    elif not st.session_state.get("masks_run"):
        race = run_picker.race_of(store, st.session_state.get("run") or "")  # the one that the race page shows
        _show(race if race and step_plan.masked_lanes(race.spec) else None)
    view = asked.get("view", st.session_state["masks_view"])
    if view not in VIEWS:
        problems.append(f"view {view[:40]!r} must be one of {', '.join(VIEWS)}.")
        view = next(iter(VIEWS))
    st.session_state["masks_view"] = view
    race = store.runs.get(st.session_state.get("masks_run") or "")
    problems += _fill(race, asked) if race else []
    return " ".join(problems)


def _show(race: Run | None) -> None:
    """What was chosen for another race does not hold for this one."""
    st.session_state["masks_run"] = race.id if race else None
    for name in ("layer", "lanes", "epoch"):
        st.session_state.pop(f"masks_{name}", None)


def _fill(race: Run, asked: dict[str, str]) -> list[str]:
    """Layer, lanes and epoch of an address, where the race has them; a line for each that it has not."""
    problems = []
    layers = [layer["name"] for layer in race.started_info["layers"]] if race.started_info else []
    if (layer := asked.get("layer")) and layers:
        if layer in layers:
            st.session_state["masks_layer"] = layer
        else:
            problems.append(f"layer {layer[:40]!r} is none of this race's.")
    if lanes := asked.get("lanes"):
        known, wanted = step_plan.masked_lanes(race.spec), lanes.split(",")
        if set(wanted) <= set(known):
            st.session_state["masks_lanes"] = wanted
        else:
            problems.append(f"lanes {lanes[:40]!r} must be of {', '.join(known) or 'a race with masks'}.")
    if epoch := asked.get("epoch"):
        try:
            st.session_state["masks_epoch"] = min(max(float(epoch), 0.0), 1e9)  # NaN becomes 0
        except ValueError:
            problems.append(f"epoch {epoch[:40]!r} must be a number from 0.")
    return problems


def write(race: Run, window: Window | None, lanes: list[str], layer: str | None) -> None:
    """Puts what is shown into the address; what is the default is left out."""
    where = {"run": race.id, "view": st.session_state["masks_view"]}
    if layer and window and layer != live_panel.default_layer(window):
        where["layer"] = layer
    if lanes != step_plan.masked_lanes(race.spec):
        where["lanes"] = ",".join(lanes)
    if (epoch := st.session_state.get("masks_epoch")) is not None:
        where["epoch"] = f"{epoch:g}"
    url_state.put(where, PAGE)


# The choices


def races(lab: Lab, person: Person) -> list[Run]:
    """The own races with masks, and the one that the address names."""
    own = [
        run
        for run in lab.store.runs.newest(RUNS, person.owner)
        if run.started_info and step_plan.masked_lanes(run.spec)
    ]
    shown = st.session_state.get("masks_run")
    if shown and shown not in {run.id for run in own} and (run := run_picker.race_of(lab.store, shown)):
        return [run, *own]
    return own


def choose_race(found: list[Run]) -> Run:
    known = {run.id: run for run in found}
    if st.session_state.get("masks_run") not in known:
        _show(found[0])
    chosen = st.selectbox(
        "Race",
        list(known),
        key="masks_run",
        format_func=run_labels.labels(found).__getitem__,
        on_change=lambda: _show(known[st.session_state["masks_run"]]),
        width=640,
        persist_state="session",
    )
    return known[chosen]


def choose_view() -> str:
    return str(
        st.segmented_control(
            "What to look at",
            list(VIEWS),
            key="masks_view",
            required=True,
            format_func=VIEWS.__getitem__,
            label_visibility="collapsed",
            persist_state="session",
        )
    )


def choose_lanes(race: Run) -> list[str]:
    """Those of the lanes with masks that are shown, in the order of the race; not asked where there is only one."""
    known = step_plan.masked_lanes(race.spec)
    titles = dict(zip(race.spec.lane_names, theme.lane_titles(race.spec), strict=True))
    kept = [name for name in known if name in st.session_state.get("masks_lanes", known)]
    st.session_state["masks_lanes"] = kept
    if len(known) < 2:
        return known
    chosen = st.pills(
        "Lanes",
        known,
        key="masks_lanes",
        selection_mode="multi",
        format_func=titles.__getitem__,
        label_visibility="collapsed",
        persist_state="session",
    )
    return [name for name in known if name in chosen]


def choose_layer(window: Window) -> str:
    """The layer whose masks are shown; one that tells something at first."""
    shapes = {layer["name"]: layer["shape"] for layer in window.layers}
    if st.session_state.get("masks_layer") not in shapes:
        st.session_state["masks_layer"] = live_panel.default_layer(window)
    return str(
        st.selectbox(
            "Layer",
            list(shapes),
            key="masks_layer",
            format_func=lambda name: f"{name} ({'×'.join(map(str, shapes[name]))})",
            label_visibility="collapsed",
            width=300,
            persist_state="session",
        )
    )


def seen() -> None:
    """The reader has chosen a layer or stopped at an epoch in the browser."""
    view = panel.view()
    if view.get("run") == st.session_state.get("masks_run"):
        st.session_state["masks_layer"], st.session_state["masks_epoch"] = view["layer"], view["epoch"]
