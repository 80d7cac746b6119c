"""The page Sweeps: one method trained with many settings."""
