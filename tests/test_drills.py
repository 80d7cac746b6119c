"""The drills in short; ``make drills`` is the long form."""

from collections.abc import Callable

import pytest

from benchmarks.drills import deaths
from benchmarks.drills.drill import Drill, perform


@pytest.mark.slow
@pytest.mark.parametrize(("act", "rounds"), [(deaths.race_process, 2), (deaths.everything, 1)])
def test_nothing_is_lost_when_processes_are_killed(act: Callable[[Drill, int], None], rounds: int) -> None:
    found = perform(act, rounds, seed=1)
    assert (found["rounds"], found["races"]) == (rounds, 1)
    assert found["points_read"] > 0
    assert [found[goal] for goal in ("points_lost", "races_that_differ", "orphans")] == [0, 0, 0], found
