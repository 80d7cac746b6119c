"""Data sets as batches with random access by step. ``load_dataset`` loads the data set of a race."""

from ssam.data.batches import Batches, Dataset
from ssam.data.load import load_dataset

__all__ = ["Batches", "Dataset", "load_dataset"]
