"""The formats that a race is exported to, into a folder or as one download."""

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ssam.export import figures, files, mlflow, report, script, spec_file, tensorboard
from ssam.export.source import Source

ALL = "all"  # instead of a list of formats: all but MLflow, which may send data to a server
MOST_BYTES = 512 * 2**20  # maximal size of a download before packing: it is held in the server's memory


def _always(source: Source) -> str:
    return ""


@dataclass(frozen=True)
class Format:
    """``write`` writes it to a folder; ``unavailable_reason`` returns one line that says why this race has none, or nothing."""

    title: str
    about: str
    write: Callable[[Source, Path], None]
    unavailable_reason: Callable[[Source], str] = _always


FORMATS = {
    "report": Format("Report", "One HTML file with everything, to read, print, and import again", report.report),
    "csv": Format("CSV", "Every evaluation and every step, as text", files.csv),
    "parquet": Format("Parquet", "The same two tables with their types", files.parquet),
    "figures": Format("Figures", "Curves and step times for print: SVG, and PNG at 300 dpi", figures.write),
    "code": Format("Code", "A short Python script per lane that reproduces the numbers", script.write, script.why_none),
    "race": Format(
        "Race file", "The settings, to import again (race.json), and the link to this race", spec_file.write
    ),
    "masks": Format("Masks", "All masks, exact, as npz", files.masks, files.why_no_masks),
    "weights": Format("Weights", "The saved weights as safetensors", files.weights, files.why_no_weights),
    "tensorboard": Format("TensorBoard", "Event files, one folder per lane", tensorboard.tensorboard),
    "mlflow": Format(
        "MLflow", "One run per lane, to MLFLOW_TRACKING_URI or into mlflow.db", mlflow.mlflow, mlflow.why_not
    ),
}


def check_formats(formats: str | Iterable[str]) -> tuple[str, ...]:
    """Return the requested formats, each once: from a list, text separated by commas, or ``"all"``.

    Raise ValueError for an unknown format, or none at all.

    >>> check_formats("csv,report,csv")
    ('csv', 'report')
    """
    asked = [part.strip() for part in formats.split(",")] if isinstance(formats, str) else list(formats)
    every = [name for name in FORMATS if name != "mlflow"]
    names = [name for each in asked for name in (every if each == ALL else [each])]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        problem = f"{unknown[0][:40]!r} is not an export format" if unknown else "no format given"
        raise ValueError(f"{problem}; allowed: {ALL}, {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(names))


def write(source: Source, formats: str | Iterable[str], folder: Path) -> dict[str, str]:
    """Write these formats into the folder, which is created if missing. Files of the same names are overwritten.

    Return the formats that this race does not have: format → one line that says why. Raise ValueError, that line, if those are
    all, and OSError if writing fails.
    """
    missing = {}
    folder.mkdir(parents=True, exist_ok=True)
    names = check_formats(formats)
    for name in names:
        format_ = FORMATS[name]
        if why := format_.unavailable_reason(source):
            missing[name] = why
            continue
        try:
            format_.write(source, folder)
        except ValueError as error:
            missing[name] = str(error)
    if len(missing) == len(names):
        raise ValueError(next(iter(missing.values())))
    return missing


def available_formats(source: Source) -> list[str]:
    """Return the formats that this race has and a browser can download."""
    offered = [name for name, format_ in FORMATS.items() if name != "mlflow" and not format_.unavailable_reason(source)]
    kept = sum(path.stat().st_size for path in source.store.run_folder(source.run.id).glob("weights/*"))
    return [name for name in offered if name != "weights" or kept <= MOST_BYTES]


def file_name(source: Source, formats: Iterable[str]) -> str:
    """Return the file name of ``download``: the report alone is an HTML page, everything else a zip."""
    names = check_formats(formats)
    race = f"race-{source.run.id[:8]}"
    return f"{race}.html" if names == ("report",) else f"{race}-{names[0]}.zip" if len(names) == 1 else f"{race}.zip"


def download(source: Source, formats: Iterable[str]) -> bytes:
    """Return these formats as the file that ``file_name`` names. What a zip lacks is listed in its ``missing.txt``.

    Raise ValueError if there is nothing, or more than MOST_BYTES."""
    names = check_formats(formats)
    with tempfile.TemporaryDirectory(prefix="ssam-") as temporary:
        folder = Path(temporary)
        missing = write(source, names, folder)
        written = sorted(path for path in folder.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in written)
        if size > MOST_BYTES:
            raise ValueError(
                f"{size / 2**20:,.0f} MiB are too much for a browser, at most {MOST_BYTES // 2**20}; use python -m ssam export"
            )
        if file_name(source, names).endswith(".html"):
            return written[0].read_bytes()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in written:
                archive.write(path, path.relative_to(folder))
            if missing:
                archive.writestr("missing.txt", "".join(f"{name}: {why}\n" for name, why in missing.items()))
        return packed.getvalue()
