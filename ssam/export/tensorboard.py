"""TensorBoard event files, one folder per lane.

Written here, because the libraries that write them bring torch (tensorboardX) or a server (tensorboard). The layout: a record is
length, checksum of it, data, checksum of it; the data is a protocol buffer ``Event`` (tensorflow/core/util/event.proto).
"""

import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from ssam.export.source import Source

SCALARS = {  # tag in TensorBoard: column of the table
    "test/accuracy": "test_accuracy",
    "test/loss": "test_loss",
    "validation/accuracy": "validation_accuracy",
    "validation/loss": "validation_loss",
    "train/loss of the epoch": "train_loss",
    "train/learning rate": "lr",
    "sharpness/largest eigenvalue": "eigenvalue",
}
STEP_SCALARS = {
    "train/loss": "loss",
    "gradient/norm at w": "grad_norm",
    "gradient/norm at w+ε": "perturbed_norm",
    "perturbation/radius": "radius",
    "perturbation/ascent gap": "ascent_gap",
    "time/step ÷ SGD": "ratio",
}
DIVERGED = "lane/diverged"  # 1 or 0, at the lane's last step


def tensorboard(source: Source, folder: Path) -> None:
    """Write ``tensorboard/LANE/events.out.tfevents.…``: ``tensorboard --logdir tensorboard`` shows the lanes as runs.

    The wall time of a point is the race's start plus the lane's own compute time: TensorBoard's *Relative* axis is the lane's
    seconds. Values are float32, as in TensorBoard. DIVERGED tells how each ended lane ended."""
    start, statuses = source.run.started or source.run.created, source.statuses
    for lane_index, name in enumerate(source.spec.lane_names):
        to = folder / "tensorboard" / source.lane_file(lane_index)
        to.mkdir(parents=True, exist_ok=True)
        with (to / f"events.out.tfevents.{int(start):010d}.ssam").open("wb") as file:
            _write(file, _double(1, start) + _bytes(3, b"brain.Event:2"))
            for table, tags in ((source.steps, STEP_SCALARS), (source.evaluations, SCALARS)):
                for row in table[table["lane"] == name].to_dict("records"):
                    if values := _values(row, tags):
                        _write(file, event(start + row["seconds"], row["step"], values))
            if statuses.get(name) in ("finished", "diverged"):
                lane = source.window.lanes[lane_index]
                ended = {DIVERGED: float(statuses[name] == "diverged")}
                _write(file, event(start + lane.seconds, lane.last_step, ended))


def _values(row: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, float]:
    values = {tag: row[column] for tag, column in tags.items()}
    return {tag: value for tag, value in values.items() if value is not None and value == value}  # no NaN


def event(wall_time: float, step: int, values: Mapping[str, float]) -> bytes:
    """Return an ``Event`` with a ``Summary`` of simple values."""
    summary = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in values.items())
    return _double(1, wall_time) + _tag(2, 0) + _varint(step) + _bytes(5, summary)


def _write(file: BinaryIO, data: bytes) -> None:
    length = struct.pack("<Q", len(data))
    file.write(length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data)))


def masked_crc(data: bytes) -> int:
    """Return CRC-32C, rotated and shifted as in TensorFlow's records.

    >>> hex(masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    crc, table = 0xFFFFFFFF, _crc_table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _crc_table() -> list[int]:
    """Return the table of the Castagnoli polynomial, bits reversed."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(number: int) -> bytes:
    parts: list[int] = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*parts, number))


def _bytes(field: int, data: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(data)) + data


def _double(field: int, value: float) -> bytes:
    return _tag(field, 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    limit = 3.4028234663852886e38  # beyond it there is no float32
    return _tag(field, 5) + struct.pack("<f", max(-limit, min(limit, value)))
