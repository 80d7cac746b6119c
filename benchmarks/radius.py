"""The length of the perturbations in the recorded races, compared with the requested rho: ``python -m benchmarks.radius``.

Reads assets/recorded and writes assets/measured/radius.json, which the pages quote. Runs no races.
"""

import json
from typing import Any

from ssam.experiment import ASSETS, LaneSpec, RaceSpec
from ssam.methods import METHODS
from ssam.store import LaneWindow
from ssam.store.race_file import Recording, load

FILE = ASSETS / "measured" / "radius.json"
SUFFIX = ".json.gz"


def main() -> None:
    record = measured()
    FILE.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(record))


def measured() -> dict[str, Any]:
    paths = sorted((ASSETS / "recorded").glob(f"*{SUFFIX}"))
    return {
        "command": "python -m benchmarks.radius",
        "races": {path.name.removesuffix(SUFFIX): _race(load(path)) for path in paths},
    }


def _race(recording: Recording) -> dict[str, Any]:
    spec = recording.run.spec
    lanes = zip(spec.lanes, recording.window.lanes, strict=True)
    return {
        "date": recording.about["date"],
        "seed": spec.seed,
        "lanes": [_lane(spec, lane, window) for lane, window in lanes if METHODS[lane.method].perturbs],
    }


def _lane(spec: RaceSpec, lane: LaneSpec, window: LaneWindow) -> dict[str, Any]:
    """Return a lane's lengths. ``radius`` is the mean ‖m⊙ε‖. ``length`` and ``square`` are the shares of the full ε's length and squared
    length that the mask keeps; rho equals that length only if ε is divided by the norm of the full gradient."""
    rho, radius, square = spec.lane_rho(lane), window.mean_radius, window.mean_square_radius
    assert radius is not None
    assert square is not None
    is_whole = spec.lane_norm(lane) == "full" and rho > 0
    return {
        "lane": window.name,
        "sparsity": spec.lane_sparsity(lane),
        "rho": rho,
        "radius": round(radius, 4),
        "length": round(radius / rho, 4) if is_whole else None,
        "square": round(square / rho**2, 4) if is_whole else None,
    }


def table(record: dict[str, Any]) -> str:
    rows = ["| race | lane | rho | mean ‖m⊙ε‖ | of the length | of its square |", "|---|---|---|---|---|---|"]
    for name, race in record["races"].items():
        for lane in race["lanes"]:
            length, square = ("–" if lane[key] is None else f"{lane[key]:.1%}" for key in ("length", "square"))
            rows.append(f"| {name} | {lane['lane']} | {lane['rho']:g} | {lane['radius']:.3f} | {length} | {square} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
