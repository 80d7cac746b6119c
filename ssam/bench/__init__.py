"""What training costs, in SGD steps, images per second and bytes: paired, interleaved timings. Prints nothing, writes no
files but those of a store of its own, which goes with it."""

from ssam.bench.events import Event, Memory, Note, Overhead, Refresh, Result, Row, Throughput
from ssam.bench.measure import bench

__all__ = ["Event", "Memory", "Note", "Overhead", "Refresh", "Result", "Row", "Throughput", "bench"]
