"""The person behind a session, and whether they are a teacher. The store only ever sees hashes of their credentials."""

import hashlib
import os
import re
import secrets
import time
from pathlib import Path

import streamlit as st

from app.ui import texts
from app.ui.lab import Lab
from ssam import config
from ssam.store import Person

COOKIE = "ssam_owner"
TOKEN = "[A-Za-z0-9_-]{43}"  # as secrets.token_urlsafe(32) makes them
SESSION = "_token"  # of a session without a cookie
TRY_SECONDS = 1.0  # seconds between two tries of the teacher key in one session


def person(lab: Lab) -> Person:
    """Return the person of this session: by their login, else by their browser's cookie, else (no cookies) for the duration of
    the session."""
    if st.user.get("is_logged_in"):
        return Person(owner_of(f"{st.user['iss']}\n{st.user['sub']}"), _is_listed())  # no token has a line break
    owner = owner_of(_token())
    return Person(owner, not has_login() and lab.store.is_teacher(owner))


def has_login() -> bool:
    """Return whether this server has logins (``[auth]`` in Streamlit's secrets); teachers then have known e-mail addresses."""
    return "is_logged_in" in st.user


def _token() -> str:
    sent = st.context.cookies.to_dict().get(COOKIE, "")
    if re.fullmatch(TOKEN, sent):
        return sent
    return str(st.session_state.setdefault(SESSION, secrets.token_urlsafe(32)))


def owner_of(secret: str) -> str:
    """Return the hash that the store keeps instead of a token or a login: reading the database does not let one act as an owner."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _is_listed() -> bool:
    """Return whether the login's e-mail address is a teacher's and verified by the provider."""
    verified = str(st.user.get("email_verified")).lower() == "true"  # some providers send a string
    return verified and str(st.user.get("email")).lower() in config.teachers()


def account() -> None:
    """Draw login and logout, if this server has them."""
    if not has_login():
        return
    with st.sidebar, st.container(key="account", horizontal=True, vertical_alignment="center"):
        if st.user["is_logged_in"]:
            st.caption(texts.plain(str(st.user.get("email") or st.user.get("name") or "logged in")), width="stretch")
            st.button("Log out", key="log_out", type="tertiary", on_click=st.logout)
            return
        st.caption("Not logged in: your races belong to this browser.", width="stretch")
        for provider in providers():
            st.button(
                f"Log in with {provider}" if provider else "Log in",
                key=f"log_in_{provider}",
                type="tertiary",
                on_click=st.login,
                args=(provider or None,),
            )


def providers() -> list[str]:
    """Return the names of the login providers; empty for the unnamed one."""
    auth = st.secrets["auth"]
    return [""] if "client_id" in auth else [name for name, value in auth.items() if hasattr(value, "keys")]


# The teacher key: for servers without logins


def teacher_key(home: Path) -> str:
    """Return the key in ``teacher.key``, which only the server's user may read; create it if missing. Raise ValueError for one
    that could be guessed."""
    path = home / "teacher.key"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        path.chmod(0o600)
    else:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    key = path.read_text(encoding="utf-8").strip()
    if len(key) < 20:
        raise ValueError("teacher.key must have at least 20 characters; delete it and a new one is created")
    return key


def become_teacher(lab: Lab, key: str) -> str:
    """Make the person of this session a teacher if the key is right; return one line with the outcome."""
    if has_login():
        return "On this server teachers are known by their login."
    now = time.monotonic()
    if now - st.session_state.get("_tried", -TRY_SECONDS) < TRY_SECONDS:
        return "Wait a second before the next try."
    st.session_state["_tried"] = now
    try:
        right = teacher_key(lab.store.home)
    except ValueError as error:
        return str(error)
    if not secrets.compare_digest(key.strip().encode(), right.encode()):
        return "That is not the teacher key of this server."
    lab.store.make_teacher(person(lab).owner)
    return ""
