"""The methods that can be raced, one per file. ``docs/add-a-method.md`` shows how to add one. Does not import torch
when loaded."""

from ssam.methods.asam import ASAM
from ssam.methods.f_sam import F_SAM
from ssam.methods.gsam import GSAM
from ssam.methods.looksam import LOOKSAM
from ssam.methods.method import Method, Style
from ssam.methods.sam import SAM
from ssam.methods.sgd import SGD
from ssam.methods.ssam import SSAM
from ssam.methods.ssam_d import SSAM_D
from ssam.methods.ssam_f import SSAM_F
from ssam.methods.vasso import VASSO

METHODS = {method.name: method for method in (SGD, SAM, SSAM_F, SSAM_D, SSAM, ASAM, F_SAM, VASSO, GSAM, LOOKSAM)}

__all__ = ["METHODS", "Method", "Style"]
