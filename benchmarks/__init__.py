"""Commands that measure the lab: they write the numbers of README, docs and app (`assets/measured/`), and are no tests.

``python -m benchmarks.NAME`` measures one thing; ``benchmarks.load`` is a class that watches, ``benchmarks.drills`` kills, fills up and
damages. What one training step costs is a command of the product, ``python -m ssam bench``.
"""
