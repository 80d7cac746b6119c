"""What can be taken of a race, by name, into a folder or as one download."""

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ssam.export import figures, files, mlflow, report, script, spec_file, tensorboard
from ssam.export.source import Source

ALL = "all"  # in place of a list of kinds: every one but for MLflow, which may go to a server
MOST_BYTES = 512 * 2**20  # of one download, before it is packed: it lies in the server's memory


def _always(source: Source) -> str:
    return ""


@dataclass(frozen=True)
class Kind:
    """``write`` puts it into a folder; ``why_not`` is empty, or one line that says why this race has none."""

    title: str
    about: str
    write: Callable[[Source, Path], None]
    why_not: Callable[[Source], str] = _always


KINDS = {
    "report": Kind(
        "Report", "One HTML file with everything in it, to read, to print, and to open again here", report.report
    ),
    "csv": Kind("CSV", "Every evaluation and every step, as text", files.csv),
    "parquet": Kind("Parquet", "The same two tables with their types", files.parquet),
    "figures": Kind("Figures", "Curves and step times in print size: SVG, and PNG at 300 dpi", figures.write),
    "code": Kind("Code", "A short Python script per lane that gives the same numbers", script.write, script.why_none),
    "race": Kind(
        "Race file", "The settings, to open again here (race.json), and the link to this race", spec_file.write
    ),
    "masks": Kind("Masks", "Every mask to the bit, as npz", files.masks, files.why_no_masks),
    "weights": Kind("Weights", "The kept weights as safetensors", files.weights, files.why_no_weights),
    "tensorboard": Kind("TensorBoard", "Event files, a folder for each lane", tensorboard.tensorboard),
    "mlflow": Kind(
        "MLflow", "A run for each lane, to MLFLOW_TRACKING_URI or into mlflow.db", mlflow.mlflow, mlflow.why_not
    ),
}


def check_kinds(kinds: str | Iterable[str]) -> tuple[str, ...]:
    """The kinds that were asked for, each once: a list of them, text with commas between, or ``"all"``.

    Raises ValueError, one line, for one that is not there, or none at all.

    >>> check_kinds("csv,report,csv")
    ('csv', 'report')
    """
    asked = [part.strip() for part in kinds.split(",")] if isinstance(kinds, str) else list(kinds)
    names = [name for kind in asked for name in ([k for k in KINDS if k != "mlflow"] if kind == ALL else [kind])]
    unknown = [name for name in names if name not in KINDS]
    if unknown or not names:
        problem = f"{unknown[0][:40]!r} cannot be taken away" if unknown else "nothing to take away"
        raise ValueError(f"{problem}; allowed: {ALL}, {', '.join(KINDS)}")
    return tuple(dict.fromkeys(names))


def write(source: Source, kinds: str | Iterable[str], folder: Path) -> dict[str, str]:
    """Writes these kinds into the folder, which is made where it is missing. Files of the same names are overwritten.

    Returns what could not be had of this race: kind → one line that says why. Raises ValueError, that line, where nothing could, and
    OSError where the disk does not take it.
    """
    missing = {}
    folder.mkdir(parents=True, exist_ok=True)
    names = check_kinds(kinds)
    for name in names:
        kind = KINDS[name]
        if why := kind.why_not(source):
            missing[name] = why
            continue
        try:
            kind.write(source, folder)
        except ValueError as error:
            missing[name] = str(error)
    if len(missing) == len(names):
        raise ValueError(next(iter(missing.values())))
    return missing


def on_offer(source: Source) -> list[str]:
    """The kinds that this race has and a browser can be given."""
    offered = [name for name, kind in KINDS.items() if name != "mlflow" and not kind.why_not(source)]
    kept = sum(path.stat().st_size for path in source.store.run_folder(source.run.id).glob("weights/*"))
    return [name for name in offered if name != "weights" or kept <= MOST_BYTES]


def file_name(source: Source, kinds: Iterable[str]) -> str:
    """What ``download`` of these kinds is called: the report alone is a page, everything else a zip."""
    names = check_kinds(kinds)
    race = f"race-{source.run.id[:8]}"
    return f"{race}.html" if names == ("report",) else f"{race}-{names[0]}.zip" if len(names) == 1 else f"{race}.zip"


def download(source: Source, kinds: Iterable[str]) -> bytes:
    """These kinds as the file that ``file_name`` names. What a zip lacks is said in its ``missing.txt``.

    Raises ValueError, one line, where there is nothing, or more than MOST_BYTES."""
    names = check_kinds(kinds)
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
