"""The page Frontier: accuracy against step time."""
