"""The table of situations in real training code: our column is right or refuses, and the page shows what was measured."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import marked
from benchmarks.border import __main__ as border
from benchmarks.border import processes
from benchmarks.border.libraries import Library, Ours, pytorch_optimizer
from benchmarks.border.outcome import CLEAR, NOT_OFFERED, OTHER, RIGHT, WRONG, outcome

RECORD = json.loads(border.RECORD.read_text(encoding="utf-8"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.service
@pytest.mark.parametrize("make", [Ours, pytorch_optimizer], ids=["ours", "pytorch_optimizer"])
def test_the_recorded_outcomes_are_those_of_today(make: Any) -> None:
    found = border.tried(make)
    if make is Ours:
        assert {each["outcome"] for each in found.values()} == {RIGHT, CLEAR}
    recorded = RECORD["libraries"][make().name]
    assert {case: each["outcome"] for case, each in found.items()} == {
        case: each["outcome"] for case, each in recorded["cases"].items()
    }
    assert recorded["version"] == make().version


def test_the_page_shows_the_record() -> None:
    assert marked.read(border.PAGE, "border") == border.table(RECORD)
    for library in RECORD["libraries"].values():
        assert library["cases"].keys() == border.ALONE.keys() | processes.CASES.keys()


class Plain(Ours):
    """An optimizer that only claims to be SAM."""

    def make(self, model: Any, base: Any = torch.optim.SGD, rho: float = 0.5, **settings: Any) -> Any:
        return base(model.parameters(), lr=0.1)


def test_an_optimizer_that_does_not_perturb_is_found_out() -> None:
    assert outcome(border.ALONE["a plain step"], Plain())["outcome"] == WRONG
    assert outcome(border.ALONE["BatchNorm"], Plain())["outcome"] == WRONG


def test_an_error_is_clear_only_if_the_library_raises_it(tmp_path: Path) -> None:
    library = Ours()
    library.folder = Path(__file__).parent

    def says(_: Library) -> bool:
        raise ValueError("one line\nand more")

    def stumbles(_: Library) -> bool:
        return bool(torch.stack([]))

    assert outcome(says, library) == {"outcome": CLEAR, "error": "ValueError: one line"}
    assert outcome(stumbles, library)["outcome"] == OTHER
    library.folder = tmp_path
    assert outcome(says, library)["outcome"] == OTHER
    assert outcome(border.ALONE["`GradScaler`, unscaled twice"], pytorch_optimizer())["outcome"] == NOT_OFFERED
