"""The user's own images: decoded into tensors, or only checked."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ssam.imagefolder import picture
from ssam.imagefolder.contents import Outcomes
from ssam.imagefolder.layout import Sample
from ssam.imagefolder.members import Members, Progress, attempt
from ssam.imagefolder.picture import Facts
from ssam.imagefolder.skipped import Skipped


def decode(members: Members, member: str, size: int) -> Tensor:
    """Decode one member to (3, size, size) uint8 RGB, as ``ssam.imagefolder.picture`` does. Raise the same errors."""
    return _decode(members, member, size)[0]


def _decode(members: Members, member: str, size: int) -> tuple[Tensor, Facts]:
    image, facts = picture.decode(members, member, size)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1), facts


def decode_all(
    members: Members, samples: Sequence[Sample], size: int, what: str, progress: Progress
) -> tuple[Tensor, Outcomes]:
    """Decode all samples. Return pixels (N, 3, size, size) uint8 of those that can be decoded, and the outcome of each."""
    pixels = torch.empty(len(samples), 3, size, size, dtype=torch.uint8)
    outcomes: list[Facts | Skipped] = []
    count = 0
    for outcome in attempt(
        lambda member: _decode(members, member, size), [member for member, _ in samples], what, progress
    ):
        if isinstance(outcome, Skipped):
            outcomes.append(outcome)
        else:
            pixels[count], facts = outcome
            outcomes.append(facts)
            count += 1
    return pixels[:count], outcomes


def check_all(members: Members, samples: Sequence[Sample], what: str, progress: Progress) -> Outcomes:
    """Read every header without decoding. Return the facts about each sample, or why it cannot be used."""
    names = [member for member, _ in samples]
    return list(attempt(lambda member: picture.header(members, member), names, what, progress))
