"""The form on the left: session state ↔ RaceSpec. Keys are the names of the spec's fields."""

from typing import Any

import streamlit as st

from app import texts
from app.server import Lab
from ssam.spec import DATASETS, METHODS, MODELS, LaneSpec, RaceSpec, parse_spec, preset, presets

CUSTOM = "custom"
PAIRED = 105  # pixels: two fields side by side in the sidebar
PLAIN = tuple(name for name in RaceSpec.model_fields if name != "lanes")


def fill(spec: RaceSpec) -> None:
    """Sets every control to the spec."""
    for name in PLAIN:
        st.session_state[name] = getattr(spec, name)
    for method in METHODS:
        st.session_state[f"rho_{method}"] = st.session_state[f"sparsity_{method}"] = None
    simple = [lane for lane in spec.lanes if set(lane.own_settings) <= {"rho", "sparsity"}]
    own = {lane.method: lane for lane in reversed(simple)}  # the lane that gets its method's controls
    own |= {lane.method: lane for lane in spec.lanes if str(lane) == lane.method}
    for lane in own.values():
        st.session_state[f"rho_{lane.method}"] = lane.rho
        st.session_state[f"sparsity_{lane.method}"] = lane.sparsity
    st.session_state["lanes"] = [lane.method if lane is own.get(lane.method) else str(lane) for lane in spec.lanes]


def read(lab: Lab) -> RaceSpec:
    """The spec that the controls show; raises ValueError with one line where it is none."""
    values = {name: st.session_state[name] for name in PLAIN if name in st.session_state}
    if values.get("dataset") != "images":
        values["data"] = values["image_size"] = None
    if not (chosen := st.session_state["lanes"]):
        raise ValueError("Choose at least one lane.")
    spec = parse_spec({**values, "lanes": [_lane(option) for option in chosen]})
    if spec.data and spec.data not in lab.store.images():
        raise ValueError(f"There are no uploaded images {spec.data[:60]!r}; choose or upload some.")
    return spec


def form(lab: Lab) -> tuple[RaceSpec | None, str]:
    """Draws the controls. Returns the spec, or None and the one line that says what is wrong with it."""
    _keep_preset_true(lab)
    known = presets()
    st.selectbox(
        "Preset",
        [*known, CUSTOM],
        key="preset",
        format_func=lambda name: known[name].title if name in known else "Custom",
        on_change=_choose_preset,
        help="\n".join(f"- **{entry.title}**: {entry.summary}" for entry in known.values()),
    )
    st.selectbox("Data set", list(DATASETS), key="dataset", format_func=lambda name: DATASETS[name].title)
    if st.session_state["dataset"] == "images":
        _own_images(lab)
    st.selectbox("Model", list(MODELS), key="model", format_func=lambda name: MODELS[name].title)
    extra = [option for option in st.session_state["lanes"] if option not in METHODS]
    st.multiselect(
        "Lanes",
        [*METHODS, *extra],
        key="lanes",
        format_func=lambda option: METHODS[option].title if option in METHODS else option,
        accept_new_options=True,
        placeholder="Choose what to race",
        help=texts.HELP["lanes"],
    )
    st.slider("Sparsity", 0.0, 1.0, step=0.01, format="percent", key="sparsity", help=texts.HELP["sparsity"])
    with st.container(key="numbers", horizontal=True, wrap=False, gap="small"):
        st.number_input("Rho", step=0.05, format="%g", key="rho", width=76)
        st.number_input("Epochs", step=1, key="epochs", width=76)
        st.number_input("Seed", step=1, key="seed", width=76)
    with st.expander("Per lane"):
        _per_lane()
    with st.expander("More"):
        _more(lab)
    try:
        return read(lab), ""
    except ValueError as error:
        return None, str(error)


def _lane(option: str) -> LaneSpec:
    if option not in METHODS:
        return LaneSpec.parse(option.lower())
    method = METHODS[option]
    rho = st.session_state.get(f"rho_{option}") if method.passes > 1 else None
    sparsity = st.session_state.get(f"sparsity_{option}") if method.sparse else None
    return parse_spec({"lanes": [{"method": option, "rho": rho, "sparsity": sparsity}]}).lanes[0]


def _keep_preset_true(lab: Lab) -> None:
    """The preset picker names the preset that the controls show, or "custom"."""
    try:
        spec: RaceSpec | None = read(lab)
    except ValueError:
        spec = None
    matching = (name for name, entry in presets().items() if entry.spec == spec)
    st.session_state["preset"] = next(matching, CUSTOM)


def _choose_preset() -> None:
    if st.session_state["preset"] != CUSTOM:
        fill(preset(st.session_state["preset"]).spec)


def _own_images(lab: Lab) -> None:
    if uploaded := lab.store.images():
        if st.session_state.get("data") is None:
            st.session_state["data"] = uploaded[-1]
        names = uploaded if st.session_state["data"] in uploaded else [*uploaded, st.session_state["data"]]
        st.selectbox("Images", names, key="data")
    st.file_uploader(
        "Upload a zip", type="zip", key="upload", on_change=_keep_upload, args=(lab,), help=texts.HELP["upload"]
    )
    if problem := st.session_state.get("upload_problem"):
        st.error(problem)


def _keep_upload(lab: Lab) -> None:
    st.session_state["upload_problem"] = ""
    if (file := st.session_state["upload"]) is None:
        return
    try:
        st.session_state["data"] = lab.store.save_images(file.name, file)
    except ValueError as error:
        st.session_state["upload_problem"] = str(error)


def _per_lane() -> None:
    chosen = dict.fromkeys(st.session_state["lanes"])  # each once: a typed one may repeat a picked one
    own = [METHODS[option] for option in chosen if option in METHODS and METHODS[option].passes > 1]
    if not own:
        st.caption("No lane here has a rho.")
    for method in own:
        with st.container(horizontal=True, gap="small"):
            for setting in ("rho", "sparsity") if method.sparse else ("rho",):
                st.number_input(
                    f"{method.title} {setting}",
                    value=None,
                    step=0.05,
                    format="%g",
                    placeholder=f"{st.session_state[setting] or 0:g}",
                    key=f"{setting}_{method.name}",
                    width=PAIRED,
                    persist_state="page",
                )


def _more(lab: Lab) -> None:
    with st.container(horizontal=True, gap="small"):
        _number("Batch", "batch_size", step=16)
        _number("Learning rate", "lr", step=0.01)
        _number("Momentum", "momentum", step=0.05)
        _number("Weight decay", "weight_decay", step=1e-4)
        _number("Label noise", "label_noise", step=0.1)
        _number("Training size", "train_size", step=500, empty="all")
        _number("Mask every", "mask_interval", step=1)
        _number("Fisher samples", "fisher_samples", step=64)
    _select("Augmentation", texts.AUGMENTATIONS, "augment")
    _select("Norm", texts.NORMS, "norm")
    _select("Clock", texts.CLOCKS, "clock")
    if st.session_state["clock"] == "seconds":
        _number("Seconds a lane", "seconds", step=10.0)
    if st.session_state["dataset"] == "images":
        _number("Image size", "image_size", step=8, empty="64")
    machine = lab.client.machine()
    devices = {"auto": "automatic"} | {
        device.id: f"{device.id}: {device.name}, {device.memory_gb:.0f} GB"
        for device in (machine.devices if machine else [])
    }
    _select("Device", devices, "device")


def _number(label: str, key: str, step: float, empty: str | None = None) -> None:
    """``empty`` is what an empty field stands for; without it the field cannot be empty."""
    options: dict[str, Any] = {"value": None, "placeholder": empty} if empty else {}
    if isinstance(step, float):
        options["format"] = "%g"
    st.number_input(label, step=step, key=key, width=PAIRED, help=texts.HELP.get(key), persist_state="page", **options)


def _select(label: str, choices: dict[str, str], key: str) -> None:
    shown = st.session_state[key]
    options = list(choices) if shown in choices else [*choices, shown]
    st.selectbox(label, options, key=key, format_func=lambda name: choices.get(name, name), help=texts.HELP.get(key))
