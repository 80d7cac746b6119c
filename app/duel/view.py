"""One duel on its page: how far it is, its buttons, the answer, the differences, what they cost, what was tuned."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from app.duel import charts, query, text
from app.shell import identity, share_link
from app.shell.share_link import Link
from app.ui import legend, long_work, plot, run_labels, texts, theme
from app.ui.lab import Lab
from ssam.experiment.duel import rule
from ssam.export import duel as export
from ssam.stats.verdict import explanation
from ssam.store import Person
from ssam.store.duels import Duel, Standing
from ssam.store.sweep_scores import ranked

PACE = 1.5  # seconds between two looks at one that is running
TRIAL_STATES = {"open": "running", "done": "finished", "refused": "not possible"}
MIME = {"html": "text/html", "csv": "text/csv", "json": "application/json"}
NAMES = {"html": "Report (HTML)", "csv": "All trainings (CSV)", "json": "Result (JSON)"}


def pace(duel: Duel) -> float | None:
    """How often it is looked at; None if it does not change by itself."""
    return PACE if duel.state == "running" else None


def draw(lab: Lab, duel: Duel, person: Person) -> None:
    standings = lab.store.duels.standings(duel)
    mine = person.teacher or person.owner == duel.owner
    task = duel.spec.base.model_copy(update={"clock": "epochs"})
    budget = query.CLOCKS[duel.spec.base.clock].lower()
    st.caption(f"{run_labels.describe_without_seed(task)} at most, {budget} · seeds from {task.seed}")
    _head(lab, duel, standings, mine)
    _answers(duel, standings)
    _differences(duel, standings)
    _costs(lab, duel, standings)
    _tuned(lab, duel, standings)
    with st.expander("The rule", key="duel_rule", expanded=duel.state == "finished"), st.container(width=860):
        st.markdown("\n".join(f"- {texts.plain(line)}" for line in rule(duel.spec)))
    _exports(lab, duel)


def _head(lab: Lab, duel: Duel, standings: Sequence[Standing], mine: bool) -> None:
    steer = lab.client.duels
    with st.container(key="duel_head", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{text.STATES[duel.state]}**", width="content")
        if mine and duel.state == "running":
            _button("Pause", "duel_pause", "pause", lab, duel, steer.pause)
        if mine and duel.state in ("paused", "stopped"):
            _button("Resume", "duel_resume", "play_arrow", lab, duel, steer.resume)
        if mine and duel.state in ("running", "paused"):
            _button("Stop", "duel_stop", "stop", lab, duel, steer.stop)
        if mine and duel.state in ("stopped", "finished"):
            with st.popover("Delete", key="duel_delete", icon=":material/delete:"):
                st.markdown("Forgets the duel. Its races stay.")
                _button("Delete it", "duel_delete_now", "delete", lab, duel, _delete(lab))
    st.progress(text.share(duel.spec, standings), text.progress(duel, standings, time.time()))
    if duel.message:
        st.error(texts.plain(duel.message))


def _button(label: str, key: str, icon: str, lab: Lab, duel: Duel, action: Callable[[str, Person], None]) -> None:
    st.button(label, key=key, icon=f":material/{icon}:", on_click=_do, args=(lab, partial(action, duel.id)))


def _do(lab: Lab, action: Callable[[Person], None]) -> None:
    with long_work.refusals():
        action(identity.person(lab))


def _delete(lab: Lab) -> Callable[[str, Person], None]:
    def delete(duel_id: str, who: Person) -> None:
        lab.client.duels.delete(duel_id, who)
        long_work.show("duel", None)

    return delete


def _answers(duel: Duel, standings: Sequence[Standing]) -> None:
    """Yes, no or can't tell about each rival, and what that means."""
    titles, spec = theme.lane_titles(duel.spec.base), duel.spec
    with st.container(key="duel_answers"):
        if duel.state != "finished":
            st.info(text.NO_PEEKING, icon=":material/hourglass_top:")
        for each, title in zip(standings[1:], titles[1:], strict=True):
            if each.compared is None or each.answer is None:
                continue
            said = explanation(title, titles[0], each.compared, spec.margin, spec.seeds)
            box = {"yes": st.success, "no": st.warning}.get(each.answer, st.info)
            box(f"**{title}** – {said} {text.MEANING[each.answer]}", icon=text.ICONS[each.answer])


def _differences(duel: Duel, standings: Sequence[Standing]) -> None:
    shown = charts.differences(duel.spec, standings)
    if not any(each.differences for each in standings):
        return
    baseline = theme.lane_titles(duel.spec.base)[0]
    st.markdown(f"#### Difference from the tuned {baseline}, by round")
    legend.draw(legend.lanes(duel.spec.base, range(1, len(standings))), "duel_legend")
    with st.container(key="duel_chart"):
        plot.draw(shown.figure, "duel_plot", shown.words, "duel")
    st.caption(
        f"{texts.plain(shown.words)} Solid line: no difference; dotted: the gain worth having, {duel.spec.gain_worth_having}. "
        "Each point: two trainings with one seed, each with the settings that its own search of the round had chosen."
    )
    with st.expander("As a table", key="duel_differences"):
        st.table(shown.rows, border="horizontal", hide_index=True)


def _costs(lab: Lab, duel: Duel, standings: Sequence[Standing]) -> None:
    """What a training and its tuning took, and what it takes to a target that can be moved."""
    first = export.default_target(standings)
    if first is None:
        return
    st.markdown("#### What it costs")
    percent = st.number_input(
        "Target: test accuracy (%)",
        min_value=1.0,
        max_value=99.9,
        value=max(1.0, round(100 * first, 1)),
        step=0.5,
        key=f"duel_target_{duel.id}_{duel.state}",
        width=190,
        help="Whose cost is compared. At first one point below the worst mean.",
    )
    rows = []
    for place, (each, title) in enumerate(zip(standings, theme.lane_titles(duel.spec.base), strict=True)):
        costs = lab.store.duels.to_target(duel, place, percent / 100)
        seconds = [cost[1] for cost in costs.values() if cost]
        gradients, took = export.medians(each)
        rows.append(
            {
                "Method": title,
                "Test accuracy": export.accuracy(each),
                "Gradients": gradients,
                "Seconds": took,
                "Gradients to target": export.reached(costs),
                "Seconds to target": f"{statistics.median(seconds):.1f}" if seconds else "–",
                "Trials": f"{each.searched}",
                "Tuning: gradients": f"{each.search_gradients:,}",
                "Tuning: minutes": f"{each.search_minutes:.1f}",
            }
        )
    st.dataframe(rows, hide_index=True)
    st.caption(text.COST)


def _tuned(lab: Lab, duel: Duel, standings: Sequence[Standing]) -> None:
    """The settings that won each search, the best so far of a running one, and every trial."""
    here = share_link.build(Link(), st.context.url or "")
    best, every = [], []
    for place, (each, title) in enumerate(zip(standings, theme.lane_titles(duel.spec.base), strict=True)):
        for turn, sweep in enumerate(lab.store.duels.searches(duel, place)):
            trials = lab.store.sweeps.trials(sweep.id)
            winner = each.winners.get(turn) or next(iter(ranked(sweep.spec, trials)), None)
            if winner:
                seed = duel.spec.fresh_seed(turn)
                settings = {query_title(field): value for field, value in winner.values.items()}
                state = "chosen" if turn in each.winners else "best so far"
                best.append(
                    {
                        "Method": title,
                        "Round": turn + 1,
                        "State": state,
                        **settings,
                        "Validation": percent_of(winner.score),
                    }
                    | {"Test (fresh seed)": percent_of(each.test.get(seed))}
                )
            every += [
                {
                    "Method": title,
                    "Round": turn + 1,
                    "Part": "judged" if trial.fresh else "search",
                    "State": TRIAL_STATES.get(trial.state, trial.state),
                    **{query_title(field): value for field, value in trial.values.items()},
                    "Validation": None if trial.fresh else percent_of(trial.score),
                    "Test (fresh seed)": percent_of(trial.score) if trial.fresh else None,
                    "Race": f"{here}?run={trial.run}" if trial.run else None,
                }
                for trial in trials
            ]
    if best:
        st.markdown("#### What each method was tuned to")
        st.dataframe(best, hide_index=True, placeholder="–", column_config=_columns())
    if every:
        with st.expander(f"All {len(every)} trainings so far", key="duel_every"):
            st.dataframe(every, hide_index=True, placeholder="–", column_config=_columns())


def query_title(field: str) -> str:
    setting = field.rpartition(".")[2]
    return texts.LABELS.get(setting, setting.capitalize())


def percent_of(score: float | None) -> float | None:
    return None if score is None else 100 * score


def _columns() -> dict[str, Any]:
    accuracies = {name: st.column_config.NumberColumn(format="%.2f%%") for name in ("Validation", "Test (fresh seed)")}
    return {**accuracies, "Race": st.column_config.LinkColumn(display_text="Open")}


def _exports(lab: Lab, duel: Duel) -> None:
    with st.popover("Export", key="duel_export", icon=":material/download:"):
        for name, made in export.FORMATS.items():
            st.download_button(
                NAMES[name],
                partial(made, lab.store, duel),
                f"duel-{duel.id[:8]}.{name}",
                mime=MIME[name],
                key=f"duel_export_{name}",
                on_click="ignore",
            )
        st.code(export.command(duel.spec), language=None, wrap_lines=True)


def labels(found: Sequence[Duel]) -> dict[str, str]:
    """Who against whom, with the state; with the id where two would read the same."""
    return run_labels.distinct(
        {one.id: f"{query.describe(one.spec)} · {text.STATES[one.state].lower()}" for one in found}
    )
