"""Recorded races, played back by the same live panel that shows a running race."""

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import streamlit as st

from app.ui import live_panel, live_payload, spec_diff, texts
from app.ui.live_types import Before, Heats, Inside, MaskPicture, Replay
from ssam.experiment import ASSETS, RaceSpec, preset, presets
from ssam.store.race_file import Recording, load

FOLDER = ASSETS / "recorded"
SUFFIX = ".json.gz"
PLAYED = "recording_played"  # name of the one that this tab played last
ASKED = "recording_asked"  # digest of the race whose nearest recording the reader has asked for


def names() -> list[str]:
    """Return the names of the recorded races in ``assets/recorded``: those of their presets."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def of(spec: RaceSpec) -> str | None:
    """Return the recording of exactly this race, seed included; None if there is none. The device does not count: ``about``
    names the machine."""
    known = presets()
    likely_first = sorted(
        names(), key=lambda name: name not in known or known[name].spec != spec
    )  # reading one is slow
    return next((name for name in likely_first if not _differing(spec, name)), None)


def nearest(spec: RaceSpec) -> str:
    """Return the recording that differs from a race in the fewest settings, then in the fewest lanes."""
    return min(
        names(), key=lambda name: (len(_differing(spec, name)), len({*spec.lanes} ^ {*read(name).run.spec.lanes}))
    )


def _differing(spec: RaceSpec, name: str) -> set[str]:
    return set(spec_diff.differing([spec, read(name).run.spec])) - {"device"}


def difference(name: str, spec: RaceSpec) -> str:
    """Return how a recording differs from a race, in one line."""
    return spec_diff.said(read(name).run.spec.model_copy(update={"device": spec.device}), spec)


def watch(name: str) -> str:
    """Return what to look for while a recorded race plays."""
    return f"{texts.WATCH.get(name, preset(name).summary)} {texts.RECORDED}"


def draw(name: str, label: str = "Recorded race", before: Before | None = None, inside: Inside | None = None) -> None:
    """Play a recorded race in the live panel, under this label. One per page, instead of ``live.draw``."""
    st.session_state[PLAYED] = name
    recording = read(name)
    view = st.session_state.get(live_panel.KEY, {}).get("view") or {}
    known = [layer["name"] for layer in recording.window.layers]
    layer = view.get("layer") if view.get("layer") in known else live_panel.default_layer(recording.window)
    seconds = sum(lane.seconds for lane in recording.window.lanes)  # training time, one lane after the other
    replay: Replay = {"label": label, "about": about(name, recording), "seconds": seconds}
    live_panel.show(told(name), {"replay": replay, "heats": _heats(recording, str(layer)), "inside": inside}, before)


def offer(spec: RaceSpec) -> None:
    """Offer the nearest recording for a race that has none: it plays only on request, and is labelled as another race."""
    name = nearest(spec)
    title, apart = preset(name).title, texts.plain(difference(name, spec))
    if st.session_state.get(ASKED) == spec.digest:
        st.info(f"**Another race** plays below: *{title}*. It differs from the form: {apart}.")
        draw(name, "Another race, recorded")
        return
    with st.container(key="other_recording", horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            f"Watch another race: {title}", key="watch_other", icon=":material/history:", on_click=_ask, args=(spec,)
        )
        st.caption(f"The nearest recorded one. It differs: {apart}.", width="content")
    live_panel.prepare()


def _ask(spec: RaceSpec) -> None:
    st.session_state[ASKED] = spec.digest


@lru_cache(maxsize=16)
def read(name: str) -> Recording:
    """Read a recorded race; its id is its name, as in addresses. Raise ValueError for an unknown name."""
    if name not in names():
        raise ValueError(f"{name[:60]!r} is not a recorded race; allowed: {', '.join(names())}")
    found = load(Path(FOLDER / f"{name}{SUFFIX}"))
    return replace(found, run=replace(found.run, id=name), window=replace(found.window, run_id=name))


def about(name: str, recording: Recording) -> str:
    """Return what was raced, when and on which machine, in one line."""
    told, info = recording.about, recording.run.started_info or {}
    threads = f"{info['threads']} thread{'s' * (info['threads'] != 1)}"
    machine = f"{told['machine']['cpu']}, {threads}, PyTorch {told['machine']['torch']}"
    return f"{preset(name).title} · {texts.day(told['date'])} · {machine} · seed {recording.run.spec.seed}"


@lru_cache(maxsize=8)
def told(name: str) -> str:
    """Return the live panel's payload of a recorded race, as JSON."""
    recording = read(name)
    race = live_payload.race(recording.run, recording.window, "")
    return json.dumps(race | {"state": "recorded", "status": {"word": "Recorded race", "detail": ""}, "notes": []})


def _heats(recording: Recording, layer: str) -> Heats | None:
    """Return the pictures of one layer's masks at all epochs."""
    maps: dict[str, list[MaskPicture]] = {}
    for lane in recording.window.lanes:
        drawn = [(mask, recording.pictures.get((lane.name, layer, mask["step"]))) for mask in lane.masks]
        if told := [live_payload.mask_picture(mask, picture) for mask, picture in drawn if picture]:
            maps[lane.name] = told
    epochs = sorted({mask["epoch"] for drawn in maps.values() for mask in drawn})
    return {"layer": layer, "epochs": epochs, "maps": maps} if maps else None
