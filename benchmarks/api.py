"""Generator of ``docs/api.md`` from the docstrings: ``python -m benchmarks.api``. A test checks that the page is up to date."""

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
HEAD = """# The package `ssam`

What other code may rely on, from the docstrings (`python -m benchmarks.api` writes this page). The names of the first three parts
are those of `import ssam`. Runnable loops are in `docs/examples`: plain PyTorch, micro-batches with bfloat16 and clipping,
float16 with a GradScaler, `torch.compile`, DDP and FSDP2, Lightning with manual optimization, Hugging Face's Accelerate and Trainer. What changes for those who
used another package is in `docs/coming-from.md`.
"""
PARTS = {
    "Optimizer": ("ssam:SAM", "ssam:frozen_batchnorm"),
    "Masks": (
        *("ssam:fisher_mask", "ssam:fisher_scores", "ssam:top_k_mask", "ssam:random_mask"),
        *("ssam:drop_and_grow", "ssam:cosine_drop_rate"),
    ),
    "Specification": ("ssam:RaceSpec", "ssam:LaneSpec", "ssam:parse_spec"),
    "A race without the app": (
        *("ssam.engine:Race", "ssam.data:load_dataset", "ssam.models:build_model", "ssam.models:parameters_in"),
        *("ssam.engine.evaluate:evaluate", "ssam.training.schedule:step_rate", "ssam.training.schedule:derived_seed"),
    ),
    "More masks": (
        *("ssam.masks:gradient_scores", "ssam.masks:largest_mask", "ssam.masks:random_mask_of", "ssam.masks:n_of_m_mask"),
        *("ssam.masks:group_mask", "ssam.masks:perturbed_count"),
    ),
    "Taking a race away": (
        *("ssam.export:Source", "ssam.export:write", "ssam.export:check_formats", "ssam.export:spec_json", "ssam.export:spec_of"),
    ),
}  # fmt: skip
OWN_METHODS = ("SAM", "Race", "LaneSpec", "RaceSpec")  # other classes' methods are Python's or a library's
SECTIONS = ("Args", "Returns", "Example")


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for title, names in PARTS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(name) for name in names]
    return "\n".join(parts)


def _entry(reference: str) -> str:
    module, _, name = reference.partition(":")
    thing = getattr(importlib.import_module(module), name)
    lines = [f"### `{module}.{name}`\n", _signature(name, thing), "", markdown(inspect.getdoc(thing) or ""), ""]
    if name in OWN_METHODS:
        lines += [_method(name, *member) for member in _methods(thing)]
    return "\n".join(lines)


def _methods(thing: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(thing).items():
        what = member.__func__ if isinstance(member, classmethod) else member
        if not name.startswith("_") and (inspect.isfunction(what) or isinstance(what, property)) and what.__doc__:
            yield name, what


def _method(owner: str, name: str, member: object) -> str:
    head = f"**`{name}`**" if isinstance(member, property) else f"**`{name}{_flat(_parameters(member))}`**"
    return f"{head}\n\n{markdown(inspect.getdoc(member) or '')}\n"


def _signature(name: str, thing: object) -> str:
    if isinstance(thing, type) and hasattr(thing, "model_fields"):  # one line per field with its default
        fields = [f"    {field}={_default(info.default)}," for field, info in thing.model_fields.items()]
        return "\n".join(["```python", f"{name}(", *fields, ")", "```"])
    return f"```python\n{name}{_wrapped(_parameters(thing))}\n```"


def _default(value: object) -> str:
    return "…" if "Undefined" in repr(value) else "(…)" if isinstance(value, tuple) else repr(value)


def _parameters(thing: object) -> str:
    text = str(inspect.signature(thing))  # type: ignore[arg-type]
    text = re.sub(
        r"(?:torch\._tensor|torch\.optim\.optimizer|torch\.nn\.modules\.module|collections\.abc|ssam(?:\.\w+)+|pathlib|typing|torch|_C|numpy)\.(?=\w)",
        "",
        text,
    )
    return re.sub(r"\(self(?:, )?", "(", text).replace("<factory>", "…")


def _flat(text: str) -> str:
    return " ".join(text.split())


def _wrapped(text: str) -> str:
    if len(text) < 90:
        return text
    inside, _, returns = text[1:].rpartition(")")
    parts = re.split(r", (?=[\w*/]+(?::|,|$)|\*)", inside)
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def markdown(doc: str) -> str:
    """Convert a docstring to Markdown: parameters as a list, examples as code, formulas as formulas."""
    lines, out, section = doc.splitlines(), [], ""
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.rstrip(":") in SECTIONS and line.endswith(":"):
            section = line.rstrip(":")
            out += [f"**{section}**", ""]
        elif line.strip() == ".. math::":
            block, at = _block(lines, at + 1)
            out += ["$$", textwrap.dedent("\n".join(block)).strip(), "$$", ""]
            continue
        elif line.strip().startswith(">>>"):
            block = []
            while at < len(lines) and lines[at].strip():
                block.append(lines[at])
                at += 1
            out += ["```python", textwrap.dedent("\n".join(block)), "```"]
            continue
        elif section == "Args" and re.match(r"    [*\w]+: ", line):
            name, _, rest = line.strip().partition(": ")
            out.append(f"- `{name}`: {_words(rest)}")
        elif section == "Args" and line.startswith("        "):
            out[-1] += f" {_words(line.strip())}"
        else:
            if line and not line.startswith(" "):
                section = ""
            out.append(_words(line.strip() if not line.lstrip().startswith("*") else line))
        at += 1
    return "\n".join(out).strip()


def _block(lines: list[str], at: int) -> tuple[list[str], int]:
    block = []
    while at < len(lines) and (not lines[at].strip() or lines[at].startswith(" ")):
        block.append(lines[at])
        at += 1
    return block, at


def _words(text: str) -> str:
    return text.replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
