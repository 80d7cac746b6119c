"""Where a reader is in the lessons: the address, the steps, what they predicted, and their points."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import streamlit as st

from app.shell import classroom, identity, services, share_link
from app.shell.address import Field, Table, choice
from app.ui.lesson_content import FOLDER, STEPS, Lesson, readable
from ssam.experiment import RaceSpec
from ssam.store import Store

STAKES = {1: "1 · a guess", 2: "2 · fairly sure", 3: "3 · certain"}


@dataclass(frozen=True)
class Prediction:
    """One answer: the place of the choice, from 1, and the points on it. Right, they are won; wrong, they are lost."""

    choice: int
    stake: int

    def points(self, answer: int) -> int:
        """
        >>> Prediction(2, 3).points(answer=2), Prediction(2, 3).points(answer=1)
        (3, -3)
        """
        return self.stake if self.choice == answer else -self.stake


SKIPPED = Prediction(0, 0)  # stands for one that was not made: no choice, no points


def table(known: dict[str, Lesson]) -> Table:
    """What an address says."""
    return Table("lessons", "lesson", (choice("lesson", known), Field("step", _step), Field("run")), shared=True)


def _step(said: str) -> str:
    """A step by its name, or by its place from 1."""
    if said in STEPS:
        return said
    if said.isascii() and said.isdigit() and len(said) == 1 and 1 <= int(said) <= len(STEPS):
        return STEPS[int(said) - 1]
    raise ValueError(f"step {said[:40]!r} must be one of {', '.join(STEPS)}, or 1 to {len(STEPS)}")


def arrive(store: Store, known: dict[str, Lesson]) -> None:
    """Take the lesson, the step and the race out of the address, and what it says of a class. The address of a reveal asks for a
    prediction first, as its button does."""
    here, state = table(known), st.session_state
    misread = classroom.take(share_link.split(dict(st.query_params))[0])
    values, problems = here.parse(here.asked() or {})
    name = state["lesson"] = values.pop("lesson", None)
    state["lesson_asked"] = None
    if values and not name and not problems:
        problems.append(f"{next(iter(values))} needs a lesson; lessons are {', '.join(known)}")
    if name and (step := values.get("step")):
        go(name, step)
    if name and (run_id := values.get("run")):
        run = store.runs.get(run_id)
        if run and run.analysis is None and is_of(known[name], run.spec):
            remember(name, run_id)
        else:
            problems.append(f"run {run_id[:40]!r} is no race of this lesson")
    here.complain(problems)
    state["lesson_notice"] = misread or state["lesson_notice"]


def write(known: dict[str, Lesson]) -> None:
    """Put the shown lesson into the address bar, with what belongs to the class."""
    here, name = table(known), st.session_state["lesson"]
    own = runs(name)
    here.put(here.words({"lesson": name, "step": step(name), "run": own[-1] if own else None}) if name else {})


def is_of(lesson: Lesson, spec: RaceSpec) -> bool:
    """Whether a race is the lesson's, whatever its seed and device."""
    same = {"seed": 0, "device": "auto"}
    return spec.model_copy(update=same) == lesson.spec.model_copy(update=same)


def step(name: str) -> str:
    """Where the reader is in a lesson."""
    return str(st.session_state.get("lesson_steps", {}).get(name, STEPS[0]))


def go(name: str, wanted: str) -> None:
    """Moves on to a step. The reveal and what follows open after a prediction: before, the reader is asked for one."""
    is_answer = wanted in ("reveal", "next")
    if is_answer and not predictions(name):
        st.session_state["lesson_asked"] = wanted
        return
    st.session_state["lesson_asked"] = None
    if is_answer:
        _kept("lesson_seen", name, True)
    _kept("lesson_steps", name, wanted)


def skip(lesson: Lesson) -> None:
    """Goes on without a prediction, for good, to where the reader was asked for one."""
    wanted = st.session_state["lesson_asked"] or "watch"
    if not predictions(lesson.name):
        _predicted()[lesson.name] = (SKIPPED,) * len(lesson.questions)
    go(lesson.name, wanted)


def neighbours(name: str, known: dict[str, Lesson]) -> tuple[Lesson | None, Lesson | None]:
    """The lessons before and after."""
    names = list(known)
    at = names.index(name)
    before = known[names[at - 1]] if at else None
    return before, known[names[at + 1]] if at + 1 < len(names) else None


def predictions(name: str) -> tuple[Prediction, ...]:
    """What was predicted or SKIPPED in a lesson, one for each question; empty before."""
    return _predicted().get(name, ())


def _predicted() -> dict[str, tuple[Prediction, ...]]:
    """This person's predictions by lesson. A reload finds them again, a restart of the server does not."""
    lab = services.lab()
    return _everybodys().setdefault((str(lab.store.home), identity.person(lab).owner), {})


@st.cache_resource(show_spinner=False)
def _everybodys() -> dict[tuple[str, str], dict[str, tuple[Prediction, ...]]]:
    return {}


def has_seen(name: str) -> bool:
    """Whether its reveal has been shown."""
    return bool(st.session_state.get("lesson_seen", {}).get(name))


def commit(lesson: Lesson) -> None:
    """Takes the form's choices as the prediction, for good, and goes on to the race; says what is missing where something is."""
    numbers = range(1, len(lesson.questions) + 1)
    chosen = [
        (st.session_state.get(f"choice_{lesson.name}_{at}"), st.session_state.get(f"stake_{lesson.name}_{at}"))
        for at in numbers
    ]
    if any(choice is None or stake is None for choice, stake in chosen):
        st.session_state["lesson_missing"] = lesson.name
        return
    st.session_state["lesson_missing"] = None
    if not predictions(lesson.name):
        _predicted()[lesson.name] = tuple(Prediction(int(choice), int(stake)) for choice, stake in chosen)  # type: ignore[arg-type]
    go(lesson.name, "watch")


def score(known: dict[str, Lesson]) -> tuple[int, int, int]:
    """The points of all revealed predictions, of how many questions, and how many of these were skipped."""
    made = [
        (prediction, question)
        for lesson in known.values()
        if has_seen(lesson.name)
        for prediction, question in zip(predictions(lesson.name), lesson.questions, strict=False)
    ]
    points = sum(prediction.points(question.answer) for prediction, question in made)
    return points, len(made), sum(prediction == SKIPPED for prediction, _ in made)


def runs(name: str) -> list[str]:
    """The races that were started, or came with the address, in this session; the newest last."""
    return list(st.session_state.get("lesson_runs", {}).get(name, ()))


def remember(name: str, run_id: str) -> None:
    """Makes a race the newest of a lesson."""
    _kept("lesson_runs", name, [*(known for known in runs(name) if known != run_id), run_id])


def forget(name: str, run_id: str) -> None:
    """The race is gone."""
    _kept("lesson_runs", name, [known for known in runs(name) if known != run_id])


def _kept(what: str, name: str, value: object) -> None:
    st.session_state[what] = {**st.session_state.get(what, {}), name: value}


@lru_cache(maxsize=2)
def _read(folder: Path, files: tuple[tuple[str, int], ...]) -> tuple[dict[str, Lesson], tuple[str, ...]]:
    return readable(folder)


def everything() -> tuple[dict[str, Lesson], tuple[str, ...]]:
    """All lessons by name, and a line for each file that is not right. They are read again once a file has come, gone or changed."""
    return _read(FOLDER, tuple(sorted((path.name, path.stat().st_mtime_ns) for path in FOLDER.iterdir())))
