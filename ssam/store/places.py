"""Removal of this machine's folders from texts: visitors of a page must not see them."""

import re

_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^\s/\\'\":;,]+[/\\])+")


def without_folders(text: str) -> str:
    """Replace full paths by file names.

    >>> without_folders("No such file: '/home/ada/.ssam-lab/images/pets.zip', see https://a.b/c/d or train/cat/1.jpg")
    "No such file: 'pets.zip', see https://a.b/c/d or train/cat/1.jpg"
    """
    return _FOLDERS.sub("", text)
