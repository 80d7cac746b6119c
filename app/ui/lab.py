"""What the pages work with: the store, and the client that runs races."""

from dataclasses import dataclass

from ssam.jobs.client import Client
from ssam.store import Store


@dataclass(frozen=True)
class Lab:
    """``store`` holds every race; ``client`` runs them."""

    store: Store
    client: Client
