"""Measuring a race's weights on request, as the pages Flatness and Masks do it: what is known, the wish, the progress with its Stop.

``page`` is what the keys of a page's widgets and its session state begin with.
"""

from collections.abc import Callable

import streamlit as st

from app.shell import identity
from app.ui import run_labels, run_result, texts
from app.ui.lab import Lab
from app.ui.submit_once import submit_once
from ssam.experiment.analysis import AnalysisSpec
from ssam.planning.estimate import analysis_seconds
from ssam.store import Person, Run
from ssam.store.views import ENDED


def known(lab: Lab, race: Run, analysis: AnalysisSpec) -> Run | None:
    """Just this measurement, of the weights that there are now, finished or under way; else the newest try at it, or what an
    earlier checkpoint gave."""
    current = lab.store.analyses.find(analysis.digest(race.id, race.checkpointed))
    tries = (run for run in lab.store.analyses.of_race(race.id) if run.analysis == analysis)
    return current or next(tries, None)


def is_current(race: Run, run: Run) -> bool:
    """Whether it was measured on the newest weights, where it asks for those."""
    return bool(run.analysis and run.analysis.epochs) or run.created >= (race.checkpointed or 0.0)


def is_there(race: Run, run: Run | None) -> bool:
    """Whether there is nothing to ask for: it has been measured on the newest weights, or is being."""
    return run is not None and (run.state not in ENDED or (run.state == "finished" and is_current(race, run)))


def cost(lab: Lab, race: Run, analysis: AnalysisSpec) -> str:
    """How long a measurement takes here."""
    rate = lab.store.runs.rate(race.spec.device, race.spec.model)
    guess = "" if rate.measured else ", a first guess"
    took = texts.duration(analysis_seconds(race.spec, analysis, rate, max(1, len(analysis.epochs))))
    return f"About {took} on this machine{guess}."


def submit(lab: Lab, race_id: str, read: Callable[[], AnalysisSpec], page: str) -> None:
    """Asks for what ``read`` gives; one wish however often the button is pressed. Who may not, or cannot now, is told so in one line."""
    with submit_once(page, failed="Not measured") as request:
        lab.client.analyses.submit(race_id, read(), request, identity.person(lab))


def shown(lab: Lab, race: Run, run: Run, person: Person, page: str, draw: Callable[[Run], None]) -> None:
    """A measurement: how far it is, and what it has found so far, by ``draw``. Runs again every second until it has ended."""
    if run.state in ENDED:
        _ended(lab, race, run, person)
        draw(run)
    else:
        st.fragment(_under_way, run_every=1.0)(lab, run.id, person, page, draw)


def _under_way(lab: Lab, run_id: str, person: Person, page: str, draw: Callable[[Run], None]) -> None:
    run = lab.store.runs.get(run_id)
    if run is None or run.state in ENDED:
        st.rerun()
    lab.client.runner.ensure_in_background()  # it may have died since the page was opened
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
    try:
        lab.client.races.stop(run_id, identity.person(lab))
    except (PermissionError, ValueError) as error:
        st.toast(f"Not done: {texts.plain(str(error))}.", icon=":material/block:")


def _ended(lab: Lab, race: Run, run: Run, person: Person) -> None:
    """What there is to say where it did not end well, or is no longer of the newest weights."""
    if run.state in ("failed", "interrupted"):
        st.error(f"{texts.STATES[run.state]}: {texts.plain(run.message)}")
        run_result.log(lab, run, person)
    elif run.state == "stopped":
        st.warning("Stopped before it was done: this is what was found until then.")
    elif not is_current(race, run):
        st.info("Of an earlier checkpoint: the race has gone on since. Measure again for its newest weights.")
