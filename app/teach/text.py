"""What the page For teachers says."""

from pathlib import Path

TEACH = (
    "A link holds the race, what is shown of it, and the class. Nobody needs an account; the guide below has a plan."
)

KEYS = """
### On the projector

Switch *Projector* on, or put `view=projector` into a link: large type, few numbers, no form. Then

{keys}

### The class wall

All races under one code, one line a seed, with the median and what the seeds can tell. *My run won* becomes the 12th of 30.
"""


def guide() -> str:
    """The teacher's guide, ``docs/teaching.md`` without its title."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "teaching.md").read_text(encoding="utf-8")
    return text.partition("\n")[2].replace("\n## ", "\n### ")
