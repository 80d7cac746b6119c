"""Commands that measure the lab. They write the numbers of README, docs and app (`assets/measured/`); they are not tests.

``python -m benchmarks.NAME`` measures one thing; ``benchmarks.load`` simulates a class that watches, ``benchmarks.drills`` kills
processes, fills disks and damages files. The cost of a training step is measured by a command of the product, ``python -m ssam bench``.
"""
