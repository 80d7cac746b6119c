"""The TypeScript declarations of what goes to the browser, from the types in Python.

python -m tests.payload_declarations     writes them
"""

import types
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NewType, NotRequired, get_args, get_origin, is_typeddict

ROOT = Path(__file__).resolve().parents[1]
WIRE = "app.ui.wire"
FILES = {WIRE: "app/ui/wire_types.d.ts", "app.ui.live_types": "app/ui/live/payload.d.ts"}
SIMPLE = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", Any: "unknown"}


def declarations(module: str) -> str:
    """The declarations of a module's own types, in its order."""
    known = vars(import_module(module))
    own = [value for value in known.values() if getattr(value, "__module__", "") == module]
    blocks = [_block(value) for value in own if isinstance(value, NewType) or is_typeddict(value)]
    used = sorted(
        name
        for name, value in known.items()
        if module != WIRE and getattr(value, "__module__", "") == WIRE and not isinstance(value, types.FunctionType)
    )
    imports = [f'import type {{ {", ".join(used)} }} from "../wire_types";'] if used else []
    return "\n\n".join(["// Made by `python -m tests.payload_declarations`.", *imports, *blocks]) + "\n"


def _block(value: Any) -> str:
    if isinstance(value, NewType):
        return (
            f'export type {value.__name__} = {SIMPLE[value.__supertype__]} & {{ readonly wire: "{value.__name__}" }};'
        )
    fields = [_field(value, name, kind) for name, kind in value.__annotations__.items()]
    return "\n".join([f"export interface {value.__name__} {{", *fields, "}"])


def _field(owner: Any, name: str, kind: Any) -> str:
    kind = get_args(kind)[0] if get_origin(kind) is NotRequired else kind
    return f"  {name}{'' if name in owner.__required_keys__ else '?'}: {_type(kind)};"


def _type(kind: Any) -> str:
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(f'"{value}"' for value in args)
    if origin is types.UnionType:
        return " | ".join(map(_type, args))
    if origin in (Sequence, list):
        return f"{_type(args[0])}[]" if get_origin(args[0]) is not types.UnionType else f"({_type(args[0])})[]"
    if origin in (Mapping, dict):
        return f"Record<{_type(args[0])}, {_type(args[1])}>"
    if origin is tuple:
        return f"[{', '.join(map(_type, args))}]"
    return str(kind.__name__)


if __name__ == "__main__":
    for name, file in FILES.items():
        (ROOT / file).write_text(declarations(name), encoding="utf-8")
