"""Export of a race: tables, masks, weights, TensorBoard and MLflow, figures, a report, code; and import of its settings.

Never imports torch: the app's server offers all of this. The command line adds weights that are only in checkpoints.
"""

from ssam.export.bundle import ALL, FORMATS, available_formats, check_formats, download, file_name, write
from ssam.export.source import Source
from ssam.export.spec_file import spec_json, spec_of

__all__ = [
    "ALL",
    "FORMATS",
    "Source",
    "available_formats",
    "check_formats",
    "download",
    "file_name",
    "spec_json",
    "spec_of",
    "write",
]
