"""The list of races: which ones are wanted (controls ↔ address), which are chosen, and what is done with them.

``runs_chosen`` is a list of ids; it outlives a change of the page or the filters. The rest of the keys are those of controls.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import get_args

import streamlit as st

from app.shell import classroom, identity
from app.shell.address import Field, Table, choice
from app.ui import run_picker
from app.ui.lab import Lab
from ssam.catalogue import DATASETS, MODELS
from ssam.methods import METHODS
from ssam.store import Person
from ssam.store.annotations import Labels
from ssam.store.search import QUERY, SORTS, RunPage, RunQuery, Sort
from ssam.store.views import State

MINE, SHARED, DELETED, EVERYBODYS = "mine", "shared", "deleted", "everybody"
SHOWN = {MINE: "My races", SHARED: "Opened by a link", DELETED: "Deleted", EVERYBODYS: "All users"}
FILTERS = {"state": "State", "dataset": "Data set", "model": "Model", "method": "Method", "tag": "Tag"}
SORTED: dict[Sort, str] = {
    "newest": "Newest first",
    "oldest": "Oldest first",
    "name": "By name",
    "accuracy": "Most accurate first",
    "cost": "Cheapest first",
}
RUN_ID = r"(?:^|[?&]run=)([\w-]{22})(?:$|[&#\s])"


TABLE = Table(
    "runs",
    "runs",
    (
        Field("text", lambda said: said[:QUERY], default=""),
        choice("sort", SORTS, SORTS[0]),
        choice("show", SHOWN, MINE),
        choice("state", get_args(State)),
        choice("dataset", DATASETS),
        choice("model", MODELS),
        choice("method", METHODS),
        Field("tag", lambda said: said[:QUERY]),
    ),
    shared=True,
)


def go(person: Person) -> None:
    """Set the controls to the address. Only a teacher sees everybody's races."""
    TABLE.complain(TABLE.load_from_url())
    if st.session_state["runs_show"] == EVERYBODYS and not person.teacher:
        st.session_state["runs_show"] = MINE


def find(lab: Lab, person: Person) -> RunPage:
    """The page of the list that the controls ask for. Of others' races a session has those it was given the address of."""
    state = st.session_state
    wanted = RunQuery(
        text=state["runs_text"],
        sort=state["runs_sort"],
        page=state.get("runs_page", 1),
        **{name: state[f"runs_{name}"] for name in FILTERS},
    )
    if by_id := re.search(RUN_ID, wanted.text):
        return lab.store.runs.search(RunQuery(), ids=[by_id[1]])
    show = state["runs_show"]
    if show == SHARED:
        return lab.store.runs.search(wanted, ids=state.get(run_picker.OPENED, []))
    owner = None if show == EVERYBODYS and person.teacher else person.owner
    return lab.store.runs.search(wanted, owner, deleted=show == DELETED)


def lists_recorded(found: RunPage) -> bool:
    """Whether recorded races are listed: a person has none. Not in a class, which is to predict how a race goes."""
    return not found.all and st.session_state["runs_show"] == MINE and not classroom.code()


# What is chosen


def chosen() -> list[str]:
    return list(st.session_state.setdefault("runs_chosen", []))


def choose(ids: list[str]) -> None:
    """Sets what is chosen, and has the browser take it over."""
    st.session_state["runs_chosen"] = ids
    st.session_state["runs_turn"] = st.session_state.get("runs_turn", 0) + 1


def ticked(shown: list[str], now: list[str]) -> None:
    """The boxes of the races on this page were changed; others stay chosen."""
    others = [run_id for run_id in chosen() if run_id not in shown]
    st.session_state["runs_chosen"] = others + [run_id for run_id in shown if run_id in now]


# What is done with them. For each, the server checks again who may.


def each(lab: Lab, ids: list[str], action: Callable[[str, Person], None]) -> list[str]:
    """Does it with every race that it can be done with; returns these; ``runs_refused`` says why not of the others."""
    done: list[str] = []
    refused: Counter[str] = Counter()
    for run_id in ids:
        try:
            action(run_id, identity.person(lab))
        except (PermissionError, ValueError) as error:
            refused[str(error)] += 1
        else:
            done.append(run_id)
    st.session_state["runs_refused"] = [
        f"Not done{f' with {count}' if len(ids) > 1 else ''}: {why}." for why, count in refused.items()
    ]
    return done


def delete(lab: Lab, ids: list[str]) -> None:
    done = each(lab, ids, lab.client.races.soft_delete)
    st.session_state["runs_undo"] = done
    choose([run_id for run_id in chosen() if run_id not in done])


def restore(lab: Lab, ids: list[str]) -> None:
    done = each(lab, ids, lab.client.races.undelete)
    st.session_state["runs_undo"] = [run_id for run_id in st.session_state.get("runs_undo", []) if run_id not in done]
    choose([run_id for run_id in chosen() if run_id not in done])


def label(lab: Lab, run_id: str) -> None:
    """Writes what the form of this race says."""
    name, tags, note = (st.session_state[f"runs_{field}_{run_id}"] or "" for field in ("name", "tags", "note"))
    each(lab, [run_id], lambda run_id, person: lab.client.races.label(run_id, person, name, tags, note))


def add_tags(lab: Lab, ids: list[str], typed: str) -> None:
    """To each race, beside the tags that it has."""

    def add(run_id: str, person: Person) -> None:
        before: Labels = lab.store.runs.labels(run_id)
        lab.client.races.label(run_id, person, before.name, f"{' '.join(before.tags)} {typed}", before.note)

    each(lab, ids, add)
