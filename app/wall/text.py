"""What the class wall says."""

from ssam.stats.paired import EXPLAINED

WALL = "All races of a class on one plot: what one seed shows, and what thirty show."

COUNTED = f"""
- **A seed counts once.** Of several races with the same settings and seed one is shown: a finished one, else a running one, else the
  first; another would give the same numbers. Races whose settings differ in more than the seed are never mixed.
- **Only finished lanes count** in the table, by their last epoch, on all test images. Races that were stopped or failed, and lanes that
  diverged, are named but not counted. Stopping a race because it looks bad biases the statistics.
{EXPLAINED.strip()}
- Others see curves, seeds and results of your races, but not your name and not the races' links.
"""
