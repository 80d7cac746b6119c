"""The page System: load, hardware, limits and failures."""
