"""What each process of a shared race does in the tests: ``torchrun tests/ranks.py JOBS FOLDER``.

JOBS is a JSON list of ``{"name", "spec", "perturbation", "step"}``: runs each race until its lanes have made that many steps and
keeps the checkpoint as FOLDER/name-RANK.pt.
"""

import json
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from ssam.engine import Race, lockstep
from ssam.engine.distributed import joined
from ssam.experiment import parse_spec
from ssam.experiment.events import Checkpoint, StepEvent


def state_after(race, step):
    """The race's state when each lane has made so many steps."""
    last = race.spec.lane_names[-1]
    few = patch.object(lockstep, "LIVE_TEST_SIZE", 64)  # images: the evaluations took most of the time
    with few, closing(race.events()) as events:
        for event in events:
            if isinstance(event, Checkpoint):
                return event.state
            if isinstance(event, StepEvent) and (event.lane, event.step) == (last, step):
                race.want_checkpoint()
    raise AssertionError(f"the race ended before step {step}")


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    with joined("worker") as ranks:
        for job in json.loads(sys.argv[1]):
            together = replace(ranks, perturbation=job["perturbation"])
            race = Race(parse_spec(job["spec"]), home=folder, threads=1, ranks=together)
            torch.save(state_after(race, job["step"]), folder / f"{job['name']}-{ranks.rank}.pt")
