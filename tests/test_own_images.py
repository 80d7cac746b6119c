"""Own images from the upload to the export: what is in them is said before the race and after it, and none is lost unsaid."""

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.ui import live_payload
from ssam.cli import race as command
from ssam.data.images import decode
from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.choosing import new_sweep
from ssam.export import Source, report, spec_of, write
from ssam.imagefolder import picture
from ssam.imagefolder import preview as previews
from ssam.imagefolder.contents import natural_size, size_of
from ssam.imagefolder.layout import scan
from ssam.imagefolder.members import Members
from ssam.jobs.client import Client
from ssam.store import Person, Run, Store
from ssam.store.places import without_folders
from tests.fake_race import started, step
from tests.own_zip import pets
from tests.people import ALICE, BOB, open_page, owner

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1"


def race_of(store: Store, name: str, token: str = ALICE, state: str = "queued", **values: object) -> str:
    spec = parse_spec({"dataset": "images", "data": name, "batch_size": 4, "lanes": "sgd,sam", **values})
    run_id = store.runs.create(spec, f"request {len(store.runs.newest())}", owner(token))
    if state != "queued":
        assert store.queue.transition(run_id, ("queued",), state)
    return run_id


def me() -> Person:
    return Person(owner(ALICE), False)


# Before the race


def test_a_preview_tells_what_a_race_would_find(store: Store) -> None:
    more = {"disc/broken.png": b"nothing", "disc/phone.HEIC": HEIC, "disc/Thumbs.db": b"x", "disc/notes.txt": b"x"}
    name = store.uploads.save("pets.zip", pets(more=more))
    found = store.uploads.preview(name)
    assert found.classes == ("disc", "square")
    assert sum(found.train) + sum(found.test) == 20
    assert found.sides == (20, 20)
    assert not found.problem
    told = " ".join(found.notes)
    assert told.index("HEIC") < told.index("broken.png") < told.index("notes.txt")
    assert "Thumbs" not in told
    assert f"{100 * max(found.test) / sum(found.test):.3g}%" in told


def test_a_preview_and_the_race_tell_the_same(store: Store, tmp_path: Path) -> None:
    from ssam.data.own_images import load_own

    name = store.uploads.save("pets.zip", pets(more={"disc/broken.png": b"nothing"}))
    found, data = store.uploads.preview(name), load_own(store.image_root / name, 32, lambda *told: None)
    assert found.classes == data.classes
    assert (sum(found.train), sum(found.test)) == (len(data.train), len(data.test))
    assert set(found.notes) < set(data.warnings)


def test_thumbnails_are_what_the_network_gets(store: Store) -> None:
    name = store.uploads.save("pets.zip", pets(side=50))
    images = store.uploads.thumbnails(name, 32)
    assert [label for label, _ in images[:4]] == ["disc", "square", "disc", "square"]
    path = store.image_root / name
    first = {label: member for member, label in reversed(scan(path).splits["train"])}
    for number in (0, 1):
        shown = Image.open(io.BytesIO(images[number][1]))
        assert shown.size == (32, 32)
        assert shown.tobytes() == decode(Members(path), first[number], 32).permute(1, 2, 0).numpy().tobytes()


def test_pictures_are_opened_in_a_process_of_their_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **settings: object) -> None:
        raise AssertionError("the server of pages opens no picture of a stranger")

    monkeypatch.setattr(picture.Image, "open", refuse)
    name = store.uploads.save("pets.zip", pets())
    assert sum(store.uploads.preview(name).train) == 16
    assert len(store.uploads.thumbnails(name, 32)) == previews.THUMBNAILS


def test_the_page_needs_no_torch() -> None:
    check = (
        "import app.race.own_images, ssam.store, sys; sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", check], cwd=root, check=False).returncode == 0


def test_what_takes_too_long_is_not_looked_at_and_that_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "SECONDS", 0.0)
    found = store.uploads.preview(store.uploads.save("pets.zip", pets()))
    assert (sum(found.train), sum(found.test)) == (16, 4)
    assert found.sides == (0, 0)
    assert "not checked" in found.notes[-1]


@pytest.mark.parametrize(("side", "size"), [(20, 32), (32, 32), (44, 48), (90, 64)])
def test_small_images_are_not_enlarged_unasked(tmp_path: Path, side: int, size: int) -> None:
    (tmp_path / "pets.zip").write_bytes(pets(side))
    assert size_of(scan(tmp_path / "pets.zip"), lambda *told: None) == natural_size(side) == size
    spec = parse_spec({"dataset": "images", "data": str(tmp_path / "pets.zip")})
    assert command.sized(spec, tmp_path / "pets.zip").input_size == size
    for asked in (28, 64, 128):
        bound = parse_spec({"image_size": asked}, base=spec)
        assert command.sized(bound, tmp_path / "pets.zip") == bound
    assert spec.input_size == 64, "a race that says nothing stays what it was"
    large = parse_spec({"model": "resnet50"}, base=spec)
    assert command.sized(large, tmp_path / "pets.zip").input_size == 64, "as small as the network can take"


# On the page


def with_upload(data: bytes, name: str = "pets.zip") -> AppTest:
    app = open_page(batch_size="2")
    app.selectbox(key="dataset").set_value("images").run()
    app.file_uploader(key="upload").upload(name, data).run()
    assert not app.exception
    return app


def captions(app: AppTest) -> str:
    return "\n".join([*(each.value for each in app.caption), *(each.value for each in app.markdown)])


def test_an_upload_is_shown_before_the_race(store: Store) -> None:
    app = with_upload(pets(more={"disc/phone.HEIC": HEIC}))
    said = captions(app)
    assert "**16** training" in said
    assert "**4** test" in said
    assert "HEIC" in said
    assert "75%" in said
    assert len(app.image[0].captions) == previews.THUMBNAILS
    (table,) = [frame.value for frame in app.dataframe if "Class" in frame.value]
    assert table["Class"].tolist() == ["disc", "square"]
    assert table["Training"].tolist() == [12, 4]
    assert app.number_input(key="image_size").value == 32
    app.button(key="start_race").click().run()
    assert store.runs.newest()[0].spec.input_size == 32


def test_another_data_set_gives_the_input_size_back(store: Store) -> None:
    app = with_upload(pets())
    app.selectbox(key="dataset").set_value("fashion-mnist-10k").run()
    assert app.number_input(key="image_size").value is None
    app.selectbox(key="dataset").set_value("images").run()
    assert app.number_input(key="image_size").value == 32


def test_an_address_of_an_earlier_race_keeps_its_input_size(store: Store) -> None:
    name = store.uploads.save("pets.zip", pets(), owner(ALICE))
    app = open_page(dataset="images", data=name, batch_size="2")
    app.button(key="start_race").click().run()
    assert store.runs.newest()[0].spec.image_size is None


def test_an_upload_with_an_unreadable_class_cannot_be_started(store: Store) -> None:
    app = with_upload(pets(more={f"bird/{number}.jpg": HEIC for number in range(5)}))
    assert app.button(key="start_race").disabled
    assert [error for error in app.error if "bird" in error.value and "HEIC" in error.value]


def test_an_upload_that_races_use_is_not_deleted_without_saying_which(store: Store) -> None:
    name = store.uploads.save("pets.zip", pets(), owner(ALICE))
    app = open_page(dataset="images", data=name, batch_size="2")
    assert "1 race" not in captions(app)
    race_of(store, name, seed=41)
    race_of(store, name, seed=42, state="finished")
    race_of(store, name, token=BOB, seed=43)
    app.run()
    said = captions(app)
    assert "3 races" in said
    assert "seed 41" in said
    assert "seed 42" in said
    assert "seed 43" not in said, "whose a race is is nobody's business"
    assert "2 of them" in said
    app.button(key="delete_upload_for_good").click().run()
    assert store.uploads.names() == []


# No race without its data


def test_a_race_whose_images_are_gone_is_refused_before_it_queues(store: Store) -> None:
    client = Client(store)
    name = store.uploads.save("pets.zip", pets(), owner(ALICE))
    paused, stopped = race_of(store, name, state="paused"), race_of(store, name, state="stopped", seed=1)
    spec = store.runs.get(paused).spec
    base = parse_spec({"lanes": "sam"}, base=spec)
    sweep = new_sweep({"base": base, "vary": ["rho=0.1,0.2"], "method": "grid", "races": 2})
    kept = client.sweeps.start(sweep, "first", me())
    client.sweeps.stop(kept, me())
    store.uploads.delete(name, owner(ALICE))
    refused = [
        lambda: client.races.submit(spec.model_copy(update={"seed": 9}), "again", me()),
        lambda: client.races.submit(spec, "once more", me(), again=True),
        lambda: client.races.resume(paused, me()),
        lambda: client.races.resume(stopped, me()),
        lambda: client.sweeps.start(sweep, "second", me()),
        lambda: client.sweeps.resume(kept, me()),
        lambda: client.sweeps.extend(kept, me(), races=2),
    ]
    before = [(run.id, run.state) for run in store.runs.newest()]
    for action in refused:
        with pytest.raises(ValueError, match="on this server") as error:
            action()
        assert str(store.home) not in str(error.value)
    assert [(run.id, run.state) for run in store.runs.newest()] == before


def test_no_folder_of_the_server_is_in_what_pages_show(store: Store) -> None:
    run_id = race_of(store, "pets.zip", state="running")
    message = f"FileNotFoundError: [Errno 2] No such file or directory: '{store.image_root}/pets.zip'"
    store.queue.transition(run_id, ("running",), "failed", message=message)
    store.run_folder(run_id).mkdir(parents=True)
    (store.run_folder(run_id) / "log.txt").write_text(f'File "{store.home}/x/y.py", line 3\n{message}\n')
    for said in (store.runs.get(run_id).message, store.runs.log_tail(run_id), store.runs.newest()[0].message):
        assert str(store.home) not in said
        assert "pets.zip'" in said
    assert without_folders("train/CLASS/a.jpg or https://a.b/c/d") == "train/CLASS/a.jpg or https://a.b/c/d"


# After the race


@pytest.fixture
def raced(store: Store) -> Run:
    run_id = race_of(store, "pets.zip", state="running")
    notes = ("test accuracy stands on 4 images", "1 file skipped (empty files): 'disc/<b>.png'")
    with store.writer(run_id) as writer:
        spec: RaceSpec = store.runs.get(run_id).spec
        writer.add(dataclasses.replace(started(spec, 5), warnings=notes))
        for lane in spec.lane_names:
            writer.add(step(lane, 1))
    return store.runs.get(run_id)


def test_the_notes_stand_in_every_export(store: Store, raced: Run, tmp_path: Path) -> None:
    source = Source(store, raced)
    assert write(source, ["csv", "race", "report"], tmp_path / "out") == {}
    notes = raced.started_info["warnings"]
    assert json.loads((tmp_path / "out" / "metadata.json").read_text())["data_notes"] == notes
    assert json.loads((tmp_path / "out" / "race.json").read_text())["data_notes"] == notes
    assert spec_of((tmp_path / "out" / "race.json").read_bytes()) == raced.spec
    page = report.html(source)
    assert notes[0] in page
    assert "disc/&lt;b&gt;.png" in page


def test_the_live_panel_tells_what_the_numbers_stand_on(store: Store, raced: Run) -> None:
    told = live_payload.race(raced, store.curves.window(raced.id), "")["notes"]
    assert [note for note in told if "4 images" in note]
    assert [note for note in told if f"{raced.started_info['train_size']:,}" in note]
