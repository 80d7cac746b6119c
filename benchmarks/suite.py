"""Repeated runs of the test suite: ``python -m benchmarks.suite --times 5 --busy 2 --log suite.log``, alone and then next to busy cores.

The output of each run goes to the log, and a line with its time and outcome to the screen. The exit code is 1 if any run failed.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BURN = "while True: pass"


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Keep ``count`` cores busy inside the block."""
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def run_once(target: str, log: Path, cores: int) -> bool:
    begin = time.monotonic()
    with log.open("ab") as file, busy_cores(cores):
        passed = subprocess.run(["make", target], stdout=file, stderr=file, check=False).returncode == 0
    line = f"make {target} beside {cores} busy cores: {'passed' if passed else 'FAILED'} in {time.monotonic() - begin:.0f} s"
    print(line, flush=True)
    with log.open("a", encoding="utf-8") as file:
        print(line, file=file)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="test", choices=("check", "test"))
    parser.add_argument("--times", type=int, default=5, help="runs on the machine as it is (default 5)")
    parser.add_argument(
        "--busy", type=int, default=2, help="runs beside as many busy processes as there are cores (default 2)"
    )
    parser.add_argument("--log", type=Path, default=Path("suite.log"))
    args = parser.parse_args()
    loads = [0] * args.times + [os.cpu_count() or 1] * args.busy
    return int(not all([run_once(args.target, args.log, cores) for cores in loads]))


if __name__ == "__main__":
    sys.exit(main())
