"""The script of a lane gives, outside the lab, the numbers that the lane gave: to the bit."""

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssam.engine import Race, mask_source
from ssam.experiment import parse_spec
from ssam.export import Source, script, script_steps
from ssam.store import Run, Store

ROOT = Path(__file__).resolve().parents[1]
TINY = {"batch_size": "16", "epochs": "2", "rho": "0.2", "seed": "5"}
PAPER = "sgd,sam,ssam-f,ssam-d,asam,asam:region=late:norm=masked,sam:region=early:direction=momentum:rho=1.4"
WAYS = (
    "sam:direction=last,sam:ascent_batch=4,sam:ascent_interval=3,sam:region=late:norm=masked,"
    "ssam-d:region=early:norm=masked,ssam-f:granularity=n-of-4:ascent_batch=8,sam:direction=momentum:ascent_interval=2,sam:direction=last:ascent_interval=2"
)
MASKS = (
    "ssam:score=random,ssam:score=magnitude:region=late,ssam:score=gradient:granularity=tensor,ssam:granularity=block,"
    "ssam-f:granularity=block:norm=masked,ssam-f:region=norm:sparsity=0.999,ssam:score=random:granularity=n-of-8,ssam-d:sparsity=1"
)
TRAINED = (
    "sgd:epochs=1:lr=0.05:weight_decay=0.01,sgd:base=adamw,sam:base=adamw:lr=0.002:label_smoothing=0.1,"
    "sgd:ema=0.8:patience=1,ssam-d:patience=1:lr=0.3"
)
FAMILY = (
    "f-sam,f-sam:region=late:norm=masked,f-sam:ascent_batch=4:ascent_interval=2,vasso,vasso:region=late:norm=masked,"
    "gsam,gsam:region=late:norm=masked,looksam:ascent_interval=3"
)
RACES = {
    "family": {"lanes": FAMILY, "clock": "gradients", "dataset": "images", "data": "pictures", "image_size": "20"},
    "paper": {"lanes": PAPER, "augment": "crop-flip-cutout", "train_size": "96", "label_noise": "0.4"},
    "split": {"lanes": "sgd,ssam-f", "train_size": "160", "validation": "0.2", "label_noise": "0.4"},
    "trained": {
        "lanes": TRAINED,
        "validation": "0.25",
        "label_noise": "0.4",
        "epochs": "4",
        "dataset": "images",
        "data": "pictures",
        "image_size": "20",
    },
    "ways": {"lanes": WAYS, "clock": "gradients", "mask_interval": "2", "dataset": "images", "data": "pictures"},
    "masks": {
        "lanes": MASKS,
        "fisher_batch": "4",
        "fisher_samples": "40",
        "weight_decay": "0",
        "dataset": "images",
        "data": "pictures",
        "image_size": "20",
    },
}


def train(store: Store, changes: dict[str, str], threads: int = 1) -> Source:
    """A small race, really trained, as the store has it afterwards."""
    spec = parse_spec(TINY | changes)
    run_id = store.runs.create(spec, f"race {len(store.runs.newest(limit=500))}", "me")
    with store.writer(run_id) as writer:
        for event in Race(spec, home=store.home, threads=threads).events():
            writer.add(event)
    assert store.queue.transition(run_id, ("queued",), "finished")
    run = store.runs.get(run_id)
    assert run
    return Source(store, run)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("home"), "sqlite:///" + str(tmp_path_factory.mktemp("database") / "ssam.db"))
    threads = torch.get_num_threads()
    yield store
    torch.set_num_threads(threads)
    store.close()


def told(source: Source, place: int) -> list[str]:
    """What the script should print: epoch and training loss of every evaluation, then the end."""
    table = source.evaluations
    rows = table[table["lane"] == source.spec.lane_names[place]].to_dict("records")
    lines = [f"{row['epoch']!r} {row['train_loss']!r}" for row in rows]
    last = rows[-1]
    if source.spec.validation:
        held = source.info["validation_size"]
        lines.append(
            f"validation loss {last['validation_loss']!r}, accuracy {last['validation_accuracy']!r}, {held} images"
        )
    return [*lines, f"test loss {last['test_loss']!r}, accuracy {last['test_accuracy']!r}, {last['test_size']} images"]


def outside(code: str, folder: Path) -> list[str]:
    """What it prints in a process of its own that knows nothing of the race."""
    (folder / "lane.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "lane.py"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "SSAM_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def here(code: str) -> list[str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "lane.py", "exec"), {"__name__": "__main__"})
    return said.getvalue().splitlines()


def pictures(folder: Path) -> None:
    """Own images, so few that testing on them takes no time: 64 for training and 10 for testing, in two classes."""
    draws = np.random.default_rng(0)
    for split, count in (("train", 32), ("test", 5)):
        for label in ("dark", "light"):
            place = folder / "pictures" / split / label
            place.mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 160, (20, 20, 3)) + (80 if label == "light" else 0)
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")


@pytest.mark.slow
@pytest.mark.parametrize("race", RACES)
def test_the_script_gives_the_lanes_numbers_to_the_bit(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, race: str
) -> None:
    pictures(tmp_path)
    monkeypatch.chdir(tmp_path)
    source = train(store, RACES[race])
    for place, name in enumerate(source.spec.lane_names):
        code = script.script(source, place)
        assert len(code.splitlines()) < 75, name
        said, expected = outside(code, tmp_path) if race == "paper" else here(code), told(source, place)
        assert said[-len(expected) :] == expected, name  # before it what reading the data says
        result = source.run.result["lanes"][place]
        assert f"accuracy {result['test_accuracy']!r}." in code, name


def run_of(changes: dict[str, str], result: dict | None = None, **info: object) -> Run:
    """A race that ended, never trained; ``info`` is what Started told of it."""
    held_out = {"validation": "0.2"} if changes.get("lanes") == TRAINED else {}
    spec = parse_spec(TINY | held_out | changes)
    told = {**INFO, "lanes": [{"name": name, "total_steps": 12} for name in spec.lane_names], **info}
    times = {"created": 0.0, "started": 0.0, "ended": 1.0, "checkpointed": None, "races_ahead": None, "progress": 1.0}
    flags = {"message": "", "shared": False, "exclusive": False, "slot": None, "started_info": told, "result": result}
    return Run(id="x" * 22, owner="me", spec=spec, state="stopped", want="run", **times, **flags)


INFO = {"device": "cpu", "device_name": "A processor", "threads": 1, "precision": "float32", "test_size": 10_000}


@pytest.mark.parametrize(
    ("changes", "more", "says"),
    [
        ({"clock": "seconds"}, {}, "clock 'seconds'"),
        ({"lanes": "ssam:score=fisher-per-cost:granularity=block"}, {}, "score 'fisher-per-cost'"),
        (
            {"lanes": "sam"},
            {"result": {"lanes": [{"name": "sam", "diverged": True, "test_accuracy": None}]}},
            "diverged",
        ),
        ({"lanes": "sam"}, {"device_name": "2 × A processor"}, "several processes"),
    ],
)
def test_what_a_script_cannot_repeat_is_refused_in_one_line(store: Store, changes: dict, more: dict, says: str) -> None:
    source = Source(store, run_of(changes, **more))
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        script.script(source, 0)
    assert "\n" not in str(refused.value)
    assert script.why_none(source) == str(refused.value)


@pytest.mark.parametrize("lanes", ["sgd", PAPER, WAYS, MASKS, TRAINED])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_script_is_python_and_stands_as_it_would_be_written(store: Store, lanes: str, precision: str) -> None:
    source = Source(store, run_of({"lanes": lanes}, precision=precision, device="cuda:0"))
    for place in range(len(source.spec.lanes)):
        code = script.script(source, place)
        ruff = [sys.executable, "-m", "ruff"]
        checked = subprocess.run(
            [*ruff, "check", "--quiet", "--isolated", "--select", "E,F,I,B905", "--ignore", "E501,B905", "-"],
            input=code, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert checked.returncode == 0, checked.stdout + code
        assert ("autocast" in code) == (precision == "bfloat16")


def test_names_and_text_from_outside_cannot_leave_the_docstring(store: Store) -> None:
    hostile = 'x"""\nimport os\n\\'
    run = run_of({"dataset": "images", "data": "a\"'\\\n.zip", "lanes": "sgd"}, device_name=hostile)
    code = script.script(Source(store, run), 0)
    names = compile(code, "lane.py", "exec").co_names
    assert "os" not in names
    assert "image" in code


def test_it_draws_from_the_random_streams_of_the_engine() -> None:
    assert (script_steps.FISHER_DRAW, script_steps.MASK_DRAW) == (mask_source.FISHER_DRAW, mask_source.MASK_DRAW)
