"""The page For teachers: links for a class."""
