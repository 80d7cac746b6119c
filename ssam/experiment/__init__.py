"""Specifications as data. Imports only modules that do not need torch."""

from ssam.catalogue import DATASETS, MODELS, Dataset, Model
from ssam.experiment.lane import LaneSpec
from ssam.experiment.presets import ASSETS, Preset, preset, presets
from ssam.experiment.race import RaceSpec, check_size, laid_over, left_behind, parse_spec
from ssam.methods import METHODS, Method

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
