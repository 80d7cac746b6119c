"""Source code of functions, cut out of the installed files without importing them (they would import torch)."""

import ast
import importlib.util
import textwrap
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Excerpt:
    """``name`` is the object, ``file`` its path in the installation, ``first`` and ``last`` its lines, counted from 1."""

    name: str
    file: str
    first: int
    last: int
    text: str


def excerpt(reference: str) -> Excerpt:
    """Return the function, method or class that ``module:name`` refers to, with decorators and docstring.

    Raise ValueError with one line if there is none.

    >>> excerpt("ssam.optim.sam:SAM.restore").name
    'SAM.restore'
    """
    module, _, name = reference.partition(":")
    file = _file(module)
    if file is None:
        raise ValueError(f"code {reference!r}: there is no module {module!r} in the installed package")
    source = file.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        inside = {child.name: child for child in ast.iter_child_nodes(node) if isinstance(child, _NAMED)}
        if part not in inside:
            raise ValueError(f"code {reference!r}: {file.name} has no {name!r}")
        node = inside[part]
    assert isinstance(node, _NAMED)
    assert node.end_lineno is not None
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = source.splitlines()[first - 1 : node.end_lineno]
    place = module.replace(".", "/") + ("/__init__.py" if file.name == "__init__.py" else ".py")
    return Excerpt(name, place, first, node.end_lineno, textwrap.dedent("\n".join(lines)))


_NAMED = (ast.FunctionDef, ast.ClassDef)


def _file(module: str) -> Path | None:
    """Return the path of a module. Only its root package is looked up: looking up a submodule would import its parents."""
    root, *rest = module.split(".")
    package = importlib.util.find_spec(root)
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent.joinpath(*rest)
    return next((file for file in (folder.with_suffix(".py"), folder / "__init__.py") if file.exists()), None)
