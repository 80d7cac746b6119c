"""Facts about the server for the page System: plain rows, nothing secret. Never the database's address, which may contain a
password."""

import platform
import time
from importlib.metadata import PackageNotFoundError, version

import psutil  # type: ignore[import-untyped]

from app.ui import run_labels, texts
from app.ui.lab import Lab
from ssam.store import Person, Run
from ssam.store.schema import SCHEMA_VERSION
from ssam.store.views import ALIVE

GB = 1e9
LOOKED_AT = 200  # latest races that are searched for failures
PACKAGES = ("torch", "torchvision", "streamlit", "plotly", "SQLAlchemy")


def load(lab: Lab) -> list[tuple[str, str, str]]:
    """Return the load of the server: label, value, and its limit."""
    jobs = lab.store.queue.jobs()
    running = sum(job.state in ALIVE for job in jobs)
    machine, memory = lab.client.machine(), psutil.virtual_memory()
    disk, since = lab.client.disk(), lab.client.runner.since()
    return [
        ("Races running", str(running), f"of {machine.slots}" if machine else "slots not known yet"),
        ("In the queue", str(len(jobs) - running), f"of {lab.client.limits.queued}"),
        ("Memory", f"{(memory.total - memory.available) / GB:.1f} GB", f"of {memory.total / GB:.1f} GB"),
        ("Disk used by the lab", f"{disk.used / GB:.1f} GB" if disk else "–", f"of {lab.client.limits.disk_gb:g} GB"),
        ("Free on disk", f"{disk.free / GB:.1f} GB" if disk else "–", "free on the volume"),
        (
            "Runner",
            "up" if since else "down",
            texts.duration(time.time() - since) if since else "started by the next page",
        ),
    ]


def devices(lab: Lab) -> list[dict[str, str]]:
    """Return the devices; empty until a runner has detected them."""
    machine = lab.client.machine()
    if machine is None:
        return []
    busy = [job.slot for job in lab.store.queue.jobs() if job.state in ALIVE]
    return [
        {
            "Device": device.id,
            "Name": device.name,
            "Memory": f"{device.memory_gb:.0f} GB",
            "Races": str(busy.count(device.id)),
        }
        for device in machine.devices
    ]


def queue(lab: Lab, person: Person) -> list[dict[str, str]]:
    """Return the part of the queue that this person may see, in order."""
    rows = []
    mine = [
        job.id
        for job in lab.store.queue.jobs()
        if job.state == "queued" and (person.teacher or job.owner == person.owner)
    ]
    for run in lab.store.runs.get_many(mine).values():
        if place := lab.client.races.forecast(run.id):
            rows.append((place.position, run, texts.queue_place(place.position, place.seconds)))
    return [
        {
            "Place": said,
            "Race": run_labels.title(run),
            "Owner": "yours" if run.owner == person.owner else run.owner[:6],
        }
        for _, run, said in sorted(rows, key=lambda row: row[0])
    ]


def limits(lab: Lab) -> dict[str, str]:
    allowed = lab.client.limits
    return {
        "Races per person": f"{allowed.owner_running} running, {allowed.owner_queued} in the queue",
        "Queue": f"{allowed.queued} races in total",
        "Time per race": texts.duration(60 * allowed.race_minutes),
        "Disk": f"{allowed.disk_gb:g} GB",
        "Checkpoint": f"every {texts.duration(allowed.checkpoint_seconds)}",
    }


def versions(lab: Lab) -> dict[str, str]:
    database = "PostgreSQL" if lab.store.url.startswith("postgres") else "SQLite"
    return {
        "Python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "Run database": f"{database}, schema {SCHEMA_VERSION}",
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def failures(lab: Lab, person: Person) -> list[Run]:
    """Return the latest races that failed or were interrupted: this person's; for a teacher, all."""
    looked_at = lab.store.runs.newest(LOOKED_AT, owner=None if person.teacher else person.owner)
    return [run for run in looked_at if run.state in ("failed", "interrupted")][:10]
