"""What one training step costs, in SGD steps: paired, interleaved timings. Prints nothing, writes no files."""

from ssam.bench.measure import Memory, Note, Result, Row, bench

__all__ = ["Memory", "Note", "Result", "Row", "bench"]
