"""The user's own images in the form: upload, choose, delete, and a preview of what the network will see."""

import streamlit as st

from app.shell import identity
from app.ui import texts
from app.ui.lab import Lab
from ssam.catalogue import MODELS
from ssam.experiment import RaceSpec
from ssam.imagefolder.contents import natural_size, resized
from ssam.imagefolder.preview import Preview
from ssam.store.views import ENDED

USUAL = natural_size(10_000)  # the input size of own images if none is given
THUMBNAIL = 52  # pixels
NAMED = 5  # races listed in the question before an upload is deleted


def controls(lab: Lab) -> None:
    """Draw the choice of an upload, a box for a new one, and a preview of the images."""
    uploaded = lab.store.uploads.names(
        identity.person(lab).owner
    )  # others' uploads are not listed: whoever knows a name may use it
    if uploaded:
        if st.session_state.get("data") is None:
            _choose(lab, uploaded[-1])
        names = uploaded if st.session_state["data"] in uploaded else [*uploaded, st.session_state["data"]]
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            st.selectbox(texts.LABELS["data"], names, key="data", on_change=_chosen, args=(lab,))
            _deletion(lab, st.session_state["data"], st.session_state["data"] in uploaded)
    st.file_uploader("Upload a zip", type="zip", key="upload", on_change=_keep, args=(lab,), help=texts.HELP["upload"])
    if problem := st.session_state.get("upload_problem"):
        st.error(texts.plain(problem))
    elif (name := st.session_state.get("data")) in lab.store.uploads.names():
        _view(lab, str(name))


def check(lab: Lab, spec: RaceSpec) -> None:
    """Raise ValueError if an upload is missing, invalid or too small, rather than let the race fail at once."""
    name = str(spec.data)
    if name not in lab.store.uploads.names():
        raise ValueError(f"There is no upload {name[:60]!r}; choose one or upload images.")
    found = lab.store.uploads.preview(name)
    if found.problem:
        raise ValueError(found.problem)
    for field in ("train_size", "batch_size"):
        if (asked := getattr(spec, field) or 0) > sum(found.train):
            raise ValueError(
                f"{texts.LABELS[field]} {asked} must be at most {sum(found.train)}, the training images of this upload."
            )
    trained, held = spec.split(sum(found.train))
    if trained < spec.batch_size:
        raise ValueError(
            f"{texts.LABELS['batch_size']} {spec.batch_size} must be at most {trained}: of the {trained + held} training images of "
            f"this upload {held} are held out for validation."
        )


def prepare(lab: Lab) -> None:
    """Read the images of the chosen upload before the form needs them; the first time this may take a while."""
    if (
        st.session_state.get("dataset") == "images"
        and (name := st.session_state.get("data")) in lab.store.uploads.names()
    ):
        with st.spinner("Reading the images…"):
            _preview(lab, str(name))


def _forget_size() -> None:
    """Undo an input size that an upload brought with it."""
    if (
        st.session_state.get("own_size") is not None
        and st.session_state.get("image_size") == st.session_state["own_size"]
    ):
        st.session_state["image_size"] = None
    st.session_state["own_size"] = None


def enter(lab: Lab) -> None:
    """Set the input size of the remembered upload when own images are chosen."""
    if st.session_state.get("data"):
        _chosen(lab)


def _preview(lab: Lab, name: str) -> Preview | str:
    """Return what a race would find, or one line that says why it would be refused."""
    try:
        found = lab.store.uploads.preview(name)
    except ValueError as error:
        return str(error)
    return found.problem or found


def _choose(lab: Lab, name: str) -> None:
    st.session_state["data"] = name
    _chosen(lab)


def _chosen(lab: Lab) -> None:
    """Set the input size to that of small images, so that they are not enlarged unless the user asks for it."""
    found = _preview(lab, st.session_state["data"]) if st.session_state["data"] in lab.store.uploads.names() else ""
    size = natural_size(found.sides[1]) if isinstance(found, Preview) and found.sides[1] else USUAL
    size = max(size, MODELS[st.session_state["model"]].min_size)
    _forget_size()
    if size != USUAL and st.session_state.get("image_size") is None:
        st.session_state["image_size"] = st.session_state["own_size"] = size


def _keep(lab: Lab) -> None:
    st.session_state["upload_problem"] = ""
    if (file := st.session_state["upload"]) is None:
        return
    try:
        # The rest of the disk is for races, which would otherwise wait for ever.
        most = lab.client.limits.disk_gb * 1e9 / 2
        _choose(lab, lab.store.uploads.save(file.name, file, identity.person(lab).owner, most))
    except ValueError as error:
        st.session_state["upload_problem"] = str(error)


def _view(lab: Lab, name: str) -> None:
    """Draw the classes with their counts, the split, what was skipped, and a few images as the network sees them."""
    found = _preview(lab, name)
    if isinstance(found, str):
        return  # shown next to Start
    size = st.session_state.get("image_size") or USUAL
    with st.container(key="upload_view", gap="small"):
        st.markdown(_sizes(found))
        if images := lab.store.uploads.thumbnails(name, size) if 8 <= size <= 512 else ():
            st.image([image for _, image in images], [texts.plain(label)[:12] for label, _ in images], THUMBNAIL)
        st.caption("Training images as the network sees them. " + _sentence(resized(size, found.sides)))
        st.caption("\n".join(f"- {_sentence(note)}" for note in found.notes))
        with st.expander(f"{len(found.classes)} classes", key="upload_classes"):
            rows = zip(found.classes, found.train, found.test, strict=True)
            st.dataframe(
                [{"Class": label, "Training": train, "Test": test} for label, train, test in rows], hide_index=True
            )


def _sizes(found: Preview) -> str:
    """Return how many images are for training, validation and testing."""
    train = min(st.session_state.get("train_size") or sum(found.train), sum(found.train))
    held = round((st.session_state.get("validation") or 0) * train)
    parts = [f"**{train - held:,}** training", f"**{held:,}** validation", f"**{sum(found.test):,}** test images"]
    return f"{len(found.classes)} classes · " + " · ".join(part for part in parts if held or "validation" not in part)


def _sentence(note: str) -> str:
    return texts.plain(f"{note[0].upper()}{note[1:]}.")


def _deletion(lab: Lab, name: str, own: bool) -> None:
    """Ask before an upload is deleted, and list the races that use it."""
    with st.popover("Delete", key="delete_upload", icon=":material/delete:", disabled=not own):
        if own:
            st.markdown(_question(lab, name))
            st.button("Delete it", key="delete_upload_for_good", type="primary", on_click=_delete, args=(lab, name))


def _question(lab: Lab, name: str) -> str:
    person = identity.person(lab)
    runs = lab.store.runs.using_upload(name)
    if not runs:
        return "No race uses this upload."
    mine = [run for run in runs if run.owner == person.owner][:NAMED]
    lines = [
        f"- {MODELS[run.spec.model].title}, seed {run.spec.seed}: {texts.STATES[run.state].lower()}" for run in mine
    ]
    if more := len(runs) - len(mine):
        lines.append(f"- {more} more" if mine else f"- {more} of others")
    count = "1 race uses" if len(runs) == 1 else f"{len(runs)} races use"
    waiting = sum(run.state not in ENDED for run in runs)
    fate = f" **{waiting} of them have not ended and may fail.**" if waiting else ""
    said = f"{count} this upload. Results stay, with small pictures of up to 4,000 images in each race, but no race can be resumed, repeated or analysed again without it.{fate}"
    return "\n".join([said, "", *lines])


def _delete(lab: Lab, name: str) -> None:
    lab.store.uploads.delete(name, identity.person(lab).owner)
    _forget_size()
    st.session_state["data"] = None
