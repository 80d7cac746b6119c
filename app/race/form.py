"""The form on the left: session state ↔ RaceSpec. Keys are the names of the specification's fields."""

from collections.abc import Callable, Collection

import streamlit as st

from app.race import lane_form, own_images, rho_controls
from app.race.lane_form import NARROW, PAIRED
from app.shell import classroom, data_settings
from app.ui import texts
from app.ui.lab import Lab
from ssam.catalogue import DATASETS, MODELS
from ssam.experiment import RaceSpec, parse_spec, preset, presets
from ssam.methods import METHODS
from ssam.methods.bases import BASES

CUSTOM = "custom"
PLAIN = tuple(name for name in RaceSpec.model_fields if name != "lanes")
WIDE = 140  # pixels: a field with a long label
OPTIONAL = {name for name in PLAIN if RaceSpec.model_fields[name].default is None}  # may be left empty


def fill(spec: RaceSpec) -> None:
    """Set every control to the specification."""
    for name in PLAIN:
        st.session_state[name] = getattr(spec, name)
    lane_form.fill(spec.lanes)
    data_settings.begin()
    rho_controls.begin()


def read(lab: Lab) -> RaceSpec:
    """Return the specification that the controls show. Raise ValueError with one line if it is invalid."""
    values = {name: st.session_state[name] for name in PLAIN if name in st.session_state}
    if values["dataset"] != "images":
        values["data"] = None
    elif not values["data"]:
        raise ValueError("Upload a zip of images first.")
    if values["clock"] != "seconds" and values["seconds"] is None:  # emptied, then hidden
        del values["seconds"]
    if not (chosen := st.session_state["lanes"]):
        raise ValueError("Choose at least one lane.")
    lanes = tuple(lane_form.read(option) for option in chosen)
    empty = {name: "" for name, value in values.items() if value is None and name not in OPTIONAL}
    try:
        spec = parse_spec({**values, **empty, "lanes": lanes})
    except ValueError as error:
        raise ValueError(texts.labelled(str(error))) from None
    if spec.data:
        own_images.check(lab, spec)
    return spec


def form(lab: Lab, hidden: Collection[str] = ()) -> tuple[RaceSpec | None, str]:
    """Draw the controls except the ``hidden`` groups, whose settings still apply. Return the specification, or None and one line
    that says what is wrong with it."""
    own_images.prepare(lab)
    _keep_preset_true(lab)
    if hidden:
        _hold()
    for name, draw in GROUPS.items():
        if name not in hidden:
            draw(lab)
    try:
        return read(lab), ""
    except ValueError as error:
        return None, str(error)


def _hold() -> None:
    """Keep the values of controls that are not drawn: Streamlit would forget them."""
    kept = {f"{name}_{method}" for name in lane_form.KEPT for method in METHODS} | {*PLAIN, "lanes"}
    for name in kept & set(st.session_state):
        st.session_state[name] = st.session_state[name]


def _preset(lab: Lab) -> None:
    known = presets()
    st.selectbox(
        texts.LABELS["preset"],
        [*known, CUSTOM],
        key="preset",
        format_func=lambda name: known[name].title if name in known else "Custom",
        on_change=_choose_preset,
        help="\n".join(f"- **{entry.title}**: {entry.summary}" for entry in known.values()),
    )


def _dataset(lab: Lab) -> None:
    st.selectbox(
        texts.LABELS["dataset"],
        list(DATASETS),
        key="dataset",
        format_func=lambda name: DATASETS[name].title,
        on_change=_choose_dataset,
        args=(lab,),
    )
    if note := data_settings.note():
        st.info(texts.plain(note), icon=":material/restart_alt:")
    if st.session_state["dataset"] == "images":
        own_images.controls(lab)


def _model(lab: Lab) -> None:
    st.selectbox(texts.LABELS["model"], list(MODELS), key="model", format_func=lambda name: MODELS[name].title)


def _lanes(lab: Lab) -> None:
    extra = [option for option in st.session_state["lanes"] if option not in METHODS]
    st.multiselect(
        texts.LABELS["lanes"],
        [*METHODS, *extra],
        key="lanes",
        format_func=lambda option: METHODS[option].title if option in METHODS else option,
        accept_new_options=True,
        placeholder="Choose methods to race",
        help=texts.HELP["lanes"],
    )
    rho_controls.chips()


def _sparsity(lab: Lab) -> None:
    label = texts.LABELS["sparsity"]
    st.slider(label, 0.0, 1.0, step=0.01, format="percent", key="sparsity", help=texts.HELP["sparsity"])


def _numbers(lab: Lab) -> None:
    with st.container(key="numbers", horizontal=True, wrap=False, gap="small"):
        for name, step in (("rho", 0.05), ("epochs", 1)):
            _number(name, step, width=NARROW)
        given = classroom.own_seed()
        _number("seed", 1, width=NARROW, disabled=given, about=texts.HELP["own_seed" if given else "seed"])
    rho_controls.form()


def _per_lane(lab: Lab) -> None:
    with st.expander("Settings for each method", key="per_lane", on_change="rerun") as per_lane:
        lane_form.form(st.session_state["lanes"], seen=bool(per_lane.open))


def _folded_more(lab: Lab) -> None:
    with st.expander("Training settings", key="more"):
        _more(lab)


def _keep_preset_true(lab: Lab) -> None:
    """Set the preset picker to the preset that the controls show, or to "custom"."""
    try:
        spec: RaceSpec | None = read(lab)
    except ValueError:
        spec = None
    matching = (name for name, entry in presets().items() if entry.spec == spec)
    st.session_state["preset"] = next(matching, CUSTOM)


def _choose_preset() -> None:
    if st.session_state["preset"] != CUSTOM:
        fill(preset(st.session_state["preset"]).spec)


def _choose_dataset(lab: Lab) -> None:
    data_settings.choose()
    if st.session_state["dataset"] == "images":
        own_images.enter(lab)


def _choose_base() -> None:
    """Learning rate and weight decay change to the scale of the new base optimizer, as a lane's would."""
    state = st.session_state
    [before] = [name for name in BASES if name != state["base"]]  # of the two
    rate = BASES[state["base"]].rate / BASES[before].rate
    for name, times in (("lr", rate), ("weight_decay", 1 / rate)):
        if state[name] is not None:
            state[name] = float(f"{state[name] * times:.6g}")


def _more(lab: Lab) -> None:
    with st.container(horizontal=True, gap="small"):
        _number("batch_size", step=16)
        _number("lr", step=0.01)
        _number("momentum", step=0.05)
        _number("weight_decay", step=1e-4)
        _number("label_noise", step=0.1)
        _number("train_size", step=500, width=WIDE, empty="all")
        _number("validation", step=0.05)
        _number("mask_interval", step=1, width=WIDE)
        _number("fisher_samples", step=64)
        _number("fisher_batch", step=1)
        _number("image_size", step=8, empty=str(DATASETS[st.session_state["dataset"]].size or 64))
        _number("snapshot_interval", step=1, width=WIDE, empty="never")
        _number("eigenvalue_interval", step=1, width=WIDE, empty="never")
    if said := _held_out(lab):
        st.caption(said)
    _select(texts.BASE_OPTIMIZERS, "base", on_change=_choose_base)
    _select(texts.AUGMENTATIONS, "augment")
    _select(texts.NORMS, "norm")
    _select(texts.CLOCKS, "clock")
    if st.session_state["clock"] == "seconds":
        _number("seconds", step=10.0)
    machine = lab.client.machine()
    devices = {"auto": "automatic"} | {
        device.id: f"{device.id}: {device.name}, {device.memory_gb:.0f} GB"
        for device in (machine.devices if machine else [])
    }
    _select(devices, "device")
    st.checkbox("Run with no other race (for reliable step times)", key="exclusive", help=texts.HELP["exclusive"])


def _held_out(lab: Lab) -> str:
    """Return how many images are held out; empty without a validation split or while the settings are invalid."""
    try:
        spec = read(lab)
    except ValueError:
        return ""
    if not spec.validation:
        return ""
    available = lab.store.uploads.sizes(spec.data)[0] if spec.data else DATASETS[spec.dataset].train
    trained, held = spec.split(available)
    return f"Trains on {trained:,} images and holds out {held:,} for validation."


def _number(
    name: str,
    step: float,
    width: int = PAIRED,
    empty: str | None = None,
    disabled: bool = False,
    about: str | None = None,
) -> None:
    """Draw a number field; ``empty`` is the meaning of an empty one, without which ``read`` rejects it."""
    st.number_input(
        texts.LABELS[name],
        value=None,  # an emptied field is empty, not 0
        step=step,
        format="%g" if isinstance(step, float) else None,
        placeholder=empty,
        key=name,
        width=width,
        help=about or texts.HELP.get(name),
        disabled=disabled,
        persist_state="page",
    )


def _select(choices: dict[str, str], name: str, on_change: Callable[[], None] | None = None) -> None:
    shown = st.session_state[name]
    options = list(choices) if shown in choices else [*choices, shown]
    st.selectbox(
        texts.LABELS[name],
        options,
        key=name,
        format_func=lambda choice: choices.get(choice, choice),
        help=texts.HELP.get(name),
        on_change=on_change,
    )


GROUPS: dict[str, Callable[[Lab], None]] = {
    "preset": _preset,
    "dataset": _dataset,
    "model": _model,
    "lanes": _lanes,
    "sparsity": _sparsity,
    "numbers": _numbers,
    "per_lane": _per_lane,
    "more": _folded_more,
}
