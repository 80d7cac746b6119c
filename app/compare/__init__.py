"""The page Compare: races laid over each other, each setting with its seeds."""
