"""The common base of all specifications: the frozen model, checks of single values, and one-line error messages."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Sparsity = Annotated[float, Field(ge=0.0, le=1.0)]
BaseOptimizer = Literal["sgd", "adamw"]
Rho = Annotated[float, Field(ge=0.0, le=10.0)]
Epochs = Annotated[int, Field(ge=1, le=1000)]
Rate = Annotated[float, Field(gt=0.0, le=100.0)]
Decay = Annotated[float, Field(ge=0.0, le=1.0)]


def one_of(field: str, value: str, allowed: Iterable[str]) -> str:
    names = list(allowed)
    if value not in names:
        raise ValueError(f"{value[:60]!r} is not a {field}; allowed: {', '.join(names)}")
    return value


def matching(field: str, value: str, pattern: str, allowed: str) -> str:
    if not re.fullmatch(pattern, value):
        raise ValueError(f"{value[:60]!r} is not a {field}; allowed: {allowed}")
    return value


class Frozen(BaseModel):
    """Base of every specification: immutable, no unknown fields, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first error as one line: the field, the value and what is allowed."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    given = first["input"]
    shown = repr((",".join(map(str, given)) if isinstance(given, tuple) else str(given))[:60])
    if first["type"] == "extra_forbidden":
        return f"{field[:40]!r} is not a setting; allowed: {', '.join(model.model_fields)}"
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return message if not field or shown in message else f"{field} {shown}: {message}"
    allowed = _allowed_numbers(model, field)
    return f"{field} {shown} {f'must be {allowed}' if allowed else first['msg'].replace('Input should be', 'must be')}"


def _allowed_numbers(model: type[BaseModel], field: str) -> str | None:
    """Return the range of a numeric field, such as ``a number from 0 to 1``; None for other fields."""
    schema = model.model_json_schema()["properties"].get(field, {})
    kind = next(
        (part for part in (schema, *schema.get("anyOf", ())) if part.get("type") in ("number", "integer")), None
    )
    if kind is None:
        return None
    noun = "a whole number" if kind["type"] == "integer" else "a number"
    low = f"above {kind['exclusiveMinimum']:g}" if "exclusiveMinimum" in kind else f"from {kind['minimum']:g}"
    high = f"below {kind['exclusiveMaximum']:g}" if "exclusiveMaximum" in kind else f"{kind['maximum']:.10g}"
    return f"{noun} {low} {'and' if 'below' in high else 'to'} {high}"
