"""Wall-clock times of operations for which the tests only check counts: ``python -m benchmarks.speed``, on an idle machine.

Prints one line for each; nothing is saved and nothing is judged. ``make load`` measures the server's cost of a page tick.
"""

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil

from ssam.data import load_dataset
from ssam.engine import Race
from ssam.experiment import LaneSpec, RaceSpec, parse_spec, preset
from ssam.export import spec_of
from ssam.store import Person, Store
from tests.fake_race import ENDLESS, LONG, SHORT, started, step
from tests.fake_runner import ADA, TORCH, Site
from tests.patience import wait_until

STEPS = 25_000
RACES = 150
IDLE_SECONDS = 5.0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for place, part in enumerate((texts, data, window, queue, runner)):
            home = Path(folder) / str(place)
            home.mkdir()
            part(home)


def say(what: str, seconds: float) -> None:
    print(f"{what}: {1000 * seconds:.1f} ms", flush=True)


def median(action: Callable[[], object], rounds: int = 5) -> float:
    """Return the median wall-clock time in seconds."""

    def once() -> float:
        begin = time.perf_counter()
        action()
        return time.perf_counter() - begin

    return statistics.median(once() for _ in range(rounds))


def texts(home: Path) -> None:
    def refused(action: Callable[[], object]) -> None:
        try:
            action()
        except ValueError:
            return
        raise AssertionError("it was taken")

    many = ",".join(200_000 * ["sam"])
    say("200,000 lanes refused", median(lambda: refused(lambda: parse_spec({"lanes": many}))))
    page = b"<!--<script " * 1_000_000
    say("a page of a million openings refused", median(lambda: refused(lambda: spec_of(page))))


def data(home: Path) -> None:
    say("bundled data", median(lambda: load_dataset(RaceSpec(), home, progress=lambda message, fraction=None: None)))
    begin = time.process_time()
    list(Race(preset("demo").spec, home=home, threads=1).events())
    say("the demo preset, of one thread", time.process_time() - begin)


def window(home: Path) -> None:
    spec = parse_spec({"lanes": "sgd,ssam-f"})
    with closing(Store(home)) as store:
        run_id = store.runs.create(spec, "a")
        with store.writer(run_id) as writer:
            writer.add(started(spec, STEPS))
            for number in range(1, STEPS + 1):
                writer.add(step("ssam-f", number))
        say(f"window of {STEPS:,} steps", median(lambda: store.curves.window(run_id)))


def queue(home: Path) -> None:
    site = Site(home)
    with closing(site.store):
        for seed in range(RACES):
            spec = RaceSpec(seed=seed, lanes=(LaneSpec(method="sgd"),))
            site.store.runs.create(spec, f"{seed}", Person(f"p{seed % 30}").owner)
        say(f"forecast of {RACES} races", median(lambda: site.client.races.forecast(site.store.queue.jobs()[-1].id), 1))


def runner(home: Path) -> None:
    site = Site(home)
    try:
        begin = time.perf_counter()
        process = psutil.Process(site.start_runner(**TORCH).pid)
        say("runner up", time.perf_counter() - begin)
        before = sum(process.cpu_times()[:2])
        time.sleep(IDLE_SECONDS)
        print(
            f"idle runner: {100 * (sum(process.cpu_times()[:2]) - before) / IDLE_SECONDS:.1f} % of a core", flush=True
        )
        say("queued to first line", statistics.median(first_line(site) for _ in range(5)))
        run_id = site.running(ENDLESS)
        say("pause", median(lambda: (site.client.races.pause(run_id, ADA), site.wait_state(run_id, "paused")), 1))
        site.client.races.resume(run_id, ADA)
        site.wait_state(run_id, "running")
        say("stop", median(lambda: (site.client.races.stop(run_id, ADA), site.wait_state(run_id, "stopped")), 1))
        run_id = site.running(LONG)
        wait_until(lambda: site.run(run_id).checkpointed)
        pid = site.pid(run_id)
        os.kill(pid, signal.SIGKILL)
        say("a killed race noticed", median(lambda: wait_until(lambda: site.job(run_id).pid != pid), 1))
    finally:
        site.close()


def first_line(site: Site) -> float:
    begin = time.perf_counter()
    run_id = site.submit(SHORT)
    wait_until(lambda: site.run(run_id).message or site.run(run_id).started_info)
    took = time.perf_counter() - begin
    site.wait_state(run_id, "finished")
    return took


if __name__ == "__main__":
    main()
