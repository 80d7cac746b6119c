"""Disk use of the lab, and what is deleted first when it is too much. The database is not counted."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ssam.jobs.hardware import GB, write_json
from ssam.store import Store
from ssam.store.annotations import UNDO_SECONDS
from ssam.store.views import ENDED

COUNTED = ("runs", "images", "downloads")
RESERVE = 0.5 * GB  # bytes kept free on the disk; with a small quota a tenth of it


@dataclass(frozen=True)
class Disk:
    """Bytes used, allowed, and free on the disk. ``waits`` says why new races wait; empty if they need not."""

    used: int
    quota: float
    free: int

    @property
    def excess(self) -> float:
        """Return how many bytes must be freed before a new race may start."""
        return max(self.used - self.quota, self._reserve - self.free)

    @property
    def waits(self) -> str:
        if self.used > self.quota:
            kept = f"{self.used / GB:.2f} GB are used, {self.quota / GB:g} GB are allowed (SSAM_DISK_GB)"
            return f"waits for disk space: {kept}; delete old races or uploads"
        if self.free < self._reserve:
            return f"waits for disk space: only {self.free / GB:.2f} GB are free, {self._reserve / GB:g} GB are needed"
        return ""

    @property
    def _reserve(self) -> float:
        return min(RESERVE, self.quota / 10)


def write_disk(home: Path, disk: Disk) -> None:
    write_json(home / "disk.json", asdict(disk))


def read_disk(home: Path) -> Disk | None:
    """Return the disk as the runner last measured it; None if it never did."""
    path = home / "disk.json"
    return Disk(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def measure(store: Store, quota_gb: float) -> Disk:
    used = sum(_size(store.home / name) for name in COUNTED)
    return Disk(used, quota_gb * GB, shutil.disk_usage(store.home).free)


def make_room(store: Store, quota_gb: float) -> Disk:
    """Permanently delete what was soft-deleted more than a day ago. If space is short, also delete, in this order and only as
    needed: other soft-deleted races, then checkpoints, saved weights, masks and predictions of ended races, the oldest first. Never
    touch queued, running or paused races. Return the disk afterwards."""
    for run_id in store.runs.soft_deleted(before=time.time() - UNDO_SECONDS):
        store.runs.purge(run_id)
    disk = measure(store, quota_gb)
    if disk.excess > 0 and (waiting := store.runs.soft_deleted()):
        for run_id in waiting:
            store.runs.purge(run_id)
        disk = measure(store, quota_gb)
    if disk.excess <= 0:
        return disk
    excess = disk.excess
    for run_id, path in _dispensable(store):
        if excess <= 0:
            break
        run = store.runs.get(run_id)
        if run is not None and run.state in ENDED:  # check again: it may have been resumed meanwhile
            excess -= _size(path)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return measure(store, quota_gb)


def _dispensable(store: Store) -> Iterator[tuple[str, Path]]:
    ended = [run_id for run_id in store.runs.ended() if store.run_folder(run_id).is_dir()]
    for pattern in ("checkpoint*", "weights", "masks", "predictions"):
        for run_id in ended:
            for path in sorted(store.run_folder(run_id).glob(pattern)):
                yield run_id, path


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; files that vanish meanwhile count zero."""
    inside = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    total = 0
    for file in inside if path.is_dir() else [path]:
        with contextlib.suppress(FileNotFoundError):
            total += file.lstat().st_size
    return total
