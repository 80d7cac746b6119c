"""A method is one file: its facts hold together, the rest of the lab reads them, and its name stands nowhere else."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import torch

from ssam.data import load_dataset
from ssam.engine import Race
from ssam.engine.lane import Lane
from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.events import Checkpoint, EpochEvent
from ssam.experiment.lane import SETTINGS, LaneSpec
from ssam.markers import DASHES, MARKERS
from ssam.methods import METHODS
from ssam.models import build_model, stage_shares
from tests import twins

ROOT = Path(__file__).resolve().parents[1]
# Tables that are about other things which happen to be called alike.
ALLOWED = {
    "app/surface/text.py": "the toy surface has methods of its own, drawn in the browser",
}


def product() -> list[Path]:
    files = [path for folder in ("ssam", "app", "pages") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in files if path.parent != ROOT / "ssam" / "methods"]


def named(node: ast.AST) -> bool:
    """Whether it is a method's name, or a list, tuple or set with one in it."""
    parts = node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else [node]
    return any(isinstance(part, ast.Constant) and part.value in METHODS for part in parts)


def branches_on_names(tree: ast.AST) -> list[int]:
    """The lines that compare with a method's name, match one, or look something up by several of them."""
    found = []
    for node in ast.walk(tree):
        compared = isinstance(node, ast.Compare) and any(map(named, [node.left, *node.comparators]))
        matched = isinstance(node, ast.MatchValue) and named(node.value)
        table = isinstance(node, ast.Dict) and sum(key is not None and named(key) for key in node.keys) > 1
        if compared or matched or table:
            found.append(node.lineno)
    return found


def test_no_other_module_branches_on_a_methods_name() -> None:
    files = product()
    assert len(files) > 150
    found = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := branches_on_names(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found.keys() == ALLOWED.keys(), found


@pytest.mark.parametrize(
    "code",
    ['a == "sam"', 'x in ("ssam", "ssam-f")', '{"ssam-f": 1, "ssam": 2}', 'match a:\n    case "asam":\n        pass'],
)
def test_a_branch_on_a_name_is_found(code: str) -> None:
    assert branches_on_names(ast.parse(code))


@pytest.mark.parametrize("name", METHODS)
def test_the_facts_of_a_method_hold_together(name: str) -> None:
    method = METHODS[name]
    assert method.name == name
    assert method.settings <= set(SETTINGS)
    assert method.perturbs == (method.passes > 1)
    assert (method.first_mask is None) == (method.next_mask is None) == (method.mask_words == "")
    assert method.sparse == (method.score is not None or method.first_mask is not None)
    module = importlib.import_module(f"ssam.methods.{name.replace('-', '_')}")
    assert getattr(module, name.replace("-", "_").upper()) is method


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_its_marker_is_in_the_table_of_markers(method) -> None:
    symbol, dash = method.style.symbol, method.style.dash
    assert symbol in MARKERS
    assert dash in DASHES


# ASAM


def test_a_lane_without_its_own_rho_takes_the_races_on_its_methods_scale() -> None:
    race = parse_spec({"lanes": "sam,asam,asam:rho=0.3", "rho": 0.05})
    assert [race.lane_rho(lane) for lane in race.lanes] == pytest.approx([0.05, 0.5, 0.3])
    assert race.gradients == parse_spec({"lanes": "sam,sam:rho=1,sam:rho=2"}).gradients


RACE = parse_spec({"lanes": "asam", "train_size": 96, "batch_size": 16, "epochs": 2, "seed": 3, "rho": 0.1})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def test_a_lane_of_asam_steps_as_its_slow_twin(home: Path) -> None:
    dataset = load_dataset(RACE, home, progress=lambda message, fraction=None: None)
    batches = dataset.batches(RACE, torch.device("cpu"), True)
    model, twin = (build_model(RACE.model, channels=1, classes=10, size=28, seed=3) for _ in range(2))
    lane = Lane(RACE, RACE.lanes[0], "asam", model, batches, stage_shares(model, batches.shape))
    base = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=RACE.momentum, weight_decay=RACE.weight_decay)
    twin.train()
    for step in range(3):
        x, y = batches.get(step)
        lane.step(x, y)
        base.param_groups[0]["lr"] = lane.base.param_groups[0]["lr"]

        def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
            base.zero_grad()
            loss = torch.nn.functional.cross_entropy(twin(x), y)
            loss.backward()
            return loss

        twins.sam_step(list(twin.parameters()), closure, base.step, 1.0, adaptive=True)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)


def ends(events) -> list[EpochEvent]:
    return [event for event in events if isinstance(event, EpochEvent)]


def test_a_race_of_asam_goes_on_from_its_checkpoint_bit_for_bit(home: Path) -> None:
    whole = ends(Race(RACE, home=home, threads=1).events())
    race, state = Race(RACE, home=home, threads=1), None
    events = race.events()
    while state is None:
        event = next(events)
        if isinstance(event, EpochEvent) and event.epoch == 1:
            race.want_checkpoint()
        if isinstance(event, Checkpoint):
            state = event.state
    again = ends(Race(RACE, home=home, threads=1, state=state).events())
    assert state["lanes"]["asam"]["optimizer"]["adaptive"] is True
    assert (again[-1].test_loss, again[-1].train_loss) == (whole[-1].test_loss, whole[-1].train_loss)


# The guide


def test_the_guide_shows_the_file_that_runs() -> None:
    guide = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert blocks[0] == (ROOT / "ssam" / "methods" / "asam.py").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    exec(blocks[0], names)
    assert names["ASAM"] == METHODS["asam"]
    for path in re.findall(r"`((?:ssam|assets|tests|docs)/[\w./-]+\.\w+)`", guide):
        assert (ROOT / path).exists(), path


def test_what_the_guide_races_is_a_race() -> None:
    guide = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")
    (lanes,) = re.findall(r"-m ssam race .*--lanes (\S+)", guide)
    race: RaceSpec = parse_spec({"lanes": lanes})
    assert LaneSpec(method="asam") in race.lanes
