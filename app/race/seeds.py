"""One race with several seeds: how many to start, their progress, and the link to compare them.

Races that differ only in the seed belong together; nothing else is stored about the group.
"""

import streamlit as st

from app.shell import classroom, identity, nav
from app.ui import texts
from app.ui.lab import Lab
from app.ui.run_picker import COMPARED
from app.ui.submit_once import submit_once
from ssam.experiment import RaceSpec
from ssam.stats.paired import FEWEST
from ssam.store import Person, Run
from ssam.store.views import ENDED

MOST = 10  # seeds at once
MORE = 4  # seeds offered after the first one
LAST = 2**31 - 1  # the largest seed
ENOUGH = f"At least {FEWEST} seeds are needed for an interval; more for small differences."


def wanted() -> int:
    """Return with how many seeds Start starts a race: one in a class whose seeds the server assigns."""
    return 1 if classroom.own_seed() else int(st.session_state.get("seeds") or 1)


def control(spec: RaceSpec | None) -> None:
    """Draw the choice of the number of seeds, folded away beside the Start button."""
    if classroom.own_seed():
        return
    count = wanted()
    with st.popover(f"Seeds: {count}", key="seeds_bar", help="Start the race with several seeds."):
        st.slider("Seeds", 1, MOST, key="seeds", persist_state="session")
        if spec:
            st.caption(_which(spec.seed, count))


def _which(first: int, count: int) -> str:
    if count == 1:
        return f"One race, with seed {first}. {ENOUGH}"
    few = f" {ENOUGH}" * (count < FEWEST)
    return f"{count} races, with seeds {first} to {first + count - 1}. Seeds already run are reused.{few}"


def start(lab: Lab, spec: RaceSpec, first: int, count: int, request: str) -> list[str]:
    """Submit a race with ``count`` seeds from ``first`` on, reusing finished races; the same request makes no second one.

    Return the ids of the races, in the order of the seeds. If some could not be started, ``notice`` in the session state says why.
    """
    person, code, exclusive = identity.person(lab), classroom.code(), bool(st.session_state.get("exclusive"))
    found: list[str] = []
    st.session_state["notice"] = None
    if first + count - 1 > LAST:
        st.session_state["notice"] = f"Not started: the largest seed is {LAST}."
        return found
    for seed in range(first, first + count):
        one = spec.model_copy(update={"seed": seed})
        key = f"{request}-{seed}"
        twin = None if lab.store.runs.find_by_request(key) else lab.store.runs.find_identical(one, code)
        if twin and not (exclusive and twin.shared):
            found.append(twin.id)
            continue
        try:
            found.append(lab.client.races.submit(one, key, person, exclusive=exclusive, class_code=code).run_id)
        except (ValueError, RuntimeError) as error:  # a limit is reached, or no runner comes up
            st.session_state["notice"] = (
                f"{len(found)} of {count} seeds are ready or running; the others were not started: {error}."
            )
            break
    return found


def show(found: list[str]) -> None:
    """Show the first of the races that were just started, and remember them all for the link to Compare."""
    if found:
        st.session_state["run"], st.session_state["seeds_started"] = found[0], found


def gather(lab: Lab, run: Run, person: Person) -> None:
    """Find the other seeds of the shown race. It searches all of the person's races: once per page, not per tick."""
    st.session_state["seeds_group"] = [one.id for one in siblings(lab, run, person)]


def row(lab: Lab, run: Run) -> None:
    """Draw the progress of all seeds that ``gather`` has found, the link to Compare, and more seeds once the race has finished."""
    found: list[str] = st.session_state["seeds_group"]
    known = lab.store.runs.get_many(found) if len(found) > 1 else {run.id: run}
    group = [known[run_id] for run_id in found if run_id in known]
    if len(group) < 2 and run.state != "finished":
        return
    with st.container(key="seeds_row", horizontal=True, vertical_alignment="center", gap="small", width="content"):
        if len(group) > 1:
            st.markdown(progress(group), width="content")
            ids = ",".join(one.id for one in group[-COMPARED:])
            nav.link("compare", "Compare", {"runs": ids})
        if run.state == "finished" and not classroom.own_seed():
            with st.popover("Repeat with more seeds", key="seeds_repeat", icon=":material/repeat:"):
                count = int(st.slider("More seeds", 1, MOST, MORE, key="seeds_more"))
                first = max(one.spec.seed for one in [run, *group]) + 1
                st.caption(_which(first, count))
                st.button(
                    f"Run {count} race{'s' * (count != 1)}",
                    key="seeds_go",
                    type="primary",
                    on_click=_repeat,
                    args=(lab, run.id, first, count),
                )


def progress(group: list[Run]) -> str:
    """Return how many seeds have finished, and the states of the others.

    >>> progress([])
    '**0 of 0 seeds finished**'
    """
    done = sum(run.state == "finished" for run in group)
    others = [run.state for run in group if run.state != "finished"]
    said = [f"{others.count(state)} {texts.STATES[state].lower()}" for state in dict.fromkeys(others)]
    return " · ".join([f"**{done} of {len(group)} seeds finished**", *said])


def siblings(lab: Lab, run: Run, person: Person) -> list[Run]:
    """Return one race per seed, finished ones preferred: this person's races with the settings of ``run``, and those that it was
    started with, which may be reused races of others."""
    started = st.session_state.get("seeds_started", [])
    others = list(lab.store.runs.get_many(started).values()) if run.id in started else []
    by_seed = {run.spec.seed: run}
    for one in sorted([*lab.store.runs.seed_replicas(run.spec, person.owner), *others], key=_rank):
        by_seed.setdefault(one.spec.seed, one)
    return [by_seed[seed] for seed in sorted(by_seed)]


def _rank(run: Run) -> int:
    return 0 if run.state == "finished" else 1 if run.state not in ENDED else 2


def _repeat(lab: Lab, run_id: str, first: int, count: int) -> None:
    """Start more seeds of the shown race, which stays. A second click asks for the same seeds and finds them."""
    run = lab.store.runs.get(run_id)
    if run is None:
        return
    with submit_once("seeds", notice="notice") as request:
        st.session_state["seeds_started"] = [run_id, *start(lab, run.spec, first, count, request)]
        gather(lab, run, identity.person(lab))
