"""The page Anatomy of a step: one real step of a network, phase by phase."""
