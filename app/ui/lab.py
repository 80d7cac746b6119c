"""What the pages work with: the store, and the client that has races run."""

from dataclasses import dataclass

from ssam.jobs.client import Client
from ssam.store import Store


@dataclass(frozen=True)
class Lab:
    """``store`` knows every race; ``client`` has them run."""

    store: Store
    client: Client
