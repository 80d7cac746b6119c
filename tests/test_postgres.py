"""What only PostgreSQL has: an address, a password, and a server that may go away for a while."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ssam.experiment import RaceSpec
from ssam.store import Store
from tests.fake_race import LONG, STEPS
from tests.fake_runner import TORCH, Site
from tests.postgres import Server


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_the_address(tmp_path: Path, postgres: Server, scheme: str) -> None:
    url = postgres.new_database().replace("postgresql", scheme, 1)
    with closing(Store(tmp_path, url)) as store:
        run_id = store.runs.create(RaceSpec(), "a")
        assert store.runs.get(run_id) is not None
    assert not (tmp_path / "ssam.db").exists()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "mysql://ada:secret@host/lab",
            "SSAM_DATABASE_URL: 'mysql' is not supported; allowed: sqlite:///FILE, postgresql://",
        ),
        ("postgresql+psycopg2://ada:secret@host/lab", "SSAM_DATABASE_URL: 'postgresql+psycopg2' is not supported"),
        ("postgresql://ada:secret@host:port/lab", "SSAM_DATABASE_URL is not a database URL; allowed: sqlite:///FILE"),
        ("ada:secret@host", "SSAM_DATABASE_URL is not a database URL"),
        ("postgresql://ada:secret@127.0.0.1:1/lab", "the run database lab cannot be opened: connection failed"),
        (
            "sqlite:////no/such/folder/lab.db",
            "the run database /no/such/folder/lab.db cannot be opened: unable to open",
        ),
    ],
)
def test_a_bad_address_is_one_line_without_the_password(tmp_path: Path, url: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"database|DATABASE") as refused:
        Store(tmp_path, url)
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_many_hosts_may_open_a_new_database_at_once(tmp_path: Path, new_database: Callable[[], str]) -> None:
    """Each has a home folder, and so files to lock, of its own."""
    url = new_database()
    with ThreadPoolExecutor(6) as pool:
        for store in pool.map(lambda number: Store(tmp_path / str(number), url), range(6)):
            assert store.runs.newest() == []
            store.close()


def test_a_restart_of_the_server_is_not_noticed_afterwards(tmp_path: Path, postgres: Server) -> None:
    with closing(Store(tmp_path, postgres.new_database())) as store:
        run_id = store.runs.create(RaceSpec(), "a")
        postgres.stop()
        postgres.start()
        assert [run.id for run in store.runs.newest()] == [run_id]
        store.queue.set_desired_state(run_id, "stop")


@pytest.mark.slow
def test_a_race_outlives_its_database_server(tmp_path: Path, postgres: Server) -> None:
    with closing(Site(tmp_path, postgres.new_database())) as site:
        site.start_runner(**TORCH)
        run_id = site.running(LONG)
        postgres.stop()
        time.sleep(1.5)  # the database is away for a while
        postgres.start()
        site.wait_state(run_id, "finished")
        assert site.log(run_id).count("from the beginning") == 1
        for lane in site.store.curves.window(run_id, points=1000).lanes:
            assert lane.steps["loss"] == [1 / number for number in range(1, STEPS[LONG] + 1)]
