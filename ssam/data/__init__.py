"""Data sets as batches that are random access by step. ``load_dataset`` reads what a race asks for."""

from ssam.data.batches import Batches, Dataset
from ssam.data.load import load_dataset

__all__ = ["Batches", "Dataset", "load_dataset"]
