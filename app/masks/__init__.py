"""The page Masks: which weights were perturbed, layer by layer."""
