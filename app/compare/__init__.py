"""The page Compare: curves and results of several races, grouped over seeds."""
