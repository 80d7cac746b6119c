"""The wheel: what it needs, what it holds, and that the optimizer in it runs where there is only torch."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import ssam
from tests.browser import Watched, answers, chromium
from tests.leftovers import end_runner
from tests.patience import SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# What a package is imported as, where that is not its name.
MODULES = {
    "pillow": "PIL",
    "SQLAlchemy": "sqlalchemy",
    "psycopg": "psycopg",
    "curvlinops-for-pytorch": "curvlinops",
    "Authlib": "authlib",
    "mlflow-skinny": "mlflow",
}
ALONE = """
import sys
sys.modules |= dict.fromkeys({absent!r})  # as if they were not installed
sys.path.insert(0, {wheel!r})
import ssam
assert ssam.__file__.startswith({wheel!r}), ssam.__file__
"""


def names(requirements: list[str]) -> set[str]:
    """The names of requirements, without versions and extras; those of the project's own extras instead of itself."""
    found = set()
    for requirement in requirements:
        name = re.split(r"[\[<>=! ;]", requirement)[0]
        if name == PROJECT["name"]:
            for extra in re.findall(r"[\w-]+", requirement.partition("[")[2]):
                found |= names(EXTRAS[extra])
        else:
            found.add(name)
    return found


def pinned(file: str) -> set[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return names([line for line in lines if line and not line.startswith("#")])


@pytest.mark.parametrize(
    ("extra", "file"),
    [("lab", "requirements.txt"), ("cluster", "requirements-cluster.txt"), ("mlflow", "requirements-extra.txt")],
)
def test_an_extra_needs_what_its_requirements_pin(extra: str, file: str) -> None:
    assert names(EXTRAS[extra]) | {"torch"} == pinned(file) | {"torch"}


def test_the_version_is_the_one_to_cite() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {ssam.__version__}\n" in citation


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, from a copy, so that nothing is left in the checkout."""
    copy, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "docs/teaching.md"):
        (copy / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for name in ("ssam", "app", "pages", "assets"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(built)], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (file,) = built.glob("*.whl")
    return file


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        (about,) = (archive.read(name).decode() for name in held if name.endswith("/METADATA"))
    tops = {name.partition("/")[0] for name in held}
    assert tops == {"ssam", f"ssam_lab-{ssam.__version__}.dist-info"}
    assert "ssam/py.typed" in held
    sources = {f"ssam/{path.relative_to(ROOT / 'ssam')}" for path in (ROOT / "ssam").rglob("*.py")}
    assert sources <= held
    shown = [*(ROOT / "pages").glob("*.py"), *(ROOT / "app").rglob("*.py"), ROOT / "assets" / "fashion-mnist-10k.npz"]
    assert {f"ssam/lab/{path.relative_to(ROOT)}" for path in shown} <= held
    assert not any("screenshots" in name or "/static/" in name for name in held)
    always = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", about, re.MULTILINE)
    assert always == ["torch"]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_installed(installed: Path, folder: Path, *command: str) -> subprocess.Popen[str]:
    """Start Python in an empty folder, where only the wheel has a package ``ssam``."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(installed), "SSAM_HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_readmes_example_runs_from_the_wheel_with_torch_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    absent = {MODULES.get(name, name) for extra in EXTRAS for name in names(EXTRAS[extra])}
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    code = ALONE.format(absent=absent, wheel=str(tmp_path)) + example
    code += "\nassert loss.isfinite()\n"
    code += "try:\n    ssam.RaceSpec\nexcept ModuleNotFoundError as error:\n    print(error)\n"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ssam-lab[lab]" in done.stdout


@pytest.mark.service
@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_the_installed_command_starts_the_lab(installed: Path, tmp_path: Path, ended_by: signal.Signals) -> None:
    (entry,) = installed.glob("*.dist-info/entry_points.txt")
    assert "ssam-lab = ssam.__main__:run" in entry.read_text(encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = run_installed(installed, tmp_path, "-m", "ssam", "app", "--port", str(port))
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/_stcore/health") or command.poll() is not None)
        assert command.poll() is None, command.communicate()[0]
        with chromium() as browser:
            watched = Watched(browser)
            watched.page.goto(f"http://127.0.0.1:{port}")
            watched.page.locator(".st-key-start_race button").wait_for()
            watched.page.locator(".ssam-live .plotly, .ssam-live .js-plotly-plot").first.wait_for()
            assert watched.problems == []
        command.send_signal(ended_by)
        command.communicate(timeout=SECONDS)
        assert not answers(f"http://127.0.0.1:{port}/_stcore/health")
    finally:
        end_runner(tmp_path)
        command.kill()


def test_the_command_says_what_is_missing(installed: Path, tmp_path: Path) -> None:
    code = "import sys, runpy; sys.modules['pydantic'] = None; runpy.run_module('ssam', run_name='__main__')"
    told = run_installed(installed, tmp_path, "-c", code).communicate()[0]
    assert told.count("\n") == 1
    assert "ssam-lab[lab]" in told
