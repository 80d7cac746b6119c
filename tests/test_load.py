"""A class that watches one race: what it is told, and what its ticks cost the server."""

import asyncio
import random
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from app.ui import live_panel, live_payload
from app.ui.lab import Lab as Page
from benchmarks.load import measure
from benchmarks.load.lab import Lab
from benchmarks.load.session import Session, Tick
from ssam.experiment import RaceSpec
from ssam.jobs.client import Client
from ssam.store import Store
from tests.browser import Watched, app_server, chromium
from tests.counts import statements
from tests.fake_race import ENDLESS
from tests.fake_runner import Site

TICK_KB = 100  # that a tick sends, at most
LOOK_STATEMENTS = 15  # of SQL that a look at a race costs, at most, however many watch


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A race that is made up, watched on a real server."""
    site = Site(tmp_path_factory.mktemp("load"))
    try:
        site.start_runner()
        run_id = site.running(ENDLESS)
        with app_server(site.store.home) as address:
            yield Lab(address, site.store, run_id)
    finally:
        site.close()


async def watch(lab: Lab, count: int, seconds: float) -> tuple[list[Session], measure.Stretch]:
    sessions = await measure.opened(lab, count)
    part = await measure.stretch(lab, sessions, seconds, random.Random(0))
    await asyncio.gather(*(session.close() for session in sessions))
    return sessions, part


@pytest.mark.slow
def test_every_tick_is_answered(lab: Lab) -> None:
    """How soon, and what it costs the server, is measured by ``make load``."""
    sessions, part = asyncio.run(watch(lab, 6, 4.0))
    assert [error for session in sessions for error in session.errors] == []
    assert all(session.ticks for session in sessions)
    result = measure.told(part.ticks, part.received)
    assert result["interval_s"] == [0.8]
    assert result["ticks"]["answered"] == len(part.ticks)
    assert 0 < result["kb_per_tick"] < TICK_KB
    assert part.rate > 0


@pytest.mark.slow
def test_a_soak_looks_at_the_memory_while_readers_come_and_go(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SOAK_STRETCH", 2.0)
    result = asyncio.run(measure.soak(lab, 2, 0.1))
    assert result["errors"] == []
    assert result["reloads"] == len(result["samples"]) >= 1
    assert result["server_mb"]["end"] > 50


@pytest.mark.browser
@pytest.mark.slow
def test_a_tick_is_what_a_browser_sends(lab: Lab) -> None:
    with chromium() as browser:
        watched, sent = Watched(browser), []
        watched.page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(data)))
        watched.page.goto(f"{lab.address}/?run={lab.run_id}")
        watched.wait("live?.dataset.points > 0")
        seen = len(sent)
        while len(sent) < seen + 3:
            watched.page.wait_for_timeout(100)
    (session,), _ = asyncio.run(watch(lab, 1, 2.0))
    theirs, ours = BackMsg.FromString(sent[-1]).rerun_script, BackMsg.FromString(session.last).rerun_script
    for message in (theirs, ours):
        message.widget_states.widgets.sort(key=lambda widget: widget.id)
        message.ClearField("cached_message_hashes")  # of the curves, which have moved on
    assert ours == theirs


def test_a_tick_that_is_never_answered_counts() -> None:
    ticks = [Tick("f", 0.8, due=0.0, sent=0.001, latency=seconds) for seconds in (0.1, 0.2, 0.9, None)]
    result = measure.told(ticks, received=6000)
    assert result["ticks"] == {"due": 4, "answered": 3, "in_time": 2}
    assert (result["latency_ms"]["p50"], result["latency_ms"]["max"]) == (200.0, 900.0)
    assert result["kb_per_tick"] == 2.0


def test_all_who_watch_share_one_look(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(live_panel, "time", SimpleNamespace(monotonic=lambda: clock.now))
    run_id, page, looks = store.runs.create(RaceSpec(), "a"), Page(store, Client(store)), live_panel.Looks()
    with statements() as sent:
        first = looks.look(page, run_id, fresh=False)
    assert first is not None
    assert len(sent) <= LOOK_STATEMENTS
    tick = live_panel.pace(first.run, first.window)
    assert tick is not None
    clock.now += 0.4 * tick
    with statements() as sent:
        assert all(looks.look(page, run_id, fresh=False) is first for _ in range(30))
    assert sent == []
    clock.now += 0.2 * tick
    second = looks.look(page, run_id, fresh=False)
    assert second is not first
    store.queue.set_desired_state(run_id, "stop")
    assert looks.look(page, run_id, fresh=False) is second
    third = looks.look(page, run_id, fresh=True)  # as after a click
    assert third is not None
    assert third.run.state == "stopped"
    assert looks.look(page, run_id, fresh=False) is not third  # nobody ticks any more: always as it is now
    assert looks.look(page, "nowhere", fresh=False) is None


def test_a_long_race_is_told_by_some_of_its_evaluations() -> None:
    seen = {"test_accuracy": 0.5, "test_size": 2000}
    rows = [dict.fromkeys(live_payload.EVALUATED, at) | seen for at in range(1000)]
    for count in (1, 2, 150, 151, 1000):
        steps = live_payload.evaluations(rows[:count])["step"]
        assert len(steps) <= live_payload.EVALUATIONS + 2
        assert (steps[0], steps[-1]) == (0, count - 1)
        assert steps == sorted(set(steps))
    before, after = (live_payload.evaluations(rows[:count])["step"][:-2] for count in (300, 400))
    assert {step for step in after if step < before[-1]} <= set(before)  # a drawn point does not move
