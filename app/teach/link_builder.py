"""The teacher's form for links: the choices become one address, to copy or open."""

import streamlit as st

from app.shell import share_link, url_state
from app.shell.share_link import Link
from app.ui import texts
from app.ui.lesson_content import SECTIONS, STEPS, readable
from ssam.experiment import presets
from ssam.experiment.class_code import new_class_code

HERE = "the race page as I left it"
PAGES = {"race": "Race", "lessons": "Lesson", "wall": "Class wall"}


def form() -> None:
    """Draw the form and the link."""
    page = st.segmented_control(
        "Opens on", list(PAGES), default="race", key="link_page", required=True, format_func=PAGES.__getitem__
    )
    _class()
    try:
        link = chosen(str(page))
    except ValueError as error:
        st.error(texts.plain(f"{error}."))
        return
    here = st.context.url or ""
    st.code(share_link.build(link, here), language=None, wrap_lines=True)
    st.link_button("Open", share_link.build(link, here), icon=":material/open_in_new:", key="open_link")


def chosen(page: str) -> Link:
    """Draw the rest of the form and return its link. Raise ValueError, one line, for a bad class code."""
    said: dict[str, str] = {}
    if page == "race":
        said |= _race()
    if page == "lessons":
        said |= _lesson()
    if code := st.session_state.get("link_code", "").strip():
        said["class"] = code
        if page != "wall" and st.toggle(
            "A seed of their own for everybody",
            value=True,
            key="link_own_seed",
            help="The server gives each race of the class the lowest free seed: thirty different seeds, not one race thirty times.",
        ):
            said["seed"] = share_link.OWN
    if st.toggle("Presentation mode", key="link_projector", help="Large type, few numbers, keyboard shortcuts."):
        said["view"] = share_link.PROJECTOR
    return share_link.parse(said, page)


def _class() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            "Class code", key="link_code", max_chars=40, placeholder="none", width=200, persist_state="session"
        )
        st.button("Generate", key="generate_code", icon=":material/casino:", on_click=_generate)


def _generate() -> None:
    st.session_state["link_code"] = new_class_code()


def _race() -> dict[str, str]:
    known = presets()
    left = left_settings()
    options = [*known, HERE] if left else list(known)
    name = st.selectbox(
        "Race",
        options,
        key="link_preset",
        format_func=lambda option: known[option].title if option in known else option.capitalize(),
        width=380,
    )
    hidden = st.multiselect(
        "Hide",
        list(share_link.GROUPS),
        key="link_hidden",
        format_func=lambda group: share_link.GROUPS[group].capitalize(),
        placeholder="nothing",
        help="Hidden controls keep the link's settings. They are not shown, but not forbidden either.",
    )
    said = left if name == HERE else {"preset": name}
    return said | ({"hide": ",".join(hidden)} if hidden else {})


def left_settings() -> dict[str, str]:
    """Return the settings that the race page had when the reader left it, without the shown race and the class."""
    _, settings = share_link.split(url_state.left())
    return {name: value for name, value in settings.items() if name not in ("run", "data")}


def _lesson() -> dict[str, str]:
    known, _ = readable()
    with st.container(horizontal=True, gap="small"):
        lesson = st.selectbox(
            "Lesson", list(known), key="link_lesson", format_func=lambda name: known[name].title, width=380
        )
        step = st.selectbox(
            "Step", STEPS, key="link_step", format_func=SECTIONS.__getitem__, width=160,
            help="The steps after *Predict* open once a reader has predicted or skipped it.",
        )  # fmt: skip
    return {"lesson": str(lesson)} | ({"step": str(step)} if step != STEPS[0] else {})
