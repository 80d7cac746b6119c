"""The reveal of a lesson: the right answers, the numbers, the claims with their verdicts, and a button to refute them."""

from typing import Any

import streamlit as st

from app.lessons import charts, query, text, views
from app.lessons import race as lessons_race
from app.shell import nav
from app.ui import alt_text, evidence, plot, recorded, run_labels, texts
from app.ui.evidence import Rows
from app.ui.lab import Lab
from app.ui.lesson_content import Claim, Lesson
from app.ui.quoted_numbers import lengths
from ssam.experiment import preset
from ssam.stats.paired import Paired


def draw(lab: Lab, lesson: Lesson) -> None:
    _answers(lesson)
    st.markdown(lesson.sections["reveal"])
    views.links(lesson, "reveal")
    st.markdown("### The numbers")
    _evidence(lesson)
    st.markdown("### Claims")
    mine = lessons_race.own(lab, lesson)
    seed = lessons_race.unseen(lab, lesson)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            f"Try to refute it: run seed {seed}",
            key="lesson_again",
            icon=":material/casino:",
            on_click=lessons_race.submit,
            args=(lab, lesson, seed),
        )
        then = "" if any(claim.evidence == "races" for claim in lesson.claims) else ", once you measure your race"
        st.caption(f"Every claim can fail on your seed{then}. {run_labels.cost(lab, lesson.spec)}", width="content")
    compared = evidence.comparisons(lesson)
    for place, claim in enumerate(lesson.claims, 1):
        _claim(lesson, claim, place, mine, compared.get(claim))
    st.markdown("### Sources")
    st.markdown("\n".join(f"- [{texts.plain(source.title)}]({source.address})" for source in lesson.sources))
    views.forward("Try next", lesson, "next")


def _answers(lesson: Lesson) -> None:
    made = query.predictions(lesson.name)
    for place, question in enumerate(lesson.questions, 1):
        with st.container(border=True, key=f"answer_{place}", gap="xsmall"):
            st.markdown(f"**{views.numbered(lesson, place)}{question.prompt}**")
            prediction = made[place - 1]
            if prediction == query.SKIPPED:
                st.markdown("Skipped.")
            else:
                won = prediction.points(question.answer)
                mark = ":material/check: **Right**" if won > 0 else ":material/close: **Incorrect**"
                said = "" if won > 0 else f" You answered: *{question.choices[prediction.choice - 1]}*"
                st.markdown(f"{mark}, {views.signed(won)} point{'s' * (abs(won) != 1)}.{said}")
            st.markdown(f"*{question.choices[question.answer - 1]}.* {question.why}")


def _evidence(lesson: Lesson) -> None:
    """Draw the tables, and curves if any, of all kinds of evidence that the claims use."""
    kinds = {claim.evidence for claim in lesson.claims}
    if "races" in kinds:
        race = evidence.races(lesson.preset)
        if race is None:
            st.info(f"The races of *{preset(lesson.preset).title}* have not been measured yet.")
        else:
            _races(lesson, race)
    if "flatness" in kinds and (rows := evidence.flatness()):
        st.table(text.flatness(rows), border="horizontal", hide_index=True)
        st.caption(f"At the final weights, seeds {', '.join(rows)}; ± is the standard deviation over the seeds.")
    if "disturbed" in kinds and (rows := evidence.disturbed()):
        st.table(text.disturbed(rows), border="horizontal", hide_index=True)
        st.caption(
            f"Seeds {', '.join(rows)}, which no trial had seen; ± is the standard deviation over them. Every contender was tuned with the same number of "
            "trials. Question, rule and seeds were registered before the data."
        )
    if "bench" in kinds and (rows := evidence.bench()):
        names = [claim.lane for claim in lesson.claims if claim.evidence == "bench"]
        st.table(text.bench(rows, names), border="horizontal", hide_index=True)
        st.caption("The cost of a step in SGD steps: FLOPs, and measured time (`make bench`).")


def _races(lesson: Lesson, race: dict[str, Any]) -> None:
    figure = charts.figure(race, lesson.spec)
    plot.draw(figure, "lesson_chart", f"Test accuracy. {alt_text.summary(figure)}", lesson.name, plot.NO_BUTTONS)
    st.caption(
        "Test accuracy, mean over the seeds; the band is the range from the lowest to the highest seed. The last epoch is measured on all test images, the others on a part of them."
    )
    rows = evidence.rows(race)
    st.table(text.races(race, rows, lesson.spec), border="horizontal", hide_index=True)
    if (recording := recorded.of(lesson.spec)) and (said := lengths(recording)):
        st.caption(said)
    machine = race["machine"]
    st.caption(
        f"Seeds {', '.join(rows)}; ± is the standard deviation over them. Last epoch: each accuracy on {evidence.tested(race)}. "
        f"Best − last: evaluations during the race, on one part of the test images. {machine['cpu']}, PyTorch {machine['torch']}, {race['date']}, by `{race['command']}`."
    )


def _claim(lesson: Lesson, claim: Claim, place: int, mine: Rows, compared: Paired | None) -> None:
    """Draw one claim: the sentence, its bound, the verdict, the comparison of its two lanes, and how to make it fail."""
    finding = evidence.find(claim, evidence.of_claim(claim, lesson))
    with st.container(border=True, key=f"claim_{place}", gap="xsmall"):
        believed = "Common belief: " if claim.expected == "fails" else ""
        st.markdown(f"{believed}**{claim.text}**")
        if finding is None:
            st.markdown("Not measured yet.")
        else:
            icon = ":material/check:" if finding.holds else ":material/close:"
            st.markdown(f"{icon} **{text.verdict(claim, finding)}** · {text.per_seed(claim, finding)}")
            if compared:
                st.markdown(text.compared(claim, lesson, compared))
        st.caption(text.held_against(claim, lesson))
        if claim.evidence == "races" and claim.preset in (None, lesson.preset):
            if own := evidence.find(claim, mine):
                held = "as claimed" if all(own.held.values()) else "not as claimed"
                st.markdown(f"Your race: {text.of_seeds(claim, own)}, {held}.")
        else:
            _elsewhere(lesson, claim)


def _elsewhere(lesson: Lesson, claim: Claim) -> None:
    """Draw the button for a claim that this lesson's race does not test."""
    if claim.evidence == "flatness":
        nav.link("flatness", "Measure your own race", _flatness_of(lesson))
        return
    if claim.evidence == "disturbed":
        nav.link("flatness", "Disturb the test images of your own race", {"kind": "robustness", **_flatness_of(lesson)})
        return
    settings = (
        {"preset": claim.preset}
        if claim.preset
        else {"preset": lesson.preset, "lanes": ",".join(dict.fromkeys(("sgd", "sam", *claim.lanes)))}
    )
    label = f"Race it: {preset(claim.preset).title}" if claim.preset else "Race it against SGD and SAM"
    nav.link("race", label, settings)


def _flatness_of(lesson: Lesson) -> dict[str, str]:
    own = query.runs(lesson.name)
    return {"run": own[-1]} if own else {}
