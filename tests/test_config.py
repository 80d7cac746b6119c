"""Settings from the environment are read, checked and documented in one module."""

import ast
import re
from pathlib import Path

import pytest

from ssam import config
from ssam.config import VARIABLES

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = [path for folder in ("ssam", "app", "pages") for path in (ROOT / folder).rglob("*.py")]


def variables(tree: ast.AST) -> set[str]:
    """The names of our variables that stand alone in a text, as where one is read or set."""
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {text for text in texts if re.fullmatch(r"SSAM_[A-Z_]+", text)}


def test_no_other_module_reads_a_variable():
    assert variables(ast.parse("import os; os.environ['SSAM_HOME']")) == {"SSAM_HOME"}, "else this test finds nothing"
    for path in PRODUCT:
        if path != ROOT / "ssam" / "config.py":
            assert not variables(ast.parse(path.read_text(encoding="utf-8"))), path


def test_the_module_knows_no_variable_that_is_not_listed():
    assert variables(ast.parse((ROOT / "ssam" / "config.py").read_text(encoding="utf-8"))) == set(VARIABLES)


def test_the_documentation_has_the_same_table():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert config.table() in text, "python -m ssam.config prints it"
    example = (ROOT / "deploy" / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"\bSSAM_[A-Z_]+", example)) - {"SSAM_ADDRESS", "SSAM_UPSTREAM"} <= set(VARIABLES)


@pytest.mark.parametrize(
    ("name", "bad", "allowed"),
    [
        ("SSAM_SLOTS", "two", "1 to 64"),
        ("SSAM_SLOTS", "0", "1 to 64"),
        ("SSAM_DISK_GB", "nan", "0.001"),
        ("SSAM_CHECKPOINT_SECONDS", "-1", "0.1"),
        ("SSAM_RACE_PROCESSES", "1000", "999"),
        ("SSAM_PERTURBATION", "both", "worker or global"),
        ("SSAM_ENGINE", "slurm", "ray://HOST:PORT"),
        ("SSAM_TEACHERS", "ada", "e-mail"),
        ("SSAM_HOME", "~nobody-of-this-name/lab", "write it out"),
    ],
)
def test_a_bad_value_is_one_line_with_name_value_and_what_is_allowed(monkeypatch, name, bad, allowed):
    monkeypatch.setenv(name, bad)
    readers = (config.read_limits, config.read_sharing, config.cluster_address, config.teachers, config.default_home)
    refusals = []
    for read in readers:
        try:
            read()
        except ValueError as error:
            refusals.append(str(error))
    (said,) = refusals
    assert all(part in said for part in (name, bad, allowed))
    assert "\n" not in said
