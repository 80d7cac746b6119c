"""What this machine is. Only ``torch_devices`` imports torch; the runner calls it in a child process."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from ssam.spec.host import cores, cpu_name

GB = 1e9


@dataclass(frozen=True)
class DeviceInfo:
    """``id`` is what ``RaceSpec.device`` takes: ``cpu``, ``cuda:0``, ``mps``."""

    id: str
    name: str
    memory_gb: float


@dataclass(frozen=True)
class Machine:
    """``slots`` is how many races run at once; ``cores`` those this process may use."""

    host: str
    cpu: str
    cores: int
    memory_gb: float
    slots: int
    devices: list[DeviceInfo]


def default_slots() -> int:
    """``SSAM_SLOTS``, else one race at a time per four cores, at most four. Raises ValueError for a bad setting."""
    text = os.environ.get("SSAM_SLOTS", "")
    if not text:
        return min(4, max(1, cores() // 4))
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise ValueError(f"SSAM_SLOTS {text[:20]!r} must be a whole number from 1 to 64")
    return int(text)


def torch_devices() -> list[DeviceInfo]:
    """The accelerators torch can use here."""
    import torch

    found = []
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        found.append(DeviceInfo(f"cuda:{index}", about.name, round(about.total_memory / GB, 1)))
    if torch.backends.mps.is_available():
        found.append(DeviceInfo("mps", "Apple GPU", _memory_gb()))  # shares the machine's memory
    return found


def write_machine(home: Path, slots: int, devices: Callable[[], list[DeviceInfo]]) -> None:
    """Keeps the facts in ``home/machine.json``, in one piece."""
    cpu = DeviceInfo("cpu", cpu_name(), _memory_gb())
    machine = Machine(platform.node(), cpu.name, cores(), cpu.memory_gb, slots, [cpu, *devices()])
    write_json(home / "machine.json", asdict(machine))


def read_machine(home: Path) -> Machine | None:
    """The facts as the runner last wrote them; None if it never did."""
    path = home / "machine.json"
    if not path.exists():
        return None
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Machine(**{**facts, "devices": [DeviceInfo(**device) for device in facts["devices"]]})


def write_json(path: Path, value: object) -> None:
    """Writes by rename: a reader finds the old file or the new one, never half of one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value), encoding="utf-8")
    os.replace(draft, path)


def _memory_gb() -> float:
    return round(psutil.virtual_memory().total / GB, 1)
