"""A race to take away: tables, masks, weights, TensorBoard and MLflow, figures, a report, the code; and the way back.

Never imports torch: the app's server offers all of this. The command line adds weights that only checkpoints hold.
"""

from ssam.export.bundle import ALL, KINDS, check_kinds, download, file_name, on_offer, write
from ssam.export.source import Source
from ssam.export.spec_file import spec_json, spec_of

__all__ = [
    "ALL",
    "KINDS",
    "Source",
    "check_kinds",
    "download",
    "file_name",
    "on_offer",
    "spec_json",
    "spec_of",
    "write",
]
