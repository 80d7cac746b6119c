"""The content of a folder or zip after reading its pictures: what is rejected, and notes for its owner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssam.imagefolder.archive import shown
from ssam.imagefolder.layout import ImageListing, Sample
from ssam.imagefolder.members import Members, Progress, attempt
from ssam.imagefolder.picture import Facts, header
from ssam.imagefolder.skipped import Skipped, counted, sentences, some

USUAL_SIZE = 64  # side of a network's input for own images that are not small, in pixels
SMALL_SIZE = 32  # the same for small ones: the input size of networks for small images

Outcomes = Sequence[Facts | Skipped]  # outcomes of a split's samples, in order


@dataclass(frozen=True)
class Contents:
    """``outcomes`` has for each sample in ``listing.splits`` its picture's header, or why it cannot be used."""

    listing: ImageListing
    outcomes: Mapping[str, Outcomes]

    def good(self, split: str) -> list[Sample]:
        """Return the usable samples."""
        pairs = zip(self.listing.splits[split], self.outcomes[split], strict=True)
        return [sample for sample, outcome in pairs if isinstance(outcome, Facts)]

    def counts(self, split: str) -> tuple[int, ...]:
        """Return the number of usable pictures of each class."""
        counts = [0] * len(self.listing.classes)
        for _, label in self.good(split):
            counts[label] += 1
        return tuple(counts)

    @property
    def skipped(self) -> list[Skipped]:
        unread = [each for split in self.outcomes.values() for each in split if isinstance(each, Skipped)]
        return [*unread, *self.listing.skipped]

    @property
    def facts(self) -> list[Facts]:
        return [each for split in self.outcomes.values() for each in split if isinstance(each, Facts)]

    @property
    def sides(self) -> tuple[int, int]:
        """Return the minimum and maximum of the pictures' shorter sides, in pixels; 0 without pictures."""
        sides = [each.side for each in self.facts]
        return min(sides, default=0), max(sides, default=0)

    def check(self) -> None:
        """Raise ValueError, one line, if a class has no usable training picture, or there is no test picture."""
        name = shown(self.listing.path.name)
        unread = [number for number, count in enumerate(self.counts("train")) if not count]
        for number in unread:
            pairs = zip(self.listing.splits["train"], self.outcomes["train"], strict=True)
            why = sentences([each for (_, label), each in pairs if label == number and isinstance(each, Skipped)])
            title = shown(self.listing.classes[number])
            more = f" (nor of {len(unread) - 1} more)" if len(unread) > 1 else ""
            raise ValueError(f"no training picture of class {title}{more} in {name} can be read: {'; '.join(why[:2])}")
        if not self.good("test"):
            raise ValueError(f"no test picture in {name} can be read: {'; '.join(sentences(self.skipped)[:2])}")

    def notes(self) -> tuple[str, ...]:
        """Return notes, the most important first: how the images were split, what the test accuracy is based on, how pictures were
        changed, what was skipped."""
        facts, test = self.facts, self.counts("test")
        untested = [name for name, count in zip(self.listing.classes, test, strict=True) if not count]
        deep, transparent = sum(each.deep for each in facts), sum(each.transparent for each in facts)
        notes = [*self.listing.notes, standing(self.listing.classes, test)]
        if untested:
            notes.append(
                f"{len(untested)} of {len(self.listing.classes)} classes without test images, "
                f"so the test accuracy does not cover: {some(untested)}"
            )
        if deep:
            notes.append(f"{counted(deep, 'grey image')} of 16 bits: only the upper 8 bits are used")
        if transparent:
            notes.append(f"{counted(transparent, 'image')} with transparency: placed on white")
        return (*notes, *sentences(self.skipped))


def standing(classes: Sequence[str], test: Sequence[int]) -> str:
    """Return what a test accuracy is based on, from the test images of each class.

    >>> standing(("cat", "dog"), (15, 5))
    "test accuracy is based on 20 images, 5 points each; always answering 'cat' would be right for 75% of them"
    """
    total, largest = sum(test), max(test)
    title = shown(classes[list(test).index(largest)])
    return (
        f"test accuracy is based on {counted(total, 'image')}, {100 / total:.2g} points each; "
        f"always answering {title} would be right for {100 * largest / total:.3g}% of them"
    )


def resized(size: int, sides: tuple[int, int]) -> str:
    """Return how pictures become the network's input.

    >>> resized(32, (20, 400))
    'network input 32×32 pixels, from the centre square of images whose shorter side is 20 to 400'
    """
    least, most = sides
    seen = f"{least}" if least == most else f"{least} to {most}"
    return f"network input {size}×{size} pixels, from the centre square of images whose shorter side is {seen}"


def natural_size(longest: int) -> int:
    """Return the default input size for own images: they are enlarged at most to the next multiple of 8, or to the 32 of networks
    for small images. ``longest`` is the largest of their shorter sides, in pixels.

    >>> [natural_size(side) for side in (1, 28, 32, 48, 50, 64, 4000)]
    [32, 32, 32, 48, 56, 64, 64]
    """
    return min(USUAL_SIZE, max(SMALL_SIZE, -(-longest // 8) * 8))


def size_of(listing: ImageListing, progress: Progress) -> int:
    """Return the natural size of these images. Read headers, only few if images are large."""
    members, longest = Members(listing.path), 1
    for samples in listing.splits.values():
        outcomes = attempt(
            lambda member: header(members, member), [member for member, _ in samples], "reading sizes", progress
        )
        for each in outcomes:
            longest = max(longest, each.side if isinstance(each, Facts) else 1)
            if natural_size(longest) == USUAL_SIZE:
                return USUAL_SIZE
    return natural_size(longest)
