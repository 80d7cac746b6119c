"""What the class wall says."""

from ssam.stats.paired import EXPLAINED

WALL = "Everyone's races under one class code, on one plot: what one seed does, and what thirty say."

COUNTED = f"""
- **A seed counts once.** Of several races with the same settings and the same seed one is shown: a finished one, else one under way, else
  the first. It would give the same numbers again. Races whose settings differ in anything but the seed are never mixed.
- **Only finished lanes count** in the table, by their last epoch, on all test images. Races that were stopped or failed, and lanes that
  diverged, are named but not counted. Who stops a race because it looks bad spoils the statistics.
{EXPLAINED.strip()}
- The others see curves, seeds and results of your races, not whose they are, and not their address.
"""
