"""What is taken away is what was measured, reads in the programs it is made for, and finds its way back."""

import io
import json
import re
import struct
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssam.experiment import RaceSpec, parse_spec, preset, presets
from ssam.experiment.events import Snapshot
from ssam.export import (
    ALL,
    FORMATS,
    Source,
    available_formats,
    bundle,
    check_formats,
    download,
    figures,
    file_name,
    report,
    spec_json,
    spec_of,
    tensorboard,
    write,
)
from ssam.store import Store
from ssam.store.annotations import Labels
from ssam.styles import lane_styles
from tests import fake_lab
from tests.golden import assert_one_line_error

WEIGHTS = {"stages.stem.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T, "stages.norm.count": np.array(7)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("home"), "sqlite:///" + str(tmp_path_factory.mktemp("database") / "ssam.db"))
    yield store
    store.close()


@pytest.fixture(scope="module")
def source(store: Store) -> Source:
    """A finished race of five lanes and five epochs, with masks to the bit and weights of one lane."""
    run = fake_lab.race(store, "me")
    with store.writer(run.id) as writer:
        writer.add(Snapshot("sam", 50, 5.0, WEIGHTS))
    return Source(store, run, "https://lab.example/ssam/")


def bare(store: Store) -> Source:
    """A race without any mask or weights."""
    return Source(store, fake_lab.race(store, "me", parse_spec({"lanes": "sgd,sam", "epochs": "5"})))


# Tables, masks, weights


def test_csv_and_parquet_hold_every_number_as_it_was(source: Source, tmp_path: Path) -> None:
    assert write(source, ["csv", "parquet"], tmp_path) == {}
    for name, table, rows in (("evaluations", source.evaluations, 5 * 5), ("steps", source.steps, 5 * 50)):
        assert len(table) == rows
        text = pandas.read_csv(tmp_path / f"{name}.csv")
        pandas.testing.assert_frame_equal(text, table, check_dtype=False, check_exact=True)
        pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / f"{name}.parquet"), table, check_exact=True)
    last = source.evaluations[source.evaluations["lane"] == "ssam-f"].iloc[-1]
    assert (last["test_accuracy"], last["final"], last["sparsity"]) == (0.81, True, 0.5)


def test_masks_are_those_of_the_store_to_the_bit(source: Source, tmp_path: Path) -> None:
    write(source, ["masks"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks-2-ssam-f.npz", "masks-3-ssam-d.npz"]
    with np.load(tmp_path / "masks-3-ssam-d.npz", allow_pickle=False) as arrays:
        steps = {int(name.partition("/")[0]) for name in arrays.files}
        assert steps == {1, 11, 21, 31, 41}
        for step in steps:
            bits = source.store.curves.mask_bits(source.run.id, "ssam-d", step)
            assert bits
            assert {name for name in arrays.files if name.startswith(f"{step}/")} == {f"{step}/{name}" for name in bits}
            for layer, mask in bits.items():
                assert arrays[f"{step}/{layer}"].dtype == bool
                assert np.array_equal(arrays[f"{step}/{layer}"], mask)


def test_weights_read_as_safetensors(source: Source, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    last = {"sam": (50, WEIGHTS), "sgd": (50, {"w": np.ones(2, dtype=np.float16)})}  # of a checkpoint
    write(Source(source.store, source.run, last_weights=lambda: last), ["weights"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "weights-0-sgd-50.safetensors",
        "weights-1-sam-50.safetensors",
    ]
    read = load_file(tmp_path / "weights-1-sam-50.safetensors")
    assert read.keys() == WEIGHTS.keys()
    for name, array in WEIGHTS.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(read[name], array)


def test_a_damaged_checkpoint_does_not_keep_the_kept_weights_back(source: Source, tmp_path: Path) -> None:
    def damaged() -> dict:
        raise ValueError("checkpoint.pt is damaged")

    assert write(Source(source.store, source.run, last_weights=damaged), ["weights"], tmp_path) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["weights-1-sam-50.safetensors"]


def test_what_a_race_does_not_have_is_said_in_one_line(store: Store, tmp_path: Path) -> None:
    race = bare(store)
    assert set(available_formats(race)) == set(FORMATS) - {"masks", "weights", "mlflow"}
    missing = write(race, "csv,masks,weights", tmp_path)
    assert set(missing) == {"masks", "weights"}
    assert "snapshot_interval" in missing["weights"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluations.csv", "steps.csv"]
    with pytest.raises(ValueError, match="mask"):
        write(race, ["masks"], tmp_path)
    waiting = store.runs.get(store.runs.create(RaceSpec(), "waits", "me"))
    assert waiting
    with pytest.raises(ValueError, match="not started"):
        Source(store, waiting)


def test_the_steps_come_lane_by_lane_in_their_order_and_with_what_a_step_has_not(
    store: Store, source: Source, monkeypatch
) -> None:
    from ssam.store import step_rows

    monkeypatch.setattr(step_rows, "CHUNK", 7)
    steps = store.curves.steps_table(source.run.id)
    assert steps is not None
    assert list(steps["lane"].unique()) == list(source.spec.lane_names)
    assert all(list(rows["step"]) == list(range(1, 51)) for _, rows in steps.groupby("lane"))
    assert (steps["step"].dtype, steps["gradients"].dtype, steps["loss"].dtype) == ("int64", "int64", "float64")
    assert steps["ms_backward2"].isna().all()
    assert list(steps["loss"]) == [1 / step for _ in source.spec.lanes for step in range(1, 51)]
    assert store.curves.steps_table("nobody's") is None


# TensorBoard and MLflow


def test_tensorboard_reads_the_same_numbers(source: Source, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    write(source, ["tensorboard"], tmp_path)
    folders = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
    assert folders == ["0-sgd", "1-sam", "2-ssam-f", "3-ssam-d", "4-sam-rho-0.4"]
    (file,) = (tmp_path / "tensorboard" / "1-sam").iterdir()
    seen: dict[str, list[tuple[int, float, float]]] = {}
    for event in EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            number = value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value
            seen.setdefault(value.tag, []).append((event.step, event.wall_time, number))
    steps = source.steps[source.steps["lane"] == "sam"]
    start = source.run.started or source.run.created
    expected = [(row.step, start + row.seconds, np.float32(row.loss)) for row in steps.itertuples()]
    assert seen["train/loss"] == expected
    assert [step for step, _, _ in seen["test/accuracy"]] == [10, 20, 30, 40, 50]
    assert seen["test/accuracy"][-1][2] == pytest.approx(0.8)
    assert "sharpness/largest eigenvalue" not in seen  # it was not measured, so it is not there


@given(st.integers(0, 2**62), st.floats(allow_nan=False, width=32), st.text(min_size=1, max_size=300))
@settings(max_examples=50)
def test_an_event_is_the_protocol_buffer_that_tensorboard_knows(step: int, value: float, tag: str) -> None:
    from tensorboard.compat.proto.event_pb2 import Event

    event = Event.FromString(tensorboard.event(1.5, step, {tag: value}))
    assert (event.wall_time, event.step, event.summary.value[0].tag) == (1.5, step, tag)
    read = event.summary.value[0].simple_value
    assert read == value or not np.isfinite(value)


def test_a_huge_number_does_not_break_the_file() -> None:
    assert struct.pack("<f", 3.4028234663852886e38) in tensorboard.event(0.0, 1, {"loss": 1e300})


@pytest.mark.filterwarnings("ignore")  # those of MLflow and what it brings
@pytest.mark.slow
def test_mlflow_holds_a_run_for_each_lane(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write(source, ["mlflow"], tmp_path)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(source.title)
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == sorted(source.spec.lane_names)
    (sam,) = (run for run in runs if run.info.run_name == "ssam-f")
    assert sam.data.metrics["test_accuracy"] == 0.81
    assert sam.data.params["sparsity"] == "0.5"
    assert len(client.get_metric_history(sam.info.run_id, "test_accuracy")) == 5


# Figures


@pytest.mark.slow
def test_figures_have_print_size_and_show_every_lane(source: Source, tmp_path: Path) -> None:
    write(source, ["figures"], tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(figures.FIGURES)
    for name in figures.FIGURES:
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.size == (1050, 750)  # 3.5 × 2.5 inches at 300 dpi
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        text = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert (root.get("width"), root.get("height")) == ("252pt", "180pt")
        assert not re.findall(r'(?:href|src)="(?!#)', text)
        if name != "step-time":
            assert all(style.color in text for style in lane_styles(source.spec))


@pytest.mark.slow
def test_the_same_race_gives_the_same_figure(source: Source, tmp_path: Path) -> None:
    texts = []
    for place in ("a", "b"):
        write(source, ["figures"], tmp_path / place)
        texts.append((tmp_path / place / "accuracy.svg").read_bytes())
    assert texts[0] == texts[1]


def test_a_figure_draws_the_numbers(source: Source) -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    figures.accuracy(axes, source, "gradients")
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == source.lane_titles
    rows = source.evaluations[source.evaluations["lane"] == "sgd"]
    assert list(lines["SGD"].get_xdata()) == list(rows["gradients"])
    assert list(lines["SGD"].get_ydata()) == [100 * value for value in rows["test_accuracy"]]


# The report


class Page(HTMLParser):
    """Every address that a page refers to, its tags, and whether what was opened was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


def test_the_report_holds_what_was_measured_and_asks_nobody(source: Source) -> None:
    html = report.html(source)
    page = read(html)
    others = [address for address in page.addresses if not address.startswith(("#", "data:image/png;"))]
    assert others == [source.link]
    assert page.tags.count("script") == 1  # the specification, which does not run
    assert 'type="application/json"' in html
    assert "default-src 'none'" in html
    assert "url(" not in re.sub(r"url\(#", "", html)
    for words in (
        "81.00",
        "Made-up CPU",
        "wrong" if source.spec.label_noise else "Fashion-MNIST 10k",
        "SSAM-D",
        "ssam.methods.ssam_d",
        source.spec.digest,
    ):
        assert words in page.text
    assert page.tags.count("svg") == len(report.SHOWN)
    assert page.tags.count("img") == 2 * report.PICTURES
    assert re.search("SSAM-F .*81.0%", page.text)


def test_names_and_notes_cannot_become_tags(source: Source) -> None:
    hostile = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    page = read(report.html(Source(source.store, source.run, source.address, Labels(hostile, (hostile,), hostile))))
    assert page.tags.count("script") == 1
    assert not any(name.startswith("on") for name in page.attributes)
    assert page.text.count("alert(1)") >= 3


def test_a_race_that_was_stopped_early_has_a_report_too(store: Store) -> None:
    run_id = store.runs.create(RaceSpec(), "early", "me")
    with store.writer(run_id) as writer:
        writer.add(fake_lab.started(RaceSpec(), 50))
    store.queue.transition(run_id, ("queued",), "stopped")
    run = store.runs.get(run_id)
    assert run
    assert "no result yet" in report.html(Source(store, run))


# The way back

SPECS = [
    *(one.spec for one in presets().values()),
    parse_spec({"dataset": "images", "data": "</script><!--&amp;\\u003c é.zip", "image_size": "28", "lanes": "sam:rho=0.3,sam:direction=last"}),
    parse_spec({"clock": "seconds", "seconds": "12.5", "lr": "0.1", "train_size": "500", "lanes": "ssam:score=random:granularity=2-of-4".replace("2-of", "n-of")}),
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS)
def test_a_file_and_a_report_open_as_the_very_race(spec: RaceSpec) -> None:
    from ssam.export.spec_file import embedded

    assert spec_of(spec_json(spec).encode()) == spec
    assert spec_of(b"\xef\xbb\xbf" + spec_json(spec).encode()) == spec
    page = f"<!doctype html><html><body><p>{'x' * 1000}</p>{embedded(spec)}</body></html>"
    assert spec_of(page.encode()) == spec
    assert read(page).tags.count("script") == 1  # nothing in a name ends the element


@pytest.mark.slow
def test_a_whole_report_and_the_written_file_open(source: Source, tmp_path: Path) -> None:
    write(source, ["report", "race"], tmp_path)
    assert spec_of((tmp_path / "report.html").read_bytes()) == source.spec
    assert spec_of((tmp_path / "race.json").read_bytes()) == source.spec
    assert (tmp_path / "link.txt").read_text().strip() == source.link
    assert source.link.startswith("https://lab.example/ssam/?")
    assert f"run={source.run.id}" in source.link


HOSTILE = {
    "nothing": (b"", "neither"),
    "zeros": (b"\0" * 1000, "neither"),
    "not text": (b"\xff\xfe\x00\x01", "text"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "text"),
    "a list": (b"[1, 2]", "no race"),
    "a number": (b"1e999999", "no race"),
    "deep": (b"[" * 100_000, "neither"),
    "deep objects": (b'{"spec":' * 100_000, "neither"),
    "a long number": (b'{"spec": {"seed": ' + b"9" * 10_000 + b"}}", "neither"),
    "no number": (b'{"spec": {"rho": NaN}}', "rho"),
    "a later layout": (b'{"ssam_lab": 2, "spec": {}}', "layout"),
    "an odd layout": (json.dumps({"ssam_lab": ["x" * 5000], "spec": {}}).encode(), "layout"),
    "an unknown setting": (b'{"spec": {"__class__": 1}}', "not a setting"),
    "a bad value": (b'{"spec": {"epochs": 0}}', "epochs"),
    "a bad lane": (b'{"spec": {"lanes": [{"method": "sgd", "rho": 0.1}]}}', "perturbs nothing"),
    "lanes of nothing": (b'{"spec": {"lanes": [null]}}', "lanes"),
    "a million lanes": (json.dumps({"spec": {"lanes": "sgd," * 1_000_000}}).encode(), "lanes"),
    "lanes within lanes": (b'{"spec": {"lanes": [{"method": ["sgd"]}]}}', "lanes"),
    "another page": (b"<html><body>Hello</body></html>", "report"),
    "an open element": (b'<script type="application/json" id="ssam-race">{"spec": {}}', "report"),
    "two quotes": (b'<p id="ssam-race"', "report"),
    "too large": (b" " * (16 * 2**20 + 1), "MiB"),
    "a page of openings": (b"<!--<script " * 1_000_000, "report"),
    "brackets": (b"<" * 10_000_000, "report"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_one_line(name: str) -> None:
    """A parser of HTML would take hours for some of them, and the suite would end this test with all others."""
    data, says = HOSTILE[name]
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        spec_of(data)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=200)
def test_garbage_is_refused_in_one_line(data: bytes) -> None:
    try:
        assert isinstance(spec_of(data), RaceSpec)
    except ValueError as error:
        assert "\n" not in str(error)


# What is asked for


def test_kinds_are_checked() -> None:
    assert check_formats(ALL) == tuple(name for name in FORMATS if name != "mlflow")
    assert check_formats("csv, code,csv") == ("csv", "code")
    assert check_formats(["mlflow", ALL])[0] == "mlflow"
    for bad in ("", [], "csv;code", ["CSV"], "csv,,code"):
        with pytest.raises(ValueError, match="all, report, csv"):
            check_formats(bad)


@pytest.mark.slow
def test_a_download_is_one_page_or_a_zip(source: Source, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    short = source.run.id[:8]
    assert file_name(source, ["report"]) == f"race-{short}.html"
    assert download(source, ["report"]).startswith(b"<!doctype html>")
    assert file_name(source, ["code"]) == f"race-{short}-code.zip"
    assert file_name(source, ["code", "csv"]) == f"race-{short}.zip"
    with zipfile.ZipFile(io.BytesIO(download(source, ["csv", "tensorboard"]))) as archive:
        names = archive.namelist()
    assert {"evaluations.csv", "steps.csv"} <= set(names)
    assert sum(name.startswith("tensorboard/") for name in names) == 5
    with zipfile.ZipFile(io.BytesIO(download(bare(store), ["csv", "masks"]))) as archive:
        assert_one_line_error(archive.read("missing.txt").decode(), ["masks: "])
    monkeypatch.setattr(bundle, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="browser"):
        download(source, ["csv"])
    assert "weights" not in available_formats(source)


@pytest.mark.slow
def test_nothing_that_is_taken_away_names_the_owner(store: Store) -> None:
    """A race can be watched and taken by whoever has its address; what its owner is known by is nobody's business."""
    run = fake_lab.race(store, "owner-7f3a")
    with zipfile.ZipFile(io.BytesIO(download(Source(store, run), check_formats(ALL)))) as archive:
        for name in archive.namelist():
            assert b"owner-7f3a" not in archive.read(name), name


def test_the_default_preset_can_be_taken_as_code(store: Store, tmp_path: Path) -> None:
    race = Source(store, fake_lab.race(store, "me", preset("noisy-labels").spec))
    write(race, ["code"], tmp_path)
    assert len(list(tmp_path.glob("lane-*.py"))) == len(race.spec.lanes)
