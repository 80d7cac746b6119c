"""The file of a record: a task, a function ``train``, and the output that somebody got."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssam.record.task import TASKS

MARK = "# Output, by python -m ssam record run:"
MODULES = ("torch", "math", "ssam")  # what a script may import; of ssam only the names of ``import ssam``
FORBIDDEN = ("open", "exec", "eval", "compile", "input", "breakpoint", "globals", "__import__", "__builtins__")
LONGEST = 100_000  # characters


@dataclass(frozen=True)
class Output:
    """``gradients`` and ``test_accuracy`` by seed, in the order of the task's seeds."""

    gradients: tuple[float, ...]
    test_accuracy: tuple[float, ...]


@dataclass(frozen=True)
class Script:
    """``code`` is all before the output. ``output`` is None if nobody has run it yet."""

    path: Path
    name: str
    title: str
    task: str
    code: str
    output: Output | None


def read(path: Path) -> Script:
    """Read a record. Raise ValueError, one line, if it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: cannot be read ({type(error).__name__})") from None
    if len(text) > LONGEST:
        raise ValueError(f"{path.name}: longer than {LONGEST:,} characters")
    code, mark, rest = text.partition(MARK)
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path.name}: no Python, {str(error).splitlines()[0]}") from None
    if problem := _problem(tree):
        raise ValueError(f"{path.name}: {problem}")
    constants = _constants(tree)
    title, task = constants.get("TITLE"), constants.get("TASK")
    if not isinstance(title, str) or task not in TASKS:
        raise ValueError(f'{path.name}: needs TITLE = "…" and TASK = one of {", ".join(TASKS)}')
    return Script(path, path.stem, title, str(task), code, _output(path, rest) if mark else None)


def written(script: Script, output: Output) -> str:
    """Return the file of a script with its output."""
    lines = json.dumps({"gradients": output.gradients, "test_accuracy": output.test_accuracy})
    return f"{script.code.rstrip()}\n\n\n{MARK}\n# {lines}\n"


def _problem(tree: ast.Module) -> str:
    """Return why the code is refused; empty if it is not."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "train"]
    if len(functions) != 1 or [argument.arg for argument in functions[0].args.args] != ["model", "batches"]:
        return "needs one function train(model, batches)"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for name in names:
                if name.partition(".")[0] not in MODULES or name.startswith("ssam."):
                    return f"may import torch, math and ssam, not {name!r}"
        if isinstance(node, ast.Name) and node.id in FORBIDDEN:
            return f"may not use {node.id}"
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            return f"may not use private names such as {node.attr!r}"
    return ""


def _constants(tree: ast.Module) -> dict[str, Any]:
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _output(path: Path, text: str) -> Output:
    try:
        found = json.loads(text.strip().removeprefix("#"))
        columns = [tuple(float(value) for value in found[name]) for name in ("gradients", "test_accuracy")]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path.name}: the output is damaged; python -m ssam record run writes it") from None
    return Output(*columns)
