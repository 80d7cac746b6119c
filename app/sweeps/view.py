"""One sweep on its page: progress, buttons, the best settings with their result on fresh seeds, figures."""

import time
from collections.abc import Callable, Sequence

import streamlit as st

from app.shell import identity, nav, share_link
from app.shell.share_link import Link
from app.sweeps import charts, query
from app.sweeps import text as sweeps_text
from app.sweeps.charts import Shown
from app.ui import long_work, plot, run_labels, texts, view_switch
from app.ui.lab import Lab
from ssam.experiment.choosing import chosen_by
from ssam.store import Person, Sweep, Trial
from ssam.store.outcome import score_size
from ssam.store.sweep_scores import Point, fresh, points, ranked
from ssam.store.sweeps import STANDARD

PACE = 0.8  # seconds between two updates of a running sweep
FRESH = 5  # default number of fresh seeds
COLUMNS = 3  # charts side by side
ACCURACIES = ("Validation accuracy", "Test accuracy")


def pace(found: Sweep, trials: Sequence[Trial]) -> float | None:
    """Return the seconds between two updates; None if it does not change by itself."""
    return PACE if found.state == "running" or any(trial.state == "open" for trial in trials) else None


def draw(lab: Lab, found: Sweep, trials: list[Trial], person: Person) -> None:
    mine = person.teacher or person.owner == found.owner
    lane = query.lane_said(found.spec.base, found.spec.lane - 1)
    st.caption(f"{run_labels.describe(found.spec.base)}. Starting point: {lane}. {chosen_by(found.spec)}")
    _head(lab, found, trials, mine)
    known = points(found.spec, trials)
    best = next(iter(ranked(found.spec, trials)), None)
    with st.container(key="sweep_best", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(sweeps_text.best(found, trials), width="content")
        if best and (run := best.trials[0].run):
            nav.link("race", "Open its race", {"run": run})
    if best and (run := best.trials[0].run) and (race := lab.store.runs.get(run)):
        st.caption(sweeps_text.sureness(best.score, score_size(race)))
    for told in fresh(trials):
        (st.success if told.is_finding else st.info)(
            sweeps_text.fresh(told, query.measure(found.spec)),
            icon=":material/verified:" if told.is_finding else ":material/casino:",
        )
    if mine and best:
        _fresh(lab, found)
    _figure(found, known, trials)
    _table(found, trials)


def _head(lab: Lab, found: Sweep, trials: list[Trial], mine: bool) -> None:
    steer = lab.client.sweeps
    with st.container(key="sweep_head", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{sweeps_text.STATES[found.state]}**", width="content")
        if mine and found.state == "running":
            _button("Pause", "sweep_pause", "pause", lab, found, steer.pause)
        if mine and found.state in ("paused", "stopped"):
            _button("Resume", "sweep_resume", "play_arrow", lab, found, steer.resume)
        if mine and found.state in ("running", "paused"):
            _button("Stop", "sweep_stop", "stop", lab, found, steer.stop)
        if mine:
            with st.popover("Extend", key="sweep_extend", icon=":material/add:"):
                _extend(lab, found)
        if mine and pace(found, trials) is None and found.state != "paused":
            with st.popover("Delete", key="sweep_delete", icon=":material/delete:"):
                st.markdown("Deletes the sweep. Its races stay.")
                _button("Delete", "sweep_delete_now", "delete", lab, found, _delete(lab))
    share, said = sweeps_text.progress(found, trials, lab.store.sweeps.spent(found.id))
    rest = sweeps_text.left(found, trials, time.time())
    st.progress(share, " · ".join(filter(None, [said, rest])))
    if found.message:
        st.error(texts.plain(found.message))
    if refused := sorted({trial.message for trial in trials if trial.state in ("refused", "failed") and trial.message}):
        st.caption(texts.plain(f"Without a score: {'; '.join(refused[:3])}."))


def _button(label: str, key: str, icon: str, lab: Lab, found: Sweep, action: Callable[[str, Person], None]) -> None:
    st.button(label, key=key, icon=f":material/{icon}:", on_click=_do, args=(lab, lambda who: action(found.id, who)))


def _do(lab: Lab, action: Callable[[Person], None]) -> None:
    with long_work.refusals():
        action(identity.person(lab))


def _delete(lab: Lab) -> Callable[[str, Person], None]:
    def delete(sweep_id: str, who: Person) -> None:
        lab.client.sweeps.delete(sweep_id, who)
        long_work.show("sweep", None)

    return delete


def _extend(lab: Lab, found: Sweep) -> None:
    """Draw a control to extend the sweep's budget."""
    has = [name for name in ("races", "minutes", "gradients") if getattr(found.spec, name) is not None]
    if not has:
        st.caption("This grid has no budget: it ends when every combination has been trained.")
        return
    with st.form(f"sweep_more_{found.id}", border=False):
        for name in has:
            step = 1.0 if name == "minutes" else 1 if name == "races" else 10_000
            st.number_input(f"Additional {name}", value=None, min_value=0 * step, step=step, key=f"sweep_more_{name}")
        st.form_submit_button("Extend", on_click=_more, args=(lab, found.id, has))


def _more(lab: Lab, sweep_id: str, has: list[str]) -> None:
    more = {name: st.session_state[f"sweep_more_{name}"] or 0 for name in has}
    _do(lab, lambda who: lab.client.sweeps.extend(sweep_id, who, **more))


def _fresh(lab: Lab, found: Sweep) -> None:
    with st.container(key="sweep_fresh", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Fresh seeds", width="content")
        st.number_input(
            "Fresh seeds",
            2,
            50,
            FRESH,
            key="sweep_fresh_seeds",
            width=120,
            label_visibility="collapsed",
            persist_state="session",
        )
        st.button(
            "Confirm the best",
            key="sweep_fresh_now",
            icon=":material/casino:",
            help="Trains the best setting on seeds that the search has not seen, beside the starting point on the same seeds. "
            "They are compared by test accuracy; nothing is chosen by it.",
            on_click=lambda: _do(
                lab, lambda who: lab.client.sweeps.fresh(found.id, who, int(st.session_state["sweep_fresh_seeds"]))
            ),
        )


def _figure(found: Sweep, known: list[Point], trials: list[Trial]) -> None:
    """Draw the chosen figure, with a sentence and a table."""
    spec = found.spec
    pair = charts.map_fields(spec)
    offered = [
        name
        for name in query.FIGURES
        if (name != "map" or pair) and (name != "front" or spec.cost) and (name != "importance" or len(spec.vary) > 1)
    ]
    if not pair:  # a single setting: accuracy against it says more than lines through one axis
        offered.sort(key=lambda name: name != "slice")
    if st.session_state.get("sweep_figure") not in offered:
        st.session_state["sweep_figure"] = offered[0]
    name = view_switch.choose("Figure", {figure: query.FIGURES[figure] for figure in offered}, "sweep_figure")
    if name == "map" and pair:
        shown = [charts.heatmap(spec, known, *pair)]
    elif name == "slice":
        shown = charts.slices(spec, known)
    elif name == "parallel":
        shown = [charts.parallel(spec, known)]
    elif name == "front":
        shown = [charts.trade_off(spec, known)]
    elif name == "timeline":
        shown = [charts.timeline(spec, trials, found.created, time.time())]
    elif not found.importance:
        st.caption("Needs at least six finished settings with different accuracy.")
        return
    else:
        shown = [charts.importance(spec, found.importance)]
    _charts(str(name), shown)


def _charts(name: str, shown: list[Shown]) -> None:
    if not shown[0].figure["data"]:  # clearer than an empty chart
        st.caption(shown[0].words)
        return
    wide = min(COLUMNS, len(shown))
    columns = st.columns(wide, gap="small")
    for place, one in enumerate(shown):
        with columns[place % wide], st.container(key=f"sweep_chart_{name}_{place}"):
            plot.draw(one.figure, f"sweep_plot_{name}_{place}", one.words, f"sweep-{name}")
    st.caption(texts.plain(" ".join(one.words for one in shown)))
    with st.expander("As a table" if len(shown) == 1 else "As tables", key=f"sweep_tables_{name}"):
        for one in shown:
            if one.rows:
                st.table(one.rows, border="horizontal", hide_index=True)


def _table(found: Sweep, trials: list[Trial]) -> None:
    """Draw the table of all trials, with links."""
    with st.expander(f"All {len(trials)} trials", key="sweep_trials"):
        here = share_link.build(Link(), st.context.url or "")
        st.dataframe(
            [
                {
                    **{query.title(field): query.said(field, value) for field, value in trial.values.items()},
                    "Seed": trial.seed,
                    "Part": "search"
                    if not trial.fresh
                    else "fresh, starting point"
                    if trial.number == STANDARD
                    else "fresh, best",
                    "State": charts.STATE_TITLES[trial.state],
                    **_accuracies(found, trial),
                    "Race": f"{here}?run={trial.run}" if trial.run else None,
                }
                for trial in trials
            ],
            hide_index=True,
            placeholder="–",
            column_config={
                **{name: st.column_config.NumberColumn(format="%.2f %%") for name in ACCURACIES},
                "Race": st.column_config.LinkColumn(display_text="Open"),
            },
        )


def _accuracies(found: Sweep, trial: Trial) -> dict[str, float | None]:
    """Return the score under what it was measured on. Test accuracies that judge nothing are not listed."""
    on = "test" if trial.fresh else found.spec.chooses_by
    score = None if trial.score is None else 100 * trial.score
    return {ACCURACIES[0]: score if on == "validation" else None, ACCURACIES[1]: score if on == "test" else None}


def labels(found: Sequence[Sweep]) -> dict[str, str]:
    """Return what each is about, with its state; with its id if two would read the same."""
    return run_labels.distinct(
        {one.id: f"{query.describe(one.spec)} · {sweeps_text.STATES[one.state].lower()}" for one in found}
    )
