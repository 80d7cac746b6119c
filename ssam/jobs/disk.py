"""What the lab keeps on the disk, and what goes first when that is too much. The database is not counted."""

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
RESERVE = 0.5 * GB  # that much stays free on the disk; with a small quota a tenth of that


@dataclass(frozen=True)
class Disk:
    """Bytes kept, allowed, and free on the disk. ``waits`` says why new races wait; empty where they need not."""

    used: int
    quota: float
    free: int

    @property
    def excess(self) -> float:
        """Bytes that must go before a new race may start."""
        return max(self.used - self.quota, self._reserve - self.free)

    @property
    def waits(self) -> str:
        if self.used > self.quota:
            kept = f"{self.used / GB:.2f} GB are kept, {self.quota / GB:g} GB are allowed (SSAM_DISK_GB)"
            return f"waits for room on the disk: {kept}; delete old races or uploads"
        if self.free < self._reserve:
            return f"waits for room on the disk: only {self.free / GB:.2f} GB are free, {self._reserve / GB:g} GB are needed"
        return ""

    @property
    def _reserve(self) -> float:
        return min(RESERVE, self.quota / 10)


def write_disk(home: Path, disk: Disk) -> None:
    write_json(home / "disk.json", asdict(disk))


def read_disk(home: Path) -> Disk | None:
    """The disk as the runner last saw it; None if it never looked."""
    path = home / "disk.json"
    return Disk(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def measure(store: Store, quota_gb: float) -> Disk:
    used = sum(_size(store.home / name) for name in COUNTED)
    return Disk(used, quota_gb * GB, shutil.disk_usage(store.home).free)


def make_room(store: Store, quota_gb: float) -> Disk:
    """Deletes for good what was deleted a day ago. Where there is too little room, first all that was deleted since; then
    checkpoints of races that have ended, the longest ago first, then their kept weights, then their masks, only as many as it takes.
    Of races that are queued, running or paused nothing goes. What remains."""
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
        if run is not None and run.state in ENDED:  # still: it may have been resumed meanwhile
            excess -= _size(path)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return measure(store, quota_gb)


def _dispensable(store: Store) -> Iterator[tuple[str, Path]]:
    ended = [run_id for run_id in store.runs.ended() if store.run_folder(run_id).is_dir()]
    for pattern in ("checkpoint*", "weights", "masks"):
        for run_id in ended:
            for path in sorted(store.run_folder(run_id).glob(pattern)):
                yield run_id, path


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    inside = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    total = 0
    for file in inside if path.is_dir() else [path]:
        with contextlib.suppress(FileNotFoundError):
            total += file.lstat().st_size
    return total
