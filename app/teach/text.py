"""What the page For teachers says."""

from pathlib import Path

TEACH = "A link contains the race, which controls are shown, and the class. Nobody needs an account; the guide below has a plan."

KEYS = """
### Presentation mode

Switch on *Presentation mode*, or add `view=projector` to a link: large type, few numbers, no form. Keyboard shortcuts:

{keys}

### The class wall

All races under one code, one line per seed, with the median and the statistics over the seeds. *My run won* becomes the 12th of 30.
"""


def guide() -> str:
    """Return the teacher's guide, ``docs/teaching.md`` without its title."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "teaching.md").read_text(encoding="utf-8")
    return text.partition("\n")[2].replace("\n## ", "\n### ")
