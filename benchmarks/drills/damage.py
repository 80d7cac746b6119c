"""Drills of a full disk, a damaged checkpoint and a damaged database."""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.drills.drill import Drill, median_and_worst
from benchmarks.drills.lab import ROOT
from ssam.jobs.checkpoints import NEWEST, OLDER

DISK_MB = 48
STILL = 2.5  # seconds without a new point after which a race counts as halted


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a file system of DISK_MB in memory. Raise PermissionError if this process may not mount one."""
    with tempfile.TemporaryDirectory(prefix="ssam-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
            raise PermissionError("a full disk needs the right to mount one")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def full_disk(drill: Drill, rounds: int) -> None:
    """Fill the home folder's file system to the last block while a race trains, then free the space again. ``further_s`` is the
    time from then to the next point."""
    lab = drill.lab
    filler, further = lab.home / "filler", []
    drill.facts["disk"] = f"tmpfs of {DISK_MB} MB"
    while drill.rounds < rounds:
        run_id = lab.race()
        while drill.rounds < rounds and lab.wait_training(run_id):
            pid = lab.pid(run_id)
            time.sleep(drill.draw.uniform(0, 2))
            _fill(filler)
            if not _holds_still(drill, run_id, filler):
                filler.unlink()
                continue
            count = lab.look(run_id)
            assert lab.pid(run_id) == pid, "the race process did not hold out"
            filler.unlink()
            further.append(lab.wait_more(run_id, than=count))
            drill.rounds += 1
        drill.finish(run_id)
    drill.facts["further_s"] = median_and_worst(further)


def _fill(file: Path) -> None:
    """Fill the disk to the last block, first with large pieces, then with small ones."""
    with file.open("ab", buffering=0) as filler:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(size))


def _holds_still(drill: Drill, run_id: str, filler: Path) -> bool:
    """Wait until no point has arrived for a while. Return False if the race reached its end with the space it had."""
    lab = drill.lab
    count, since = lab.look(run_id), time.monotonic()
    while time.monotonic() < since + STILL:
        time.sleep(0.1)
        if lab.run(run_id).state != "running":
            return False
        if (now := lab.look(run_id)) != count:
            count, since = now, time.monotonic()
            _fill(filler)  # space freed by a checkpoint or the log
    return True


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def overwrite(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(os.urandom(min(len(data), 8192)) + data[8192:])


def damaged_checkpoint(drill: Drill, rounds: int) -> None:
    """Damage the latest checkpoint of a paused race, or both of its checkpoints."""
    for run_id in drill.paused(rounds):
        damage = [cut, flip, empty][drill.rounds % 3]
        files = [NEWEST] if drill.draw.random() < 0.5 else [NEWEST, OLDER]
        for path in (drill.lab.store.run_folder(run_id) / name for name in files):
            if path.exists():
                damage(path)


def damaged_database(drill: Drill, rounds: int) -> None:
    """Make a backup while a race trains, and damage the database some time later. Everything that opens it must report this in one
    line and change nothing else. Restoring the backup brings it back, and the race continues to the same end."""
    lab = drill.lab
    lab.compares_times = False  # points after the backup arrive again: equal, but with different times
    said = []
    for number in range(rounds):
        run_id = lab.race()
        lab.wait_training(run_id)
        time.sleep(drill.draw.uniform(0, 2))
        archive = lab.home.parent / f"backup-{number}.tar.gz"
        _command("backup", str(archive))
        time.sleep(drill.draw.uniform(0, 2))
        lab.look(run_id)
        lab.kill_everything()
        lab.store.close()
        files = _other_files(lab.home)
        _into_one_file(lab.home / "ssam.db")
        (cut, overwrite, zeros, empty)[number % 4](lab.home / "ssam.db")
        refused = _command("backup", str(lab.home.parent / "another.tar.gz"), expect=2)
        assert len(refused.splitlines()) == 1, refused
        said.append(refused.strip())
        if refusal := lab.try_server():
            assert refusal.startswith("SSAM Lab does not start: the run database"), refusal
        else:  # it has not reached the damaged part yet
            assert lab.answer("/health") in (200, 503)
        lab.kill_server()
        assert _other_files(lab.home) == files, "other files were touched"
        for path in lab.home.glob("ssam.db*"):
            path.rename(lab.home.parent / f"damaged-{number}-{path.name}")
        _command("restore", str(archive))
        lab.open()
        lab.start_runner()
        drill.rounds += 1
        drill.finish(run_id)
    drill.facts["said"] = sorted({line.replace(str(lab.home), "HOME") for line in said})


def _into_one_file(database: Path) -> None:
    """Merge SQLite's log into the database, so that SQLite cannot repair the damage from its log."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _command(*arguments: str, expect: int = 0) -> str:
    """Run ``python -m ssam``. Return its standard error."""
    done = subprocess.run([sys.executable, "-m", "ssam", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done.stderr


def _other_files(home: Path) -> dict[str, str]:
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("runs", "images")
        for path in sorted((home / folder).rglob("*"))
        if path.is_file()
    }
