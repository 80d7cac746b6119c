"""Texts without the folders of this machine, which are nobody's business who looks at a page."""

import re

_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^\s/\\'\":;,]+[/\\])+")


def without_folders(text: str) -> str:
    """Names of files in place of their full paths.

    >>> without_folders("No such file: '/home/ada/.ssam-lab/images/pets.zip', see https://a.b/c/d or train/cat/1.jpg")
    "No such file: 'pets.zip', see https://a.b/c/d or train/cat/1.jpg"
    """
    return _FOLDERS.sub("", text)
