"""Download of published files, with progress."""

import hashlib
import os
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

PATIENCE = 30.0  # timeout of a connection without an answer, in seconds
CHUNK = 256 * 2**10  # bytes


def fetch(urls: Sequence[str], path: Path, md5: str, tell: Callable[[float | None], None]) -> None:
    """Download a file to ``path`` from the first of ``urls`` that has it, unless it already exists.

    ``tell`` is called with the share received, or None if the server does not give the file's length. Raise OSError with
    the answer of each of ``urls`` if all fail; a file whose hash differs from ``md5`` is not kept.
    """
    if path.exists() and _md5(path) == md5:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    failures = []
    for url in urls:
        try:
            _receive(url, draft, tell)
        except (OSError, HTTPException) as error:
            failures.append(f"{urlsplit(url).netloc}: {_plain(error)}")
        else:
            if _md5(draft) == md5:
                os.replace(draft, path)
                return
            failures.append(f"{urlsplit(url).netloc}: {path.name} arrived damaged")
        draft.unlink(missing_ok=True)
    raise OSError("; ".join(failures))


def _plain(error: Exception) -> str:
    """Return the error message without the wrapping of ``<urlopen error [Errno -2] …>``."""
    if isinstance(error, HTTPError):
        return str(error)
    reason = error.reason if isinstance(error, URLError) else error
    return str(getattr(reason, "strerror", None) or reason)


def _receive(url: str, draft: Path, tell: Callable[[float | None], None]) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "ssam-lab"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response, draft.open("wb") as file:
        total = response.length  # bytes, None if unknown
        while chunk := response.read(CHUNK):
            file.write(chunk)
            tell(min(1.0, file.tell() / total) if total else None)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
