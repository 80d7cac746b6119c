"""Analyses of a race's weights on request, for the pages Flatness and Masks: known results, the request, progress with Stop.

``page`` is the prefix of a page's widget keys and session state.
"""

from collections.abc import Callable

import streamlit as st

from app.shell import identity
from app.ui import long_work, run_labels, run_result, texts
from app.ui.lab import Lab
from app.ui.submit_once import submit_once
from ssam.experiment.analysis import AnalysisSpec
from ssam.planning.estimate import analysis_seconds
from ssam.store import Person, Run
from ssam.store.views import ENDED


def known(lab: Lab, race: Run, analysis: AnalysisSpec) -> Run | None:
    """Return exactly this measurement of the current weights, finished or running; else the latest attempt, or the result from
    an earlier checkpoint."""
    current = lab.store.analyses.find(analysis.digest(race.id, race.checkpointed))
    tries = (run for run in lab.store.analyses.of_race(race.id) if run.analysis == analysis)
    return current or next(tries, None)


def is_current(race: Run, run: Run) -> bool:
    """Return whether it was measured on the latest weights, if it is of those."""
    return bool(run.analysis and run.analysis.epochs) or run.created >= (race.checkpointed or 0.0)


def is_there(race: Run, run: Run | None) -> bool:
    """Return whether there is nothing to request: it has been measured on the latest weights, or is running."""
    return run is not None and (run.state not in ENDED or (run.state == "finished" and is_current(race, run)))


def cost(lab: Lab, race: Run, analysis: AnalysisSpec) -> str:
    """Return how long a measurement takes here."""
    rate = lab.store.runs.rate(race.spec.device, race.spec.model)
    guess = "" if rate.measured else " (rough estimate)"
    took = texts.duration(analysis_seconds(race.spec, analysis, rate, max(1, len(analysis.epochs))))
    return f"Takes about {took} on this machine{guess}."


def submit(lab: Lab, race_id: str, read: Callable[[], AnalysisSpec], page: str) -> None:
    """Request what ``read`` returns, once however often the button is pressed; an error is shown as one line."""
    with submit_once(page, failed="Not measured") as request:
        lab.client.analyses.submit(race_id, read(), request, identity.person(lab))


def shown(lab: Lab, race: Run, run: Run, person: Person, page: str, draw: Callable[[Run], None]) -> None:
    """Draw a measurement's progress, and by ``draw`` its results so far; reruns every second until it has ended."""
    if run.state in ENDED:
        _ended(lab, race, run, person)
        draw(run)
    else:
        st.fragment(_under_way, run_every=1.0)(lab, run.id, person, page, draw)


def _under_way(lab: Lab, run_id: str, person: Person, page: str, draw: Callable[[Run], None]) -> None:
    run = lab.store.runs.get(run_id)
    if run is None or run.state in ENDED:
        st.rerun()
    lab.client.runner.ensure_in_background()  # the runner may have died since the page was opened
    with st.container(key=f"{page}_progress", horizontal=True, vertical_alignment="center"):
        share = f"{100 * run.progress:.0f}% · {run.message or 'starting'}"
        said = f"Queued: {run_labels.waiting(lab, run)}" if run.state == "queued" else share
        st.progress(min(1.0, run.progress), texts.plain(said))
        if person.may_steer(run):
            stopping = run.want == "stop"
            st.button(
                "Stopping…" if stopping else "Stop",
                key=f"{page}_stop",
                icon=":material/stop:",
                disabled=stopping,
                on_click=_stop,
                args=(lab, run_id),
            )
    draw(run)


def _stop(lab: Lab, run_id: str) -> None:
    with long_work.refusals():
        lab.client.races.stop(run_id, identity.person(lab))


def _ended(lab: Lab, race: Run, run: Run, person: Person) -> None:
    """Say that a measurement did not finish, or is not of the latest weights."""
    if run.state in ("failed", "interrupted"):
        st.error(f"{texts.STATES[run.state]}: {texts.plain(run.message)}")
        run_result.log(lab, run, person)
    elif run.state == "stopped":
        st.warning("Stopped early: these are the results up to then.")
    elif not is_current(race, run):
        st.info("From an earlier checkpoint: the race has continued since. Measure again for its latest weights.")
