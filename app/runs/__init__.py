"""The page Runs: all races, to be found, named, compared and deleted."""
