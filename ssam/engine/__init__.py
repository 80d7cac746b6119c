"""The race as an iterator of events. It prints nothing and writes no files."""

from ssam.engine.race import Race

__all__ = ["Race"]
