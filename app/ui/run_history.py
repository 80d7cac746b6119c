"""Races that have been: the table of a finished one, and the way back to earlier ones."""

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st

from app.race import form, start_button
from app.shell.services import Lab
from app.ui import texts, theme
from ssam.catalogue import METHODS
from ssam.stats import proportion
from ssam.store import Person, Run
from ssam.store.outcome import outcomes

OWN, ALL = 12, 60  # races in the list
OPENED = "opened_by_link"  # the races of others that this session has looked at


def result(run: Run) -> None:
    """The table of a finished race; nothing for others."""
    if not (ends := outcomes(run)):
        return
    number = st.column_config.NumberColumn
    lanes = zip(run.spec.lanes, theme.lane_titles(run.spec), ends, strict=True)
    st.dataframe(
        [
            {
                "Lane": title,
                "Sparsity": end.sparsity if METHODS[asked.method].sparse else None,
                "Rho": end.rho if METHODS[asked.method].perturbs else None,
                "Test accuracy": end.said,
                "Test loss": end.test_loss,
                "ms a step": end.step_ms,
                "× SGD": end.ratio,
                "Seconds": end.seconds,
            }
            for asked, title, end in lanes
        ],
        hide_index=True,
        placeholder="–",
        column_config={
            "Sparsity": number(format="percent"),
            "Test loss": number(format="%.3f"),
            "ms a step": number(format="%.1f"),
            "× SGD": number(format="%.2f"),
            "Seconds": number(format="%.1f"),
        },
    )
    if size := ends[0].test_size:
        about = "; ".join(filter(None, [f"{size:,} test images", proportion.one_image(size)]))
        st.caption(f"Last epoch, {about}. Beside the accuracy: the {proportion.LEVEL} interval by their number alone.")


def log(lab: Lab, run: Run, person: Person) -> None:
    """The last lines of a failed race's log, folded away. Not for others: they may name folders of the server."""
    if run.state in ("failed", "interrupted") and person.may_steer(run) and (lines := lab.store.log_tail(run.id)):
        with st.expander("The last lines of its log", key="log_tail"):
            st.code(lines, language=None, wrap_lines=True)


def recent(lab: Lab, shown: Run | None, person: Person) -> None:
    """The newest races of this person to open again, folded away; a teacher may have everybody's."""
    everybody = person.teacher and st.session_state.get("everybody", False)
    if shown and shown.owner != person.owner and shown.id not in st.session_state.setdefault(OPENED, []):
        st.session_state[OPENED].append(shown.id)  # for the list of runs
    others = [
        run
        for run in lab.store.runs(ALL if everybody else OWN, None if everybody else person.owner, trials=False)
        if shown is None or run.id != shown.id
    ]
    if not others and not person.teacher:
        return
    with st.expander("Recent races", key="recent_races"):
        if person.teacher:
            st.toggle("Everybody's", key="everybody")
        for run in others:
            with st.container(gap=None):
                st.button(
                    start_button.describe(run.spec), key=f"open_{run.id}", type="tertiary", on_click=_open, args=(run,)
                )
                whose = "" if run.owner == person.owner else f" · somebody else's ({run.owner[:6] or 'no owner'})"
                st.caption(facts(run) + whose)
        st.page_link("../pages/runs.py", label="All runs", icon=":material/history:")


def labels(found: list[Run]) -> dict[str, str]:
    """What is raced and when; with the race's id where two would read the same, as a box tells its options apart by what they say."""
    labels = {run.id: f"{start_button.describe(run.spec)} · {when(run)}" for run in found}
    twice = Counter(labels.values())
    return {run_id: f"{label} · {run_id[:6]}" if twice[label] > 1 else label for run_id, label in labels.items()}


def facts(run: Run) -> str:
    """When a race was started, how it went, and what sets it apart from others of the same description."""
    parts = [when(run), texts.STATES[run.state].lower()]
    if ends := outcomes(run):
        scores = zip((end.accuracy for end in ends), theme.lane_titles(run.spec), strict=True)
        if known := [(accuracy, title) for accuracy, title in scores if accuracy is not None]:
            best, title = max(known)
            parts.append(f"best at the end {100 * best:.1f} % ({title})")
        if lost := sum(end.status == "diverged" for end in ends):
            parts.append(f"{lost} lane{'s' * (lost > 1)} diverged")
    spec = run.spec
    parts.append(", ".join(theme.lane_title(lane) for lane in spec.lanes))
    if any(METHODS[lane.method].perturbs and lane.rho is None for lane in spec.lanes):
        parts.append(f"ρ {spec.rho:g}")
    if any(METHODS[lane.method].sparse and lane.sparsity is None for lane in spec.lanes):
        parts.append(f"sparsity {100 * spec.sparsity:g} %")
    return " · ".join(parts)


def when(run: Run) -> str:
    """The time of day that a race was started, with the date where that is not today."""
    zone = ZoneInfo(st.context.timezone) if st.context.timezone else None  # the reader's, not the server's
    created, now = datetime.fromtimestamp(run.created, zone), datetime.now(zone)
    return f"{created:%H:%M}" if created.date() == now.date() else f"{created.day} {created:%b %H:%M}"


def _open(run: Run) -> None:
    st.session_state["run"] = run.id
    form.fill(run.spec)
