"""The commands that work in the lab: sweep, runs, export, report; and what completes them in a shell."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.shell import identity
from ssam import cli
from ssam.cli import completion
from ssam.store import Store
from ssam.store.annotations import Labels
from tests import fake_lab, fake_sweep
from tests.fake_runner import TORCH, SweepLab
from tests.fake_sweep import GRID
from tests.golden import assert_one_line_error
from tests.patience import wait_until

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in an empty lab: exit status, standard output, standard error."""
    monkeypatch.setenv("SSAM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSAM_DATABASE_URL", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = cli.main(list(arguments))
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home", f"sqlite:///{tmp_path / 'home' / 'ssam.db'}")
    yield store
    store.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SweepLab]:
    site = SweepLab(tmp_path_factory.mktemp("cli"))
    try:
        site.start_runner(**TORCH)
        yield site
    finally:
        site.close()


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


# sweep


def test_a_sweep_is_followed_to_its_result(lab: SweepLab, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAM_HOME", str(lab.store.home))
    flags = ["--lanes", "sgd,ssam-f", "--lane", "ssam-f", "--epochs", "2", "--vary", "rho=0.05,0.1,0.19"]
    status, out, err = command("sweep", *flags, "--fresh", "3", "--json")
    assert status == 0, err
    told = lines(out)
    assert [line["event"] for line in told] == ["sweep", *["trial"] * 9, "result"]
    result = told[-1]
    assert result["best"]["values"] == {"rho": 0.19}
    (fresh,) = result["fresh"]
    assert fresh["finding"]
    assert len(fresh["scores"]) == len(fresh["standard"]) == 3
    assert sum(line["fresh"] for line in told[1:-1]) == 6
    race = lab.run(told[1]["run"])
    assert [lane.method for lane in race.spec.lanes] == ["ssam-f"]  # alone
    sweep_id = told[0]["id"]
    status, out, _ = command("sweep", "--show", sweep_id[:8])
    assert status == 0
    assert out.splitlines()[0].split()[:2] == ["rho", "seeds"]
    assert "A finding" in out
    assert fresh["verdict"] == "better"
    status, out, _ = command("sweep", "--list", "--json")
    assert [line["id"] for line in lines(out)] == [sweep_id]
    assert command("sweep", "--delete", sweep_id)[0] == 0
    assert command("sweep", "--list")[1] == ""


def test_a_sweep_is_begun_and_steered_without_being_followed(
    lab: SweepLab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSAM_HOME", str(lab.store.home))
    flags = ["--lanes", "sam", "--epochs", "40", "--vary", "rho=0.1..2:log", "--method", "tpe", "--races", "3"]
    status, out, _ = command("sweep", *flags, "--detach")
    sweep_id = out.strip()
    assert (status, len(sweep_id)) == (0, 22)
    assert command("sweep", "--pause", sweep_id)[0] == 0
    assert lab.look(sweep_id).state == "paused"
    assert command("sweep", "--resume", sweep_id)[0] == 0
    assert lab.look(sweep_id).state == "running"
    assert command("sweep", "--stop", sweep_id)[0] in (0, 1)
    wait_until(lambda: not any(job.sweep == sweep_id for job in lab.store.queue.jobs()))
    status, out, err = command("sweep", "--extend", sweep_id, "--races", "1", "--json")
    assert status == 0, err
    assert lines(out)[-1]["state"] == "finished"
    assert lab.look(sweep_id).spec.races == 4


def test_nothing_that_came_to_an_end_is_status_1(
    lab: SweepLab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSAM_HOME", str(lab.store.home))
    status, out, _ = command("sweep", "--lanes", "sam", "--epochs", "1", "--vary", "rho=8,9")
    assert status == 1
    assert [line for line in out.splitlines() if line.lower().startswith("no ")], out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sweep"], "ssam sweep: lane: this race has several; allowed: 1 to 4, or sgd, sam, ssam-f, ssam-d"),
        (["sweep", "--lane", "sam"], "ssam sweep: vary at least one setting"),
        (["sweep", "--lane", "7", "--vary", "rho=1"], "ssam sweep: lane: '7' "),
        (["sweep", "--lane", "2", "--vary", "rho=1,99"], "ssam sweep: rho '99' must be a number from 0 to 10"),
        (
            ["sweep", "--lane", "2", "--vary", "rho=0.1..0.2", "--seeds", "x"],
            "ssam sweep: seeds 'x' must be a whole number",
        ),
        (["sweep", "--lane", "1", "--vary", "rho=1"], "rho means nothing to lane 1, method 'sgd'"),
        (["sweep", "--lane", "2", "--vary", "rho"], "'rho' must be FIELD=VALUE"),
        (["sweep", "--lane", "2", "--vary", "rho=0.1..1", "--method", "tpe"], "give races, minutes or gradients"),
        (["sweep", "--lane", "2", "--vary", "rho=0.1,1", "--method", "random"], "invalid choice: 'random'"),
        (["sweep", "--lane", "2", "--vary", "rho=0.1,1", "--fresh", "1"], "ssam sweep: fresh '1' must be"),
        (["sweep", "--show", "nothing-there"], "ssam sweep: there is no sweep 'nothing-there' here"),
        (["runs", "--limit", "0"], "ssam runs: limit '0' must be a whole number from 1"),
        (["runs", "--state", "gone"], "invalid choice: 'gone'"),
        (["export", "nothing-there"], "; allowed: an id"),
        (["export", "last", "--kinds", "gold"], "; allowed: all, report, "),
        (["report"], "required: RACE"),
        (["completion", "tcsh"], "invalid choice: 'tcsh'"),
    ],
)
def test_bad_input_is_status_2_and_one_line(command: Command, arguments: list[str], says: str) -> None:
    status, out, err = command(*arguments)
    assert status == 2
    assert out == ""
    assert says in err.splitlines()[-1]
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


# runs, export, report


def test_races_are_listed_searched_and_counted(kept: Store, command: Command) -> None:
    assert command("runs") == (1, "", "no race matches\n")
    run = fake_lab.race(kept, identity.owner_of("somebody"))
    kept.runs.label(run.id, Labels("Größe", ("demo",), ""))
    sweep_id = fake_sweep.fill(kept, "command-line", GRID, 3)
    status, out, _ = command("runs")
    assert status == 0
    assert len(out.splitlines()) == 1 + 4
    status, out, _ = command("runs", "größe", "--json")
    (line,) = lines(out)
    assert (line["id"], line["tags"], line["accuracy"]) == (run.id, ["demo"], 0.81)
    assert line["result"]["lanes"][0]["method"] == "sgd"
    assert len(lines(command("runs", "--tag", f"sweep-{sweep_id[:6].lower()}", "--json")[1])) == 3
    assert len(lines(command("runs", "--limit", "2", "--json")[1])) == 2
    assert command("runs", "--owner", "nobody")[0] == 1


def test_a_race_is_taken_away_by_the_beginning_of_its_id(kept: Store, command: Command, tmp_path: Path) -> None:
    run = fake_lab.race(kept, "ada")
    status, out, err = command("export", run.id[:6], "--kinds", "csv,race", "--to", str(tmp_path / "out"), "--json")
    assert status == 0, err
    (line,) = lines(out)
    assert line["missing"] == {}
    names = {Path(file).name for file in line["files"]}
    assert "race.json" in names
    assert all(Path(file).stat().st_size for file in line["files"])
    status, out, _ = command("report", "last", "--to", str(tmp_path / "out"))
    assert status == 0
    assert any(line.endswith(".html") for line in out.splitlines())


def test_what_a_race_does_not_have_is_said(kept: Store, command: Command, tmp_path: Path) -> None:
    run = fake_lab.race(kept, "ada")  # its checkpoint is made up: no weights can be read
    status, _, err = command("export", run.id, "--kinds", "weights", "--to", str(tmp_path / "out"))
    assert status == 2
    assert len(err.splitlines()) == 1
    waiting = kept.runs.create(run.spec.model_copy(update={"seed": 9}), "waits", "ada")
    assert_one_line_error(command("report", waiting)[2], ["not started"])


@pytest.mark.slow
def test_weights_come_out_of_the_checkpoint_of_a_real_race(
    kept: Store, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file

    from ssam.experiment import parse_spec
    from ssam.jobs import race_process
    from ssam.jobs.run_handle import RunHandle

    spec = parse_spec({"lanes": "sgd", "epochs": 1, "train_size": 256, "batch_size": 64})
    run_id = kept.runs.create(spec, "real", "ada")
    assert kept.queue.assign(run_id, "cpu")
    kept.run_folder(run_id).mkdir(parents=True)  # for the log, which here is the test's
    for name in ("CUDA_VISIBLE_DEVICES", "SSAM_DEVICE"):  # which a race process sets for itself, and this is none
        monkeypatch.setenv(name, "")
    race_process.run_race(RunHandle(kept, run_id), kept.home, kept.image_root, 1, "cpu", race_process.engine_race)
    status, out, err = command("export", run_id, "--kinds", "weights", "--to", str(tmp_path / "out"), "--json")
    assert status == 0, err
    (line,) = lines(out)
    (file,) = [name for name in line["files"] if name.endswith(".safetensors")]
    assert sum(array.size for array in load_file(file).values()) >= 70_000


# completion


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_names_every_command_and_is_accepted(command: Command, shell: str, tmp_path: Path) -> None:
    status, out, _ = command("completion", shell)
    assert status == 0
    for name in ("race", "sweep", "runs", "export", "report", "bench", "backup", "restore", "completion"):
        assert f" {name}" in out or f'"{name}' in out
    (tmp_path / "script").write_text(out)
    if shell == "bash":
        assert subprocess.run(["bash", "-n", str(tmp_path / "script")], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ssam sw", {"sweep"}),
        ("ssam sweep --pru", {"--pruning"}),
        ("ssam sweep --pruning ", {"none", "median", "hyperband"}),
        ("ssam race --dataset cifar", {"cifar10", "cifar100"}),
        ("ssam completion ", {"bash", "zsh", "--help"}),
    ],
)
def test_bash_completes(command: Command, typed: str, offered: set[str]) -> None:
    script = command("completion", "bash")[1]
    words = typed.split(" ")
    listed = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _ssam; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script}\n{asked}"], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


def test_the_commands_start_without_torch() -> None:
    check = "from ssam import cli; import sys; cli.make_parser(); sys.exit('torch' in sys.modules or 'optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=Path(__file__).parents[1], check=False).returncode == 0
