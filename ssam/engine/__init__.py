"""The race: an iterator of events. Prints nothing, writes no files."""

from ssam.engine.race import Race

__all__ = ["Race"]
