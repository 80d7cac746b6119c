"""The page Sweeps: one lane with many settings."""
