"""Records: what a script may do, what is counted, and that a claim is checked by running it again."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import ssam
from benchmarks import marked, records
from ssam.cli import main
from ssam.record import run as running
from ssam.record import script as scripts
from ssam.record import task
from ssam.record.script import Output

GOOD = """import torch
from torch.nn.functional import cross_entropy

TITLE = "Plain SGD"
TASK = "small"


def train(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2 * batches.steps_per_epoch):
        x, y = batches.get(step)
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
"""
SMALL = task.Task(
    "a little", {"model": "mlp", "train_size": 128, "batch_size": 32, "epochs": 1}, target=0.05, seeds=(1, 2, 3)
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(task.TASKS, "small", SMALL)


def write(folder: Path, text: str) -> Path:
    (path := folder / "mine.py").write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("def train(model, batches)", "def train(model)", "train"),
        ("import torch\n", "import os\n", "'os'"),
        ("import torch\n", "import ssam.data\n", "'ssam.data'"),
        ("import torch\n", "from ssam.data import load_dataset\n", "'ssam.data'"),
        ("    optimizer = ", "    open('x')\n    optimizer = ", "open"),
        ("batches.get(step)", "batches.get.__self__", "__self__"),
        ('TITLE = "Plain SGD"\n', "", "TITLE"),
        ('"small"', '"another"', "another"),
        ("def train", "def train(:", "Python"),
    ],
)
def test_what_a_script_may_not_do_is_refused_in_one_line(
    small: None, tmp_path: Path, old: str, new: str, says: str
) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ValueError, match=r"mine\.py") as refused:
        scripts.read(path)
    assert "\n" not in str(refused.value)
    assert says in str(refused.value) or says == "another"


def test_a_file_that_cannot_be_read_or_whose_output_is_damaged_is_refused(small: None, tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", write(tmp_path, f"{GOOD}\n{scripts.MARK}\n# {{'gradients'")):
        with pytest.raises(ValueError, match=path.name):
            scripts.read(path)


def test_the_output_is_kept_in_the_file(small: None, tmp_path: Path) -> None:
    script = scripts.read(write(tmp_path, GOOD))
    output = Output((8.0, 8.0, 8.0), (0.1, 1 / 3, 0.2))
    again = scripts.read(write(tmp_path, scripts.written(script, output)))
    assert again.output == output
    assert scripts.written(again, output) == (tmp_path / "mine.py").read_text(encoding="utf-8")


def test_images_are_counted_also_inside_vmap() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    x, y = torch.randn(6, 1, 2, 2), torch.arange(6) % 3
    with running.counted(model) as count:
        cross_entropy(model(x), y).backward()
        assert count == [6]
        with torch.no_grad():
            model(x)
        assert count == [6]
        ssam.fisher_mask(model, cross_entropy, [(x, y)], 0.5)
        assert count == [12]
    model(x)
    assert count == [12]


def test_a_script_gets_no_test_image() -> None:
    batches = SimpleNamespace(get=1, samples=2, steps_per_epoch=3, test=4, validation=5)
    given = vars(running.TrainingBatches(batches, 32))
    assert set(given) == {"get", "samples", "steps_per_epoch", "batch_size"}


def test_the_margin_is_three_standard_errors() -> None:
    assert SMALL.margin([0.05, 0.05, 0.05]) == pytest.approx(0)
    assert SMALL.margin([0.2, 0.3, 0.4]) == pytest.approx(0.3 - 0.05 - 3 * 0.1 / 3**0.5)


@pytest.mark.slow
@pytest.mark.training
def test_a_record_stands_only_if_running_it_gives_its_numbers(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GOOD)
    assert main(["record", "check", str(path)]) == 2
    assert main(["record", "run", str(path), "--json"]) in (0, 1)
    first = json.loads(capsys.readouterr().out)
    assert first["gradients"] == 8
    stands = 0 if first["stands"] else 1
    assert main(["record", "check", str(path), "--json"]) == stands
    again = json.loads(capsys.readouterr().out)
    assert again == first
    output = scripts.read(path).output
    assert output
    forged = Output(output.gradients, (*output.test_accuracy[:-1], output.test_accuracy[-1] + 1e-4))
    write(tmp_path, scripts.written(scripts.read(path), forged))
    assert main(["record", "check", str(path), "--json"]) == 1
    refused = json.loads(capsys.readouterr().out)
    assert not refused["reproduced"]
    assert not refused["stands"]
    assert refused["test_accuracy"] == first["test_accuracy"]


def test_the_table_is_that_of_the_files() -> None:
    assert marked.read(records.PAGE, "records") == records.table(records.FOLDER).strip()
    for path in records.FOLDER.glob("*.py"):
        script = scripts.read(path)
        if script.output:
            assert len(script.output.gradients) == len(task.TASKS[script.task].seeds)
