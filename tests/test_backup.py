"""A back-up holds all that was acknowledged, goes into either database, and a bad file changes nothing."""

import gzip
import io
import os
import re
import tarfile
import zlib
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from ssam import cli
from ssam.experiment import parse_spec
from ssam.experiment.analysis import Moment
from ssam.experiment.events import Snapshot
from ssam.jobs import processes
from ssam.store import Store, Window, backup
from tests.fake_race import LONG, STEPS, mask, started, step
from tests.fake_runner import TORCH, Site
from tests.golden import assert_one_line_error
from tests.patience import wait_until

LANES = parse_spec({"lanes": "sgd,ssam-f", "seed": LONG})


def window(store: Store, run_id: str) -> Window:
    found = store.curves.window(run_id, points=1000)
    assert found is not None
    return found


def told(store: Store, run_id: str) -> list[dict[str, Any]]:
    """All that a race has told, the times left out."""
    return [
        {name: value for name, value in asdict(lane).items() if name not in ("state", "phase_ms", "step_ms")}
        for lane in window(store, run_id).lanes
    ]


def filled(home: Path, url: str | None = None) -> Store:
    """A lab with one race that has ended, its masks and weights, an upload and a teacher."""
    store = Store(home, url)
    run_id = store.runs.create(LANES, "first", owner="ada")
    with store.writer(run_id) as writer:
        writer.add(started(LANES, STEPS[LONG]))
        for number in range(1, 31):
            writer.add(step("sgd", number))
        writer.add(mask("ssam-f", 1))
        writer.add(Snapshot("ssam-f", 0, 0.0, {"conv.weight": np.ones((2, 6), dtype=np.float32)}))
    store.queue.transition(run_id, ("queued",), "stopped")
    (store.run_folder(run_id) / "log.txt").write_text("what it said\n")
    (store.run_folder(run_id) / "checkpoint.pt").write_bytes(b"newest")
    (store.run_folder(run_id) / "checkpoint.old.pt").write_bytes(b"older")
    (store.image_root / "cats-0123456789abcdef.zip").write_bytes(b"images")
    marks = store.image_root / ".owners" / ("a" * 64)
    marks.mkdir(parents=True)
    (marks / "cats-0123456789abcdef.zip").touch()
    store.make_teacher("grace")
    return store


def contents(home: Path) -> dict[str, bytes]:
    """The files that a back-up is to bring."""
    found = [path for where in ("runs", "images") for path in (home / where).rglob("*") if path.is_file()]
    return {str(path.relative_to(home)): path.read_bytes() for path in found}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "other"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_made_in_the_middle_of_a_race_it_goes_on_elsewhere(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, other: str
) -> None:
    def new(name: str, kind: str) -> Site:
        url = request.getfixturevalue("postgres").new_database() if kind == "postgresql" else None
        return Site(tmp_path / name, url)

    file = tmp_path / "lab.tar.gz"
    with closing(new("here", kind)) as here, closing(new("there", other)) as there:
        run_id, waiting = (here.store.runs.create(LANES, name, owner="ada") for name in ("a race", "another"))
        here.start_runner(**TORCH)
        checkpoint = here.store.run_folder(run_id) / "checkpoint.pt"
        wait_until(lambda: checkpoint.exists() and here.steps(run_id) > 50)
        before = [lane.last_step for lane in window(here.store, run_id).lanes]
        manifest = backup.backup(here.store, file)
        assert manifest["rows"]["runs"] == 2
        assert file.stat().st_mode & 0o777 == 0o600
        assert here.store.runs.get(run_id).state == "running"

        backup.restore(there.store, file)
        after = [lane.last_step for lane in window(there.store, run_id).lanes]
        assert all(now >= then for now, then in zip(after, before, strict=True))
        assert max(after) < STEPS[LONG]
        jobs = [(job.id, job.state, job.owner) for job in there.store.queue.jobs()]
        assert jobs == [(run_id, "queued", "ada"), (waiting, "queued", "ada")]
        newest = there.store.runs.create(LANES, "after the restore")
        assert there.store.runs.newest(limit=1)[0].id == newest
        there.start_runner(**TORCH)
        there.wait_state(run_id, "finished")
        assert "from a checkpoint" in there.log(run_id)
        for lane in window(there.store, run_id).lanes:  # just what it would have told without a break
            assert lane.steps["loss"] == [1 / number for number in range(1, STEPS[LONG] + 1)]
            assert [epoch["step"] for epoch in lane.epochs] == [*range(10, STEPS[LONG] + 1, 10), STEPS[LONG]]
        first = here.store.curves.heatmap(run_id, "ssam-f", "conv.weight", step=1)
        assert first is not None
        assert there.store.curves.heatmap(run_id, "ssam-f", "conv.weight", step=1) == first


def test_what_comes_back_and_what_does_not(tmp_path: Path, database_url: str) -> None:
    file = tmp_path / "lab.tar.gz"
    with closing(filled(tmp_path / "here", database_url)) as here, closing(Store(tmp_path / "there")) as there:
        (run_id,) = [run.id for run in here.runs.newest()]
        (here.home / "teacher.key").write_text("secret\n")
        (here.run_folder(run_id) / ".draft.part").write_bytes(b"half")
        (here.run_folder(run_id) / "link").symlink_to("/etc/passwd")
        backup.backup(here, file)
        expected = contents(here.home)
        for left_out in (".draft.part", "link", "checkpoint.old.pt"):
            del expected[f"runs/{run_id}/{left_out}"]
        backup.restore(there, file)
        assert contents(there.home) == expected
        assert told(there, run_id) == told(here, run_id)
        assert there.analyses.snapshots(run_id) == [Moment(1, 0)]
        assert there.runs.get(run_id).owner == "ada"
        assert there.is_teacher("grace")
        assert not {path.name for path in there.home.iterdir()} & {"teacher.key", ".restore", ".backup"}
        there.queue.resume(run_id)  # its checkpoint is here now, so it goes on here
        assert [job.id for job in there.queue.jobs()] == [run_id]


def test_nothing_is_overwritten_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSAM_DATABASE_URL", raising=False)
    monkeypatch.setenv("SSAM_HOME", str(tmp_path / "here"))
    with closing(filled(tmp_path / "here")) as store:
        (first,) = [run.id for run in store.runs.newest()]
        file = str(tmp_path / "lab.tar.gz")
        assert cli.main(["backup", file]) == 0
        assert re.search("1 races?, 30 steps", capsys.readouterr().out)
        assert cli.main(["backup", file]) == 2
        assert_one_line_error(capsys.readouterr().err, ["ssam backup: ", file, "exists"])

        second = store.runs.create(LANES, "second")
        (store.home / "runs" / second).mkdir()
        assert cli.main(["restore", file]) == 2
        assert_one_line_error(capsys.readouterr().err, ["2 races", "--force"])
        assert store.runs.get(second) is not None
        assert cli.main(["restore", file, "--force"]) == 0
        assert [run.id for run in store.runs.newest()] == [first]  # a program that has the database open sees it too
        assert [path.name for path in (store.home / "runs").iterdir()] == [first]


def test_refused_while_somebody_works(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSAM_DATABASE_URL", raising=False)
    monkeypatch.setenv("SSAM_HOME", str(tmp_path / "there"))
    file = str(tmp_path / "lab.tar.gz")
    with closing(filled(tmp_path / "here")) as here, closing(Store(tmp_path / "there")) as there:
        backup.backup(here, Path(file))
        with FileLock(there.home / "runner.lock"):  # as a runner holds it
            assert cli.main(["restore", file]) == 2
        assert_one_line_error(capsys.readouterr().err, ["ssam restore: ", "runner", there.home, "stop"])
        run_id = there.runs.create(LANES, "under way")
        assert there.queue.assign(run_id, "cpu")
        assert there.queue.acquire(run_id, os.getpid(), processes.start_time(os.getpid()))
        assert cli.main(["restore", file, "--force"]) == 2
        assert_one_line_error(capsys.readouterr().err, ["ssam restore: ", "race", "stop"])
        with pytest.raises(ValueError, match="running"):  # by its heartbeat, as from another machine
            backup.restore(there, Path(file), force=True)
        assert there.runs.get(run_id).state == "starting"


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


HOSTILE = [
    member("../outside"),
    member("/tmp/outside"),
    member("runs/../../outside"),
    member("images/../outside"),
    member("images/.owners/../x.zip"),
    member("runs/id/.hidden"),
    member("teacher.key"),
    member("runs/id/masks", tarfile.SYMTYPE, "/etc"),
    member("runs/id/log.txt", tarfile.SYMTYPE, "/etc/passwd"),
    member("runs/id/log.txt", tarfile.LNKTYPE, "ssam.db"),
    member("runs/id/log.txt", tarfile.FIFOTYPE),
    member("runs/id/log.txt", tarfile.CHRTYPE),
    member("runs/id", tarfile.DIRTYPE),
    member("ssam.db"),  # twice
]


def test_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    with closing(filled(tmp_path / "here")) as here, closing(Store(tmp_path / "there")) as there:
        good = tmp_path / "good.tar.gz"
        backup.backup(here, good)
        data, bad = good.read_bytes(), tmp_path / "bad.tar.gz"
        places = np.random.default_rng(0).integers(0, len(data), 60)
        changed = [data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :] for place in places[:30]]
        cases = [case for case in changed if decompressed(case) != decompressed(data)]  # some bits say nothing
        assert len(cases) > 20
        cases += [data[:place] for place in places[30:]]
        cases += [b"", b"no archive", packed([]), packed([(member("ssam.db"), b"no database")])]
        cases += [packed([*unpacked(data), (info, b"")]) for info in HOSTILE]
        cases += [packed(unpacked(data)[1:]), packed(unpacked(data)[:-1])]  # without the database, without the manifest
        for case in cases:
            bad.write_bytes(case)
            with pytest.raises(ValueError, match=r"bad\.tar\.gz") as refused:
                backup.restore(there, bad)
            assert "\n" not in str(refused.value)
        assert there.runs.newest() == []
        assert contents(there.home) == {}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar.gz", "good.tar.gz", "here", "there"]
        backup.restore(there, good)
        assert len(there.runs.newest()) == 1


def test_a_race_whose_name_is_a_path_is_refused(tmp_path: Path) -> None:
    with closing(filled(tmp_path / "here")) as here, closing(Store(tmp_path / "there")) as there:
        with here.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE runs SET id = '../../outside'")
        backup.backup(here, tmp_path / "lab.tar.gz")
        with pytest.raises(ValueError, match=r"id '\.\./\.\./outside'"):
            backup.restore(there, tmp_path / "lab.tar.gz")
        assert there.runs.newest() == []


def test_a_damaged_database_is_not_backed_up(tmp_path: Path) -> None:
    filled(tmp_path / "here").close()
    database = tmp_path / "here" / "ssam.db"
    data = bytearray(database.read_bytes())
    data[4096 * 4 : 4096 * 12] = os.urandom(4096 * 8)
    database.write_bytes(data)
    with closing(Store(tmp_path / "here")) as store, pytest.raises(ValueError, match="database is damaged"):
        backup.backup(store, tmp_path / "lab.tar.gz")
    assert not (tmp_path / "lab.tar.gz").exists()


def decompressed(data: bytes) -> bytes | None:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None


def unpacked(data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        return [(info, archive.extractfile(info).read()) for info in archive]


def packed(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()
