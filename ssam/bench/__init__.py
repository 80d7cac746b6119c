"""The cost of training in SGD steps, images per second and bytes, from paired, interleaved timings. Prints nothing and writes no
files except those of a temporary store."""

from ssam.bench.events import Event, Memory, Note, Overhead, Refresh, Result, Row, Throughput
from ssam.bench.measure import bench

__all__ = ["Event", "Memory", "Note", "Overhead", "Refresh", "Result", "Row", "Throughput", "bench"]
