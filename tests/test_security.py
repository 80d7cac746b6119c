"""What docs/security.md promises of uploads, of texts from strangers and of the server's front door. Layouts and refusals of zips
are in test_image_folder.py, odd images in test_data_images.py."""

import ast
import http.client
import io
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
import zlib
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image
from playwright.sync_api import Browser
from streamlit.testing.v1 import AppTest

from app.shell import url_state
from app.ui import component, texts
from ssam.data.images import decode, decode_all
from ssam.experiment import LaneSpec, RaceSpec, parse_spec, presets
from ssam.experiment.race import MAX_LANES
from ssam.imagefolder import picture, uploads
from ssam.imagefolder.archive import UPLOAD
from ssam.imagefolder.layout import scan
from ssam.imagefolder.members import Members
from ssam.imagefolder.skipped import Skipped, sentences
from ssam.store import Store
from tests.browser import ROOT, Watched, app_server
from tests.hostile import quick, refused
from tests.patience import SECONDS

SOURCES = [path for folder in ("ssam", "app", "pages", "assets") for path in (ROOT / folder).rglob("*.py")]
HOSTILE = '<img src=x onerror="window.pwned=1">![p](https://evil.example/p.png)[a](javascript:window.pwned=2)\u202e$x$'


def pictures(count: int = 3) -> dict[str, bytes]:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 60)).save(file, "PNG")
    return {f"{name}/{number}.png": file.getvalue() for name in ("cat", "dog") for number in range(count)}


def zipped(members: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


# The sources


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_nothing_is_unpickled_and_no_text_is_run() -> None:
    assert len(SOURCES) > 60
    told: dict[str, list[bool]] = {"torch.load": [], "np.load": []}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            modules = {*names, getattr(node, "module", None)} if names else set()
            assert not modules & {"cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml"}, path
            assert getattr(node, "module", None) != "pickle", path
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
                assert node.attr == "UnpicklingError", path
        for name, call in calls(path):
            assert name not in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"), path
            assert name.split(".")[-1] not in ("read_pickle", "loads_pickle", "unsafe_load"), path
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert given.get("shell", "False") == "False", path
            assert given.get("allow_pickle", "False") == "False", path
            if name in told:
                wanted = {"torch.load": ("weights_only", "True"), "np.load": ("allow_pickle", "False")}[name]
                told[name].append(given.get(wanted[0]) == wanted[1])
    assert all(told["torch.load"])
    assert all(told["np.load"])
    assert told["np.load"], "this test looks for calls that have another name now"


def test_images_are_opened_in_one_place_and_in_few_formats() -> None:
    opened = [(path.name, call) for path in SOURCES for name, call in calls(path) if name == "Image.open"]
    assert [name for name, _ in opened] == ["picture.py"]
    assert [word.arg for word in opened[0][1].keywords] == ["formats"]
    assert set(picture.FORMATS) == {"JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM"}


def test_no_html_is_let_through() -> None:
    """Streamlit shows HTML in Markdown as text unless it is told otherwise; the live panel's own scripts put texts in as text."""
    for path in SOURCES:
        for name, call in calls(path):
            assert name not in ("st.html", "st.components.v1.html", "components.html"), path
            assert "unsafe_allow_html" not in [word.arg for word in call.keywords], path
    sources = (path for path in (ROOT / "app").rglob("*.js") if "static" not in path.parts)
    scripts = {str(path.relative_to(ROOT / "app")): path.read_text(encoding="utf-8") for path in sources}
    assert scripts
    with_html = {name for name, text in scripts.items() if "innerHTML" in text}
    assert with_html <= {"ui/live/live.js", "images/tiles.js", "masks/masks.js", "ui/parts.js", "wall/wall.js"}, (
        "look at what it puts in, then add it here"
    )
    for text in scripts.values():
        assert not any(
            word in text for word in ("insertAdjacentHTML", "outerHTML", "document.write", "eval(", "srcdoc")
        )


def test_the_page_on_security_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)(…?)`", page)
    assert len(named) > 20
    for start, more in named:
        assert re.search(rf"^def {start}{r'' if more else r'[(]'}", tests, re.MULTILINE), start


# What an image may cost


def png(width: int, height: int, chunks: bytes = b"", data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def text_chunk(kind: bytes, packed: bytes) -> bytes:
    content = b"x\0\0" + packed
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


DECODE = """
import os, resource, sys
from pathlib import Path
os.cpu_count = lambda: 8  # as many threads decode at once, whatever this machine has
from ssam.data.images import decode_all
from ssam.imagefolder.members import Members
from ssam.imagefolder.skipped import Skipped
folder = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(folder.iterdir()):
    members = [("cat/0.png", 0)] if path.suffix == ".zip" else [(file.name, 0) for file in sorted(path.iterdir())]
    pixels, outcomes = decode_all(Members(path), members, 16, "", lambda *told: None)
    skipped = [each.reason for each in outcomes if isinstance(each, Skipped)]
    print(path.name, len(pixels), *skipped, sep="|")
print("grown", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_bombs_take_no_memory(tmp_path: Path) -> None:
    """A few kilobytes that unpack to hundreds of megabytes, and sizes that are lies."""
    huge, good = zlib.compress(bytes(200 * 2**20), 1), pictures()["cat/0.png"]
    large = io.BytesIO()
    Image.new("RGB", (3000, 3000), (1, 2, 3)).save(large, "PNG")
    gif = b"GIF89a" + struct.pack("<HH", 9000, 9000) + b"\x80\0\0" + bytes(6)
    gif += b"," + struct.pack("<HHHH", 0, 0, 9000, 9000) + b"\0\x08\x02\x4c\x01\0;"
    bombs = {
        "colours": png(8, 8, text_chunk(b"iCCP", huge)),
        "text": png(8, 8, text_chunk(b"zTXt", huge)),
        "more data than pixels": png(8, 8, data=huge),
        "pixels": png(9000, 9000, data=huge),
        "more pixels": png(60_000, 60_000, data=huge),
        "screen": gif,
        "bitmap": b"BM"
        + struct.pack("<IHHI", 100, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, *6 * [0]),
    }
    for name, data in bombs.items():
        (tmp_path / "bombs" / name).mkdir(parents=True)
        (tmp_path / "bombs" / name / "0.png").write_bytes(data)
    (tmp_path / "bombs" / "eight at once").mkdir()
    for number in range(8):
        (tmp_path / "bombs" / "eight at once" / f"{number}.png").write_bytes(large.getvalue())
    for packing, size in ((zipfile.ZIP_DEFLATED, 200 * 2**20), (zipfile.ZIP_BZIP2, 2**20)):
        with zipfile.ZipFile(tmp_path / "bombs" / f"lie {packing}.zip", "w", packing) as archive:
            archive.writestr("cat/0.png", good + bytes(size))
            archive.filelist[0].file_size, archive.filelist[0].CRC = len(good), zlib.crc32(good)
    done = subprocess.run(
        [sys.executable, "-c", DECODE, tmp_path / "bombs"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    *lines, grown = done.stdout.splitlines()
    told = {name: rest for name, *rest in (line.split("|") for line in lines)}
    assert told["eight at once"][0] == "8"
    assert told[f"lie {zipfile.ZIP_DEFLATED}.zip"] == ["1"], "no more than its told size is unpacked"
    assert "deflated" in told[f"lie {zipfile.ZIP_BZIP2}.zip"][1]
    for name in ("colours", "text", "pixels", "more pixels", "screen", "bitmap"):
        assert told[name][0] == "0", name
        assert len(told[name][1]) < 250, name
    assert int(grown.split()[1]) < 220, done.stdout


def test_animations_give_their_first_picture(tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    for kind in ("gif", "webp", "png", "tif"):
        red.save(tmp_path / f"x.{kind}", save_all=True, append_images=500 * [blue])
        with Image.open(tmp_path / f"x.{kind}") as made:
            assert made.n_frames > 1
        pixels = decode(Members(tmp_path), f"x.{kind}", 8)
        assert pixels[0].min() > 240, kind
        assert pixels[2].max() < 15, kind


def test_what_lies_behind_a_name_may_change_after_the_look(tmp_path: Path) -> None:
    """A link, a pipe or another file may take an image's place between the listing of a folder and its reading."""
    folder, secret = tmp_path / "pets", tmp_path / "secret"
    secret.mkdir()
    for place in (folder / "cat", folder / "dog", secret):
        place.mkdir(parents=True, exist_ok=True)
        for number in range(3):
            (place / f"{number}.png").write_bytes(pictures()["cat/0.png"])
    listed = [member for samples in scan(folder).splits.values() for member, _ in samples]
    assert sorted(listed)[:3] == ["cat/0.png", "cat/1.png", "cat/2.png"]
    (folder / "cat" / "0.png").unlink()
    (folder / "cat" / "0.png").symlink_to(secret / "0.png")
    (folder / "cat" / "1.png").unlink()
    os.mkfifo(folder / "cat" / "1.png")
    shutil.rmtree(folder / "dog")
    (folder / "dog").symlink_to(secret)
    members = Members(folder)
    for member, reason in (("cat/0.png", "outside"), ("cat/1.png", "ordinary"), ("dog/0.png", "outside"), ("../secret/0.png", "outside")):  # fmt: skip
        with pytest.raises(ValueError, match=reason):
            decode(members, member, 8)
    assert decode(members, "cat/2.png", 8).shape == (3, 8, 8)


def test_a_zip_may_change_after_the_look(tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(zipped(pictures()))
    listed = [sample for samples in scan(path).splits.values() for sample in samples]
    path.write_bytes(zipped({"cat/0.png": b"no picture", "cat/1.png": bytes(10)}, zipfile.ZIP_BZIP2))
    pixels, outcomes = decode_all(Members(path), listed, 8, "", lambda *told: None)
    assert len(pixels) == 0
    assert [isinstance(each, Skipped) for each in outcomes] == 6 * [True]


# Uploads


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def test_an_upload_has_a_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tomllib.loads((ROOT / "app" / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["maxUploadSize"] * 2**20 == uploads.MAX_BYTES
    good = zipped(pictures())
    monkeypatch.setattr(uploads, "MAX_BYTES", len(good) - 1)
    with pytest.raises(ValueError, match=r"^.*upload .*\d+ MiB$"):
        uploads.Uploads(folder).save("pets.zip", io.BytesIO(good))
    assert list(folder.iterdir()) == []


def test_an_upload_never_fills_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, usage = zipped(pictures()), namedtuple("usage", "free")
    free = iter((uploads.RESERVE_BYTES + 3 * 2**20, uploads.RESERVE_BYTES + 2**19))  # someone else writes, too
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda path: usage(next(free)))
    with pytest.raises(ValueError, match=r"disk .*full"):
        uploads.Uploads(folder).save("pets.zip", io.BytesIO(good + bytes(2 * 2**20)))
    assert list(folder.iterdir()) == []
    monkeypatch.undo()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads.os, "fsync", full)
    with pytest.raises(ValueError, match="disk is full"):
        uploads.Uploads(folder).save("pets.zip", good)
    assert list(folder.iterdir()) == []


def test_owners_have_uploads_and_a_limit_of_their_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = zipped(pictures())
    monkeypatch.setattr(uploads, "OWNER_BYTES", 2 * len(good))
    one, two = (uploads.Uploads(folder).save(name, good, "ada") for name in ("one.zip", "two.zip"))
    assert uploads.Uploads(folder).save("one.zip", good, "ada") == one, "the same again takes no more room"
    with pytest.raises(ValueError, match=r"upload .*yours .*more than"):
        uploads.Uploads(folder).save("three.zip", good, "ada")
    assert uploads.Uploads(folder).save("one.zip", good, "../bob") == one
    assert uploads.Uploads(folder).names("ada") == [one, two]
    assert uploads.Uploads(folder).names("../bob") == [one]
    assert uploads.Uploads(folder).names("eve") == []
    assert uploads.Uploads(folder).names() == [one, two]
    (folder / two).unlink()
    assert uploads.Uploads(folder).names("ada") == [one], "what has been cleaned away is not offered"


def test_uploads_leave_room_for_races_and_can_be_deleted(folder: Path) -> None:
    good = zipped(pictures())
    one = uploads.Uploads(folder).save("one.zip", good, "ada", 2.5 * len(good))
    uploads.Uploads(folder).save("one.zip", good, "bob", 2.5 * len(good))
    two = uploads.Uploads(folder).save("two.zip", good, "bob", 2.5 * len(good))
    with pytest.raises(ValueError, match=r"all uploads .*more than"):
        uploads.Uploads(folder).save("three.zip", good, "ada", 2.5 * len(good))
    for name, owner in ((one, "ada"), (two, "ada"), ("../ssam.db", "ada")):
        uploads.Uploads(folder).delete(name, owner)
    assert uploads.Uploads(folder).names("ada") == [], "their own is out of their list"
    assert uploads.Uploads(folder).names("bob") == [one, two], "what others have as well stays"
    uploads.Uploads(folder).delete(one, "bob")
    assert not (folder / one).exists()


def test_drafts_of_servers_that_died_are_swept_up(folder: Path) -> None:
    for name, age in (("old", uploads.DRAFT_SECONDS + 60), ("new", 60)):
        (folder / f"{uploads.DRAFT}{name}").mkdir()
        (folder / f"{uploads.DRAFT}{name}" / "x.zip").write_bytes(b"half")
        os.utime(folder / f"{uploads.DRAFT}{name}", 2 * (time.time() - age,))
    kept = uploads.Uploads(folder).save("pets.zip", zipped(pictures()))
    assert {path.name for path in folder.iterdir()} == {kept, ".owners", f"{uploads.DRAFT}new"}


@pytest.mark.parametrize("name", [HOSTILE, "../../etc/passwd", "C:\\x\\y.zip", "a\0b.zip", "x" * 5000, ".zip", "", "\ud800.zip", "con", "-rf"])  # fmt: skip
def test_no_file_name_reaches_the_disk(folder: Path, name: str) -> None:
    kept = uploads.Uploads(folder).save(name, zipped(pictures()))
    assert set(kept) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert not kept.startswith(("-", "."))
    assert len(kept) <= 61
    assert uploads.Uploads(folder).sizes(kept) == (4, 2)


# Thousands of bad inputs

words = some.one_of(
    some.text(max_size=80),
    some.text("abcdefghijklmnopqrstuvwxyz0123456789-_.:=,/\\\0\n\u202e<>[]()$", max_size=80),
    some.sampled_from([HOSTILE, "", "nan", "inf", "-0", "1e999", "9" * 5000, "1_0", "٣", "true", "None", "[]", "{}", "sgd,sam"]),
)  # fmt: skip
values = some.one_of(
    some.one_of(words, some.none(), some.booleans(), some.integers(), some.floats(), some.binary(max_size=20)),
    some.lists(words, max_size=4),
    some.dictionaries(words, words, max_size=3),
    some.just([[[{}]]]),
)
names = some.one_of(some.sampled_from([*RaceSpec.model_fields]), words)
methods = some.sampled_from(["sgd", "sam", "ssam", "ssam-f", "ssam-d"])
lane_texts = some.one_of(
    words,
    some.builds(
        lambda method, parts: ":".join([method, *(f"{name}={value}" for name, value in parts)]),
        methods | words,
        some.lists(some.tuples(some.sampled_from([*LaneSpec.model_fields]) | words, words), max_size=3),
    ),
)


@quick
@given(some.dictionaries(names, values, max_size=6))
def test_any_settings_are_a_race_or_a_line(given: dict[str, object]) -> None:
    try:
        spec = parse_spec(given)
    except ValueError as error:
        refused(error)
    else:
        assert parse_spec(spec.to_strings()) == spec


@quick
@given(lane_texts)
def test_any_text_is_a_lane_or_a_line(text: str) -> None:
    for read in (LaneSpec.parse, lambda text: parse_spec({"lanes": text})):
        try:
            lane = read(text)
        except ValueError as error:
            refused(error)
        else:  # so no title of a lane can hold anything that Plotly or Markdown would take for more than text
            assert set(str(lane) if isinstance(lane, LaneSpec) else lane.to_strings().get("lanes", "")) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.:=,+")  # fmt: skip


def test_a_text_of_many_lanes_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    parse = LaneSpec.parse
    monkeypatch.setattr(LaneSpec, "parse", lambda text: read.append(text) or parse(text))
    with pytest.raises(ValueError, match="lanes"):
        parse_spec({"lanes": ",".join(200_000 * ["sam"])})
    assert len(read) <= MAX_LANES + 1


@quick
@given(
    query=some.dictionaries(
        names | some.sampled_from(["run", "preset"]), words | some.sampled_from([*presets()]), max_size=6
    )
)
def test_any_address_is_a_race_and_perhaps_a_line(store: Store, query: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(url_state, "st", SimpleNamespace(query_params=query, session_state={}))
        spec, run, problem = url_state.read(store)
    assert isinstance(spec, RaceSpec)
    assert run is None
    if problem:
        refused(ValueError(problem))


def broken(data: bytes, rng: random.Random) -> bytes:
    """The bytes with a few of them changed, cut out or doubled."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(made))
        change: Callable[[], None] = rng.choice([
            lambda at=at: made.__setitem__(at, rng.randrange(256)),
            lambda at=at: made.__delitem__(slice(at, at + rng.choice((1, 4, 50)))),
            lambda at=at: made.__setitem__(slice(at, at), made[at : at + rng.choice((1, 4, 50))]),
            lambda at=at: made.__setitem__(slice(at, at + 4), rng.choice((b"\xff\xff\xff\xff", bytes(4), b"PK\1\2", b"\0\0\0\x80"))),
        ])  # fmt: skip
        change()
        if not made:
            break
    return bytes(made)


@quick
@given(name=words, seed=some.integers(0, 2**32), other=some.none() | some.binary(max_size=300))
def test_any_upload_is_kept_or_a_line(folder: Path, name: str, seed: int, other: bytes | None) -> None:
    rng, members = random.Random(seed), pictures(2)
    members = {(HOSTILE + member if rng.random() < 0.1 else member): data for member, data in members.items()}
    whole = zipped(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    tail = whole.index(b"PK\1\2")  # half of them are broken in the list of members
    given = (
        other
        if other is not None
        else (whole[:tail] + broken(whole[tail:], rng) if rng.random() < 0.5 else broken(whole, rng))
    )
    before = {path.name for path in folder.iterdir()}
    try:
        kept = uploads.Uploads(folder).save(name, io.BytesIO(given))
    except ValueError as error:
        refused(error)
        assert {path.name for path in folder.iterdir()} == before, "nothing may be left behind"
        return
    listed = scan(folder / kept, UPLOAD)
    samples = [sample for split in listed.splits.values() for sample in split]
    pixels, outcomes = decode_all(Members(folder / kept), samples, 8, "", lambda *told: None)
    skipped = [each for each in outcomes if isinstance(each, Skipped)]
    assert len(pixels) + len(skipped) == len(samples)
    for line in (*sentences(skipped), *sentences(listed.skipped), *listed.notes):
        refused(ValueError(line))


@quick
@given(members=some.lists(words, min_size=1, max_size=6), kind=some.sampled_from(["folder", "zip"]))
def test_any_names_are_a_listing_or_a_line(tmp_path: Path, members: list[str], kind: str) -> None:
    path = Path(tempfile.mkdtemp(dir=tmp_path)) / "x"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for number, member in enumerate(members):
                archive.writestr(f"{number}", b"x")
                archive.filelist[-1].filename = member.encode("utf-8", "replace").decode()
    else:
        for member in members:
            parts = [
                part.replace("\0", "")[:60] or "x" for part in member.split("/")[:5] if part not in ("", ".", "..")
            ]
            place = path.joinpath("cat", *parts).with_suffix(".png")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    try:
        listing = scan(path)
    except ValueError as error:
        refused(error)
    else:
        for line in (*sentences(listing.skipped), *listing.notes):
            refused(ValueError(line))


# The front door


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    with app_server(home, races=False) as server:
        yield server.removeprefix("http://")


def answer(
    server: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server, timeout=SECONDS)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    try:
        return response.status, b"" if response.status == 101 else response.read()
    finally:
        connection.close()


@pytest.mark.slow
def test_other_sites_cannot_use_a_readers_browser(server: str) -> None:
    """No upload without the token that only our own page knows, no connection from a page of another site."""
    upload = "/_stcore/upload_file/nobody/nothing"
    assert answer(server, "PUT", upload)[0] == 403
    assert answer(server, "PUT", upload, {"Cookie": "_streamlit_xsrf=x", "X-Xsrftoken": "y"})[0] == 403
    ask = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 22 + "==",
    }
    assert answer(server, "GET", "/_stcore/stream", ask | {"Origin": "https://evil.example"})[0] == 403
    assert answer(server, "GET", "/_stcore/stream", ask | {"Origin": f"http://{server}"})[0] == 101


@pytest.mark.slow
def test_only_the_static_files_are_served(server: str) -> None:
    assert answer(server, "GET", f"/app/static/{component.VERSION}/ui/live/live.js")[0] == 200
    for path in (
        "../main.py",
        "%2e%2e/main.py",
        "..%2fmain.py",
        "..\\main.py",
        "%2e%2e%5cmain.py",
        "/etc/passwd",
        "..%00/main.py",
    ):
        status, body = answer(server, "GET", f"/app/static/{path}")
        assert status in (400, 403, 404), path
        assert b"import" not in body
        assert b"root:" not in body


def test_the_server_is_set_up_safely() -> None:
    config = tomllib.loads((ROOT / "app" / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["enableXsrfProtection"] is True
    assert config["server"].get("enableCORS", True) is True
    assert config["server"]["address"] == "127.0.0.1", "others come in by a proxy that speaks TLS"
    assert config["client"]["showErrorDetails"] in ("type", "none"), "a reader sees no traceback"
    assert config["browser"]["gatherUsageStats"] is False


@pytest.mark.skipif(os.name == "nt", reason="needs a Unix")
def test_a_new_home_folder_is_for_its_user_only(tmp_path: Path) -> None:
    Store(tmp_path / "a" / "home").close()
    assert (tmp_path / "a" / "home").stat().st_mode & 0o777 == 0o700


URLS = [
    f"{kind}://ada:geheim@{rest}"
    for kind, rest in (("postgresql+psycopg", "127.0.0.1:1/lab"), ("postgresql+psycopg", "[bad"), ("nonsense", "x"))
]
OPEN = """
import sys, traceback
from ssam.store import Store
for url in sys.argv[1:]:
    try:
        Store(url=url)
    except Exception:
        traceback.print_exc()
"""


@pytest.mark.parametrize("command", [["-c", OPEN, *URLS], ["-m", "ssam.jobs.runner"]])
def test_no_password_is_printed(tmp_path: Path, command: list[str]) -> None:
    """Of a database that cannot be reached, or whose address is wrong."""
    places = {"SSAM_HOME": str(tmp_path), "SSAM_DATABASE_URL": URLS[0]}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stderr
    assert "geheim" not in done.stdout + done.stderr


# Texts


@pytest.mark.parametrize("text", [HOSTILE, "a\nb\r\u2028c", "# x", "www.evil.example", "https://evil.example", "`x` _y_ *z* ~t~", ":red[x]", "$$x$$", "a@b.example"])  # fmt: skip
def test_plain_is_one_line_without_markup(text: str) -> None:
    said = texts.plain(text)
    assert said.isprintable()
    bare = said.replace("\\\\", "")
    for at, letter in enumerate(bare):
        if letter in "`*_[]<>#$~|!&@":
            assert bare[at - 1] == "\\", said
    assert not re.search(r"(?<!\\)://|www\.", said)


def test_a_hostile_address_is_shown_as_text(store: Store) -> None:
    for query in ({"dataset": "images", "data": HOSTILE}, {"epochs": HOSTILE}, {"run": HOSTILE}, {"preset": HOSTILE}, {"lanes": HOSTILE}, {HOSTILE: "1"}):  # fmt: skip
        app = AppTest.from_file(ROOT / "app" / "main.py", default_timeout=SECONDS)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        said = [element.value for element in (*app.error, *app.warning)]
        assert said, query
        for line in said:
            assert "![" not in line
            assert "](" not in line.replace("\\](", "")
            assert "\u202e" not in line


@pytest.mark.browser
@pytest.mark.slow
def test_hostile_texts_run_nothing(home: Path, server: str, browser: Browser, tmp_path: Path) -> None:
    """File names, class names and the last words of a race, in a real browser."""
    store = Store(home, f"sqlite:///{home / 'ssam.db'}")
    bare = HOSTILE.replace("/", ":")  # without folders
    spec = parse_spec({"dataset": "images", "data": bare, "lanes": "sgd,sam"})
    run = store.runs.create(spec, "hostile", "somebody")
    store.queue.transition(run, ("queued",), "failed", message=f"'{HOSTILE}' is damaged")
    evil = tmp_path / "evil.zip"
    evil.write_bytes(zipped({f"{bare}/../x.png": b"x", "a/x.png": b"x"}))
    watched = Watched(browser)
    dialogs: list[str] = []
    watched.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    watched.page.goto(f"http://{server}/?run={run}")
    watched.wait("live?.querySelector('.failure').textContent.includes('<img src=x')")
    shown = watched.page.locator(".st-key-race_head h2").first
    assert "<img src=x" in (shown.text_content() or "")
    watched.page.goto(
        f"http://{server}/?dataset=images&data=%3Cimg%20src%3Dx%20onerror%3D%22window.pwned%3D1%22%3E![p](https://evil.example/p.png)"
    )
    watched.page.locator('[data-testid="stAlert"]').first.wait_for()
    watched.page.locator('[data-testid="stSidebar"] input[type="file"]').set_input_files(evil)
    watched.page.wait_for_function("document.body.textContent.includes('foreign path')")
    assert watched.page.evaluate("window.pwned") is None
    assert watched.page.locator("img[src=x], img[src*=evil], a[href^=javascript]").count() == 0
    assert dialogs == []
    assert watched.hosts == {server}
    watched.page.context.close()
    store.close()
