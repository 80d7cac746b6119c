"""Statistics shared by the whole lab. Standard library and NumPy only."""
