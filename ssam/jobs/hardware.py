"""Facts about this machine. Only ``torch_devices`` imports torch; the runner calls it in a child process."""

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from ssam.config import default_device
from ssam.store.files import write_whole
from ssam.system import cores, cpu_name

GB = 1e9


@dataclass(frozen=True)
class DeviceInfo:
    """``id`` is a value of ``RaceSpec.device``: ``cpu``, ``cuda:0``, ``mps``."""

    id: str
    name: str
    memory_gb: float


@dataclass(frozen=True)
class Machine:
    """``cpu_slots`` is how many races run at once on the CPU; ``cores`` are those available to this process; ``auto`` is the
    device of a race that leaves the choice to the server: the fastest kind available."""

    host: str
    cpu: str
    cores: int
    memory_gb: float
    cpu_slots: int
    devices: list[DeviceInfo]
    auto: str

    @property
    def slots(self) -> int:
        """Return how many races run at once."""
        return len(self.places)

    @property
    def places(self) -> tuple[str, ...]:
        """Return a device's id for each of its slots: one per GPU, ``cpu_slots`` for the CPU."""
        gpus = [device.id for device in self.devices if device.id != "cpu"]
        return (*gpus, *["cpu"] * self.cpu_slots)


def torch_devices() -> list[DeviceInfo]:
    """Return the accelerators that torch can use here."""
    import torch

    devices = []
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        devices.append(DeviceInfo(f"cuda:{index}", about.name, round(about.total_memory / GB, 1)))
    if torch.backends.mps.is_available():
        devices.append(DeviceInfo("mps", "Apple GPU", _memory_gb()))  # shares the machine's memory
    return devices


def describe(cpu_slots: int, gpus: list[DeviceInfo]) -> Machine:
    cpu = DeviceInfo("cpu", cpu_name(), _memory_gb())
    return Machine(platform.node(), cpu.name, cores(), cpu.memory_gb, cpu_slots, [cpu, *gpus], default_device())


def write_machine(home: Path, cpu_slots: int, gpus: Callable[[], list[DeviceInfo]]) -> None:
    """Save the facts in ``home/machine.json``, atomically."""
    write_json(home / "machine.json", asdict(describe(cpu_slots, gpus())))


def read_machine(home: Path) -> Machine | None:
    """Return the facts as the runner last wrote them; None if it never did."""
    path = home / "machine.json"
    if not path.exists():
        return None
    facts = json.loads(path.read_text(encoding="utf-8"))
    if facts.keys() != {field.name for field in fields(Machine)}:
        return None  # of an earlier version of the lab
    return Machine(**{**facts, "devices": [DeviceInfo(**device) for device in facts["devices"]]})


def write_json(path: Path, value: object) -> None:
    """Write a file atomically: a reader finds the old one or the new one."""
    write_whole(path, lambda file: file.write(json.dumps(value).encode()))


def _memory_gb() -> float:
    return round(psutil.virtual_memory().total / GB, 1)
