"""Statistics that the whole lab says the same of. Standard library and NumPy only."""
