"""The masks page's choices: which race, view, layer, lanes and epoch; session state ↔ address."""

import streamlit as st

from app.masks import panel
from app.shell import fallback
from app.shell.address import Field, Table, choice, epoch, parts
from app.ui import live_panel, recorded, run_picker, step_plan, theme
from app.ui.lab import Lab
from ssam.experiment import preset
from ssam.store import Person, Run, Store, Window

VIEWS = {
    "network": "Network",
    "training": "Over training",
    "often": "Selection frequency",
    "fisher": "Fisher information",
}
FIRST = "noisy-labels"  # the recording that is shown first: its lanes refresh their masks every epoch

TABLE = Table(
    "masks",
    "masks",
    (
        Field("run", always=True),
        choice("view", VIEWS, next(iter(VIEWS)), always=True),
        Field("layer"),
        Field("lanes", parts, ",".join),
        Field("epoch", epoch, "{:g}".format),
    ),
)


def go(store: Store) -> None:
    """Set what is shown to the address: of the race that it names, else of the one that was shown here or on the race page."""
    problems, names = TABLE.load_from_url(), recordings()
    named = fallback.named(TABLE, names[0])
    race = recorded.read(named).run if named in names else None
    race = race or run_picker.race_of(store, named or st.session_state.get("run") or "")
    if named and race is None:
        problems.append(f"There is no race {named[:40]!r} here")
    if race is None or not (named or step_plan.masked_lanes(race.spec)):
        _fresh(None)
    else:
        st.session_state["masks_run"] = race.id
        problems += _leave_out(race)
    TABLE.complain(problems)


def recordings() -> list[str]:
    """Return the names of the recorded races with masks, the one that is shown first before the others."""
    names = [name for name in recorded.names() if step_plan.masked_lanes(preset(name).spec)]
    return sorted(names, key=lambda name: name != FIRST)


def _fresh(run: str | None) -> None:
    """What was chosen for another race does not hold for this one."""
    st.session_state["masks_run"] = run
    for name in ("layer", "lanes", "epoch"):
        st.session_state[f"masks_{name}"] = None


def _leave_out(race: Run) -> list[str]:
    """Layer and lanes that the race has not; a line for each."""
    problems, state = [], st.session_state
    layers = [layer["name"] for layer in race.started_info["layers"]] if race.started_info else []
    if (layer := state["masks_layer"]) and layers and layer not in layers:
        problems.append(f"layer {layer[:40]!r} is none of this race's")
        state["masks_layer"] = None
    known, lanes = step_plan.masked_lanes(race.spec), state["masks_lanes"] or []
    if not set(lanes) <= set(known):
        problems.append(f"lanes {','.join(lanes)[:40]!r} must be of {', '.join(known) or 'a race with masks'}")
        state["masks_lanes"] = None
    return problems


def write(race: Run, window: Window | None, lanes: list[str], layer: str | None) -> None:
    """Put what is shown into the address."""
    usual = live_panel.default_layer(window) if window else layer
    every = step_plan.masked_lanes(race.spec)
    TABLE.push_url(run=race.id, layer=None if layer == usual else layer, lanes=None if lanes == every else lanes)


# The choices


def choose_race(lab: Lab, person: Person) -> Run | str | None:
    """Return one of the own races with masks, or the one that the address names, or the name of a recorded one."""
    shown, names = st.session_state["masks_run"], recordings()
    own = run_picker.own(lab, person, _has_masks, None if shown in names else shown)
    return fallback.choose(TABLE, own, names, _fresh)


def _has_masks(race: Run) -> bool:
    return bool(race.started_info and step_plan.masked_lanes(race.spec))


def choose_lanes(race: Run) -> list[str]:
    """Those of the lanes with masks that are shown, in the order of the race; not asked where there is only one."""
    known = step_plan.masked_lanes(race.spec)
    titles = dict(zip(race.spec.lane_names, theme.lane_titles(race.spec), strict=True))
    wanted = st.session_state.get("masks_lanes")
    st.session_state["masks_lanes"] = [name for name in known if wanted is None or name in wanted]
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
