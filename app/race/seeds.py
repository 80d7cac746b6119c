"""One race with several seeds: how many to start, how far they are, and the way to all of them side by side.

Races that differ in nothing but the seed belong together by themselves; nothing else is kept about them.
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
MORE = 4  # that are offered after a first one
LAST = 2**31 - 1  # seed
ENOUGH = f"At least {FEWEST} seeds are needed for an interval; more for small differences."


def wanted() -> int:
    """With how many seeds the Start button starts a race. In a class where the server gives the seeds, with one."""
    return 1 if classroom.own_seed() else int(st.session_state.get("seeds") or 1)


def control(spec: RaceSpec | None) -> None:
    """How many seeds, folded away beside the Start button."""
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
    return f"{count} races, with seeds {first} to {first + count - 1}. Those that have been run already are used again.{few}"


def start(lab: Lab, spec: RaceSpec, first: int, count: int, request: str) -> list[str]:
    """Has a race run with ``count`` seeds from ``first`` on; a race that has been run to its end is not run again, and the same
    request makes no second one. Returns the races by seed; what stopped it half-way is in ``notice``."""
    person, code, exclusive = identity.person(lab), classroom.code(), bool(st.session_state.get("exclusive"))
    found: list[str] = []
    st.session_state["notice"] = None
    if first + count - 1 > LAST:
        st.session_state["notice"] = f"Not started: seeds end at {LAST}."
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
                f"{len(found)} of {count} seeds are there, the others were not started: {error}."
            )
            break
    return found


def show(found: list[str]) -> None:
    """Shows the first of races that were just started, and remembers them all for the way to Compare."""
    if found:
        st.session_state["run"], st.session_state["seeds_started"] = found[0], found


def gather(lab: Lab, run: Run, person: Person) -> None:
    """Finds the other seeds of the shown race. A search over all of the person's races: once a page, not once a tick."""
    st.session_state["seeds_group"] = [one.id for one in siblings(lab, run, person)]


def row(lab: Lab, run: Run) -> None:
    """Below the head of a race: how far all its seeds are, the way to Compare, and more seeds once it has finished. ``gather``
    has found them."""
    found: list[str] = st.session_state["seeds_group"]
    known = lab.store.runs.get_many(found) if len(found) > 1 else {run.id: run}
    group = [known[run_id] for run_id in found if run_id in known]
    if len(group) < 2 and run.state != "finished":
        return
    with st.container(key="seeds_row", horizontal=True, vertical_alignment="center", gap="small", width="content"):
        if len(group) > 1:
            st.markdown(progress(group), width="content")
            ids = ",".join(one.id for one in group[-COMPARED:])
            nav.link("compare", "Compare them", {"runs": ids})
        if run.state == "finished" and not classroom.own_seed():
            with st.popover("Repeat with more seeds", key="seeds_repeat", icon=":material/repeat:"):
                count = int(st.slider("More seeds", 1, MOST, MORE, key="seeds_more"))
                first = max(one.spec.seed for one in [run, *group]) + 1
                st.caption(_which(first, count))
                st.button(
                    "Start them", key="seeds_go", type="primary", on_click=_repeat, args=(lab, run.id, first, count)
                )


def progress(group: list[Run]) -> str:
    """How many seeds have finished, and how the others are.

    >>> progress([])
    '**0 of 0 seeds finished**'
    """
    done = sum(run.state == "finished" for run in group)
    others = [run.state for run in group if run.state != "finished"]
    said = [f"{others.count(state)} {texts.STATES[state].lower()}" for state in dict.fromkeys(others)]
    return " · ".join([f"**{done} of {len(group)} seeds finished**", *said])


def siblings(lab: Lab, run: Run, person: Person) -> list[Run]:
    """One race for each seed: of this person's with the settings of ``run``, and those that it was started with, which may be
    somebody's who had run them before. A finished one is preferred."""
    started = st.session_state.get("seeds_started", [])
    others = list(lab.store.runs.get_many(started).values()) if run.id in started else []
    by_seed = {run.spec.seed: run}
    for one in sorted([*lab.store.runs.seed_replicas(run.spec, person.owner), *others], key=_rank):
        by_seed.setdefault(one.spec.seed, one)
    return [by_seed[seed] for seed in sorted(by_seed)]


def _rank(run: Run) -> int:
    return 0 if run.state == "finished" else 1 if run.state not in ENDED else 2


def _repeat(lab: Lab, run_id: str, first: int, count: int) -> None:
    """The shown race stays: its row tells how the others fare. A second click asks for the same seeds and finds them."""
    run = lab.store.runs.get(run_id)
    if run is None:
        return
    with submit_once("seeds", notice="notice") as request:
        st.session_state["seeds_started"] = [run_id, *start(lab, run.spec, first, count, request)]
        gather(lab, run, identity.person(lab))
