"""The page Anatomy: one real step of a network, phase by phase."""
