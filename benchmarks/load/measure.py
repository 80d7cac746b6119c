"""The load of a class that watches one race: the time of its ticks, and how much they slow the race down."""

import asyncio
import random
import statistics
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.load.lab import Lab, Meter, memory_mb
from benchmarks.load.session import Session, Tick

AT_ONCE = 4  # pages that open at the same time
STRAGGLERS = 60.0  # seconds to wait for the last answers
SOAK_STRETCH = 30.0  # seconds between two memory readings, and between two readers that come and go
WARM = 0.2  # share of a soak after which memory must not grow


@dataclass
class Stretch:
    """One measured stretch. ``rate`` is race steps per second, ``cpu`` percent of one core by process, ``ticks`` the ticks sent meanwhile."""

    seconds: float
    rate: float
    cpu: dict[str, float]
    ticks: list[Tick]
    received: int


async def opened(lab: Lab, count: int) -> list[Session]:
    """Open ``count`` tabs that show the race."""
    sessions = [Session(lab.address, f"run={lab.run_id}") for _ in range(count)]
    door = asyncio.Semaphore(AT_ONCE)

    async def come(session: Session) -> None:
        async with door:
            await session.open()

    await asyncio.gather(*map(come, sessions))
    return sessions


async def stretch(lab: Lab, sessions: list[Session], seconds: float, chance: random.Random) -> Stretch:
    """Let ``sessions`` tick for ``seconds``, each in its own phase. Without sessions the stretch is a quiet one."""
    sent, received = [len(session.ticks) for session in sessions], sum(session.received for session in sessions)
    meter = Meter(lab.processes())
    begin, before = await asyncio.to_thread(lab.edge)
    until = time.monotonic() + seconds
    await asyncio.gather(*(session.tick(until, chance.random()) for session in sessions), asyncio.sleep(seconds))
    end, after = await asyncio.to_thread(lab.edge)
    cpu = meter.read()
    await asyncio.gather(*(session.answered(STRAGGLERS) for session in sessions))
    ticks = [tick for session, known in zip(sessions, sent, strict=True) for tick in session.ticks[known:]]
    received = sum(session.received for session in sessions) - received
    return Stretch(end - begin, (after - before) / (end - begin), cpu, ticks, received)


async def measure(lab: Lab, count: int, seconds: float, pairs: int) -> dict:
    """Measure alternating quiet and loaded stretches of the same race; the first and the last are quiet."""
    sessions, chance = await opened(lab, count), random.Random(count)
    server = lab.processes()["server"]
    memory = memory_mb(server)
    quiet = [await stretch(lab, [], seconds, chance)]
    loaded = []
    for _ in range(pairs):
        loaded.append(await stretch(lab, sessions, seconds, chance))
        quiet.append(await stretch(lab, [], seconds, chance))
    ratios = [
        2 * between.rate / (before.rate + after.rate)
        for before, between, after in zip(quiet[:-1], loaded, quiet[1:], strict=True)
    ]
    errors = [error for session in sessions for error in session.errors]
    await asyncio.gather(*(session.close() for session in sessions))
    return {
        "sessions": count,
        "seconds": seconds,
        "pairs": pairs,
        **told([tick for part in loaded for tick in part.ticks], sum(part.received for part in loaded)),
        "errors": errors,
        "server_ms_per_tick": round(tick_ms(loaded), 2),
        "server_mb": {"before": round(memory, 1), "after": round(memory_mb(server), 1)},
        "cpu_percent": {"quiet": _shares(quiet), "loaded": _shares(loaded)},
        "steps_per_s": {
            "quiet": [round(part.rate, 2) for part in quiet],
            "loaded": [round(part.rate, 2) for part in loaded],
        },
        "throughput_ratio": {
            "median": round(statistics.median(ratios), 4),
            "min": round(min(ratios), 4),
            "max": round(max(ratios), 4),
        },
    }


def told(ticks: list[Tick], received: int) -> dict:
    """Return statistics of ticks: latencies in ms, how many were answered at all and how many before the next was due, and their size."""
    answered = [tick.latency for tick in ticks if tick.latency is not None]
    late = [tick.sent - tick.due for tick in ticks]
    in_time = sum(tick.latency is not None and tick.latency <= tick.interval for tick in ticks)
    return {
        "interval_s": sorted({round(tick.interval, 2) for tick in ticks}),
        "ticks": {"due": len(ticks), "answered": len(answered), "in_time": in_time},
        "latency_ms": _spread(answered),
        "client_lag_ms": _spread(late),
        "kb_per_tick": round(received / max(1, len(answered)) / 1000, 2),
    }


def tick_ms(parts: list[Stretch]) -> float:
    """Return the server's CPU time per tick, in ms."""
    used = sum(part.cpu["server"] / 100 * part.seconds for part in parts)
    return 1000 * used / max(1, sum(len(part.ticks) for part in parts))


def _spread(seconds: list[float]) -> dict[str, float]:
    values = 1000 * np.array(seconds or [np.nan])
    marks = {f"p{share}": np.percentile(values, share) for share in (50, 95, 99)} | {"max": values.max()}
    return {name: round(float(value), 1) for name, value in marks.items()}


def _shares(parts: list[Stretch]) -> dict[str, float]:
    return {name: round(statistics.mean(part.cpu[name] for part in parts), 1) for name in parts[0].cpu}


async def soak(lab: Lab, count: int, minutes: float) -> dict:
    """Run the same class for a long time. Meanwhile one reader after another reloads the page. Memory is read every half
    minute."""
    sessions, chance = await opened(lab, count), random.Random(count)
    server, ticks, errors, received, samples = lab.processes()["server"], [], [], 0, []
    begin = time.monotonic()
    while time.monotonic() - begin < 60 * minutes:
        part = await stretch(lab, sessions, SOAK_STRETCH, chance)
        ticks += part.ticks
        received += part.received
        leaver = sessions.pop(0)
        await leaver.close()
        errors += leaver.errors
        sessions += await opened(lab, 1)
        samples.append(
            {
                "minute": round((time.monotonic() - begin) / 60, 1),
                "server_mb": round(memory_mb(server), 1),
                "p95_ms": told(part.ticks, 0)["latency_ms"]["p95"],
            }
        )
        print(samples[-1], flush=True)
    errors += [error for session in sessions for error in session.errors]
    await asyncio.gather(*(session.close() for session in sessions))
    warm = [sample["server_mb"] for sample in samples[int(WARM * len(samples)) :]]
    few = max(1, len(warm) // 5)
    first, last = statistics.median(warm[:few]), statistics.median(warm[-few:])
    return {
        "sessions": count,
        "minutes": round((time.monotonic() - begin) / 60, 1),
        **told(ticks, received),
        "errors": errors,
        "reloads": len(samples),
        "server_mb": {"warm": first, "end": last, "growth": round(last / first - 1, 4)},
        "samples": samples,
    }
