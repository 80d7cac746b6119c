"""The list of races: search, filter, sort and page; quick with thousands of one owner.

Settings and results of a race do not change once it has ended. They are read once (``FactsCache``); each listing then reads one
short row per race, and whole races only for the page.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Row, Select, select, true

from ssam.catalogue import DATASETS, MODELS
from ssam.experiment import LaneSpec, RaceSpec, presets
from ssam.methods import METHODS
from ssam.store import classes, run_list
from ssam.store.annotations import Labels, of_row
from ssam.store.schema import labels, runs
from ssam.store.views import AccuracyCurve, Run, State

PAGE = 50  # races
SCAN_LIMIT = 20_000  # latest races considered by a listing: more than one owner can browse
REMEMBERED = 40_000  # races whose facts are kept in memory, about half a kilobyte each
QUERY = 200  # maximal length of a search

Sort = Literal["newest", "oldest", "name", "accuracy", "cost"]
SORTS: tuple[Sort, ...] = get_args(Sort)


@dataclass(frozen=True)
class RunQuery:
    """A query of the list. ``text`` has words, or phrases in quotes, that must all occur; None matches everything.
    Sorted by accuracy the best is first, by cost (seconds trained) the cheapest; races without a value are last."""

    text: str = ""
    state: State | None = None
    dataset: str | None = None
    model: str | None = None
    method: str | None = None
    tag: str | None = None
    sort: Sort = "newest"
    page: int = 1
    size: int = PAGE  # races on a page


@dataclass(frozen=True)
class RunRow:
    """One line of the list. ``accuracy`` is the best lane's final one, 0–1; ``seconds`` the training time."""

    run: Run
    labels: Labels
    courses: tuple[AccuracyCurve, ...]
    accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class RunPage:
    """One page of a list: ``matching`` races of ``all``; ``choices`` are the filters' values, under the names of ``RunQuery``,
    with the number of races for each."""

    rows: tuple[RunRow, ...]
    page: int
    pages: int
    matching: int
    all: int
    choices: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A race's facts for the list; ``words`` is the searched text, in lower case."""

    words: str
    title: str
    place: tuple[str, str, tuple[str, ...]]  # data set, model, methods: for the filters
    accuracy: float | None


@dataclass
class FactsCache:
    """The facts of races by key, with their state and end time when they were read."""

    _facts: dict[int, tuple[str, float | None, RunFacts]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, connection: Connection, rows: Sequence[Row], which: Select) -> dict[int, RunFacts]:
        """Return the facts of these rows by key, reading missing ones. ``which`` selects the keys."""
        with self._lock:
            before = {row.key: self._facts.get(row.key) for row in rows}
        facts_by_key = {
            row.key: entry[2] for row in rows if (entry := before[row.key]) and entry[:2] == (row.state, row.ended)
        }
        if missing := [row.key for row in rows if row.key not in facts_by_key]:
            columns = (runs.c.key, runs.c.id, runs.c.state, runs.c.ended, runs.c.spec, runs.c.result)
            few = runs.c.key.in_(missing) if len(missing) <= 500 else runs.c.key.in_(which)
            fresh = connection.execute(select(*columns).where(few))
            read = {row.key: (row.state, row.ended, facts(row.id, row.spec, row.result)) for row in fresh}
            facts_by_key |= {key: entry[2] for key, entry in read.items()}
            with self._lock:
                self._facts |= read
                for key in list(self._facts)[: max(0, len(self._facts) - REMEMBERED)]:
                    del self._facts[key]
        return facts_by_key


def facts(run_id: str, spec: str, result: str | None) -> RunFacts:
    """Return the facts in a stored specification and result, unchecked: they were validated by RaceSpec before."""
    race = {**_defaults(), **json.loads(spec)}
    lanes = race["lanes"]
    accuracies = [lane["test_accuracy"] for lane in json.loads(result)["lanes"]] if result else []
    ended = [accuracy for accuracy in accuracies if accuracy is not None]
    methods = tuple(dict.fromkeys(lane["method"] for lane in lanes))
    dataset, model = DATASETS[race["dataset"]], MODELS[race["model"]]
    title = f"{model.title} on {dataset.title}"
    share = race["label_noise"]
    noise = f"{100 * share:g}% label noise, wrong labels, noise {share:g}" if share else ""
    parts = [
        title,
        dataset.name,
        model.name,
        *(f"{name} {METHODS[name].title}" for name in methods),
        *_preset_names(race),
        f"seed {race['seed']}, rho {race['rho']:g}, sparsity {100 * race['sparsity']:g}%, {race['epochs']} epochs",
        noise,
        race["data"] or "",
        *(_lane_words(tuple(lane.items())) for lane in lanes),
        run_id,
    ]
    words = " · ".join(filter(None, parts)).lower()
    return RunFacts(words, title, (dataset.name, model.name, methods), max(ended, default=None))


@cache
def _defaults() -> dict[str, Any]:
    return RaceSpec().model_dump(mode="json")


@cache
def _presets() -> list[tuple[str, dict[str, Any]]]:
    """Return each preset's words, and its settings apart from lanes, seed and device."""
    return [
        (f"{preset.name} {preset.title}", _settings(preset.spec.model_dump(mode="json")))
        for preset in presets().values()
    ]


def _settings(race: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in race.items() if name not in ("lanes", "seed", "device")}


def _preset_names(race: dict[str, Any]) -> list[str]:
    own = _settings(race)
    return [words for words, settings in _presets() if settings == own]


@lru_cache(maxsize=1024)
def _lane_words(lane: tuple[tuple[str, Any], ...]) -> str:
    return " ".join(f"{name}={value}" for name, value in lane if value != _LANE[name])


_LANE = {name: field_info.default for name, field_info in LaneSpec.model_fields.items()}


def parse_text(text: str) -> list[str]:
    """Return the words and phrases of a search, in lower case.

    >>> parse_text('SAM "seed 3" cnn8')
    ['sam', 'seed 3', 'cnn8']
    """
    matches = re.findall(r'"([^"]*)"|(\S+)', text[:QUERY].lower())
    return [" ".join((phrase or word).split()) for phrase, word in matches if phrase.strip() or word]


def search(
    connection: Connection,
    cache: FactsCache,
    query: RunQuery,
    owner: str | None = None,
    ids: Sequence[str] | None = None,
    deleted: bool = False,
) -> RunPage:
    """Return one page, as ``Runs.search`` does. A page beyond the last is the last."""
    which = runs.c.analysis.is_(None) & (true() if owner is None else runs.c.owner == owner)
    if ids is not None:
        which &= runs.c.id.in_(ids)
    which &= labels.c.deleted.is_not(None) if deleted else labels.c.deleted.is_(None)
    columns = (runs.c.key, runs.c.id, runs.c.state, runs.c.created, runs.c.ended, runs.c.trained)
    beside = (labels.c.name, labels.c.tags, labels.c.note, labels.c.deleted)
    all_rows = select(*columns, *beside).join(labels, labels.c.run == runs.c.key, isouter=True).where(which)
    newest = all_rows.order_by(runs.c.created.desc(), runs.c.key.desc()).limit(SCAN_LIMIT)
    rows = connection.execute(newest).all()
    facts_by_key = cache.of(connection, rows, select(newest.subquery().c.key))
    rows = [row for row in rows if row.key in facts_by_key]  # a race may have been deleted between the two queries
    words = parse_text(query.text)
    matching = [row for row in rows if _matches(row, facts_by_key[row.key], query, words)]
    matching = _sorted(matching, facts_by_key, query.sort)
    pages = max(1, -(-len(matching) // query.size))
    page = min(max(1, query.page), pages)
    shown = matching[(page - 1) * query.size : page * query.size]
    shown_rows = tuple(_rows(connection, shown, facts_by_key))
    return RunPage(shown_rows, page, pages, len(matching), len(rows), _choices(rows, facts_by_key))


def _matches(row: Row, race: RunFacts, query: RunQuery, words: Sequence[str]) -> bool:
    dataset, model, methods = race.place
    if (
        query.state not in (None, row.state)
        or query.dataset not in (None, dataset)
        or query.model not in (None, model)
        or (query.method is not None and query.method not in methods)
        or (query.tag is not None and query.tag not in (row.tags or "").split())
    ):
        return False
    if not words:
        return True
    labelled = f"{row.name} {row.tags} {row.note}".lower() if row.name is not None else ""
    return all(word in race.words or word in labelled for word in words)


def _sorted(rows: list[Row], facts_by_key: dict[int, RunFacts], sort: Sort) -> list[Row]:
    """Sort ``rows``, which are newest first; equal ones keep that order."""
    if sort == "oldest":
        return rows[::-1]
    if sort == "name":  # named ones first
        return sorted(rows, key=lambda row: (not row.name, (row.name or facts_by_key[row.key].title).lower()))
    if sort == "accuracy":
        return sorted(rows, key=lambda row: -(-1.0 if (best := facts_by_key[row.key].accuracy) is None else best))
    if sort == "cost":
        return sorted(rows, key=lambda row: row.trained or float("inf"))
    return rows


def _rows(connection: Connection, rows: Sequence[Row], facts_by_key: dict[int, RunFacts]) -> list[RunRow]:
    whole = connection.execute(select(runs).where(runs.c.key.in_([row.key for row in rows]))).all()
    by_id = {run.id: run for run in run_list.views(connection, whole)}
    courses = classes.courses(connection, [row.key for row in rows])
    return [
        RunRow(by_id[row.id], of_row(row), tuple(courses.get(row.key, ())), facts_by_key[row.key].accuracy, row.trained)
        for row in rows
        if row.id in by_id
    ]


def _choices(rows: Sequence[Row], facts_by_key: dict[int, RunFacts]) -> dict[str, dict[str, int]]:
    """Return the filters' values, the most frequent first."""
    races = Counter((row.state, facts_by_key[row.key].place, row.tags) for row in rows)
    counted: dict[str, Counter[str]] = {name: Counter() for name in ("state", "dataset", "model", "method", "tag")}
    for (state, (dataset, model, methods), tags), count in races.items():
        each = {
            "state": (state,),
            "dataset": (dataset,),
            "model": (model,),
            "method": methods,
            "tag": (tags or "").split(),
        }
        for name, values in each.items():
            counted[name].update(dict.fromkeys(values, count))
    return {name: dict(counts.most_common()) for name, counts in counted.items()}
