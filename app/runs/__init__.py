"""The page Runs: find, name, compare and delete races."""
