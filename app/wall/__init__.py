"""The class wall: the races of a class."""
