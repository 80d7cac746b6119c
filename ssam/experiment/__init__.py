"""Specifications as data. Imports nothing of ours and never torch."""

from ssam.catalogue import DATASETS, METHODS, MODELS, Dataset, Method, Model
from ssam.experiment.presets import ASSETS, Preset, preset, presets
from ssam.experiment.race import LaneSpec, RaceSpec, check_size, laid_over, left_behind, parse_spec

__all__ = [
    "ASSETS",
    "DATASETS",
    "METHODS",
    "MODELS",
    "Dataset",
    "LaneSpec",
    "Method",
    "Model",
    "Preset",
    "RaceSpec",
    "check_size",
    "laid_over",
    "left_behind",
    "parse_spec",
    "preset",
    "presets",
]
