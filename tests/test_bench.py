"""Timings of training steps: what is said about them is right, whatever the machine does meanwhile."""

import contextlib
import io
import json
import time

import pytest
import torch

from ssam import cli
from ssam.bench import contestants as ways
from ssam.bench import measure
from ssam.bench.contestants import Contestant, PublishedSSAM
from ssam.masks import random_mask
from ssam.models import build_model
from tests import twins

CPU = torch.device("cpu")
TINY = ["bench", "--models", "cnn8", "--repeats", "5", "--batch-size", "8"]


def small_model():
    model = build_model("cnn8", channels=1, classes=10, size=28, seed=0)
    return model.double().train()


def batch(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 1, 28, 28, generator=generator).double(), torch.randint(10, (8,), generator=generator)


def prepared():
    spec = measure._spec("cnn8", 8)
    model = build_model("cnn8", channels=1, classes=10, size=28, seed=0)
    return spec, model, measure._random_images(spec, CPU)


@pytest.fixture(scope="module")
def lines():
    """Standard output of a tiny run, line by line. The thread count is given back."""
    out = io.StringIO()
    before = torch.get_num_threads()
    with contextlib.redirect_stdout(out):
        assert cli.main([*TINY, "--json"]) == 0
    assert torch.get_num_threads() == before
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_rows_are_complete_and_well_formed(lines):
    rows = [line for line in lines if "event" not in line]
    lanes = [row["lane"] for row in rows]
    assert lanes == [
        *ways.lane_texts(8),
        "published style",
        "pytorch_optimizer SAM",
        "pytorch_optimizer LookSAM",
        "Fisher mask from 128 images",
    ]
    for row in rows:
        assert set(row) == {"model", "lane", "plan", "ratio_to_sgd", "iqr", "predicted", "exact"}
        assert row["model"] == "cnn8"
        low, high = row["iqr"]
        assert 0 < low <= row["ratio_to_sgd"] <= high
    told = {row["lane"]: (round(row["predicted"], 2), row["exact"]) for row in rows}
    assert told["sgd"] == (1.0, True)
    assert told["ssam-f"] == told["published style"] == (2.0, True)
    assert told["ssam-f:ascent_batch=2"] == (1.25, False)
    assert told["ssam-f:ascent_interval=2"] == (1.5, False)
    assert told["ssam-f:direction=momentum"] == (1.0, False)
    assert told["pytorch_optimizer LookSAM"] == (1.2, False)
    late = told["ssam-f:norm=masked:region=late"]
    assert late[0] < 1.3
    assert late[1]


def test_the_last_line_is_the_result(lines):
    result = lines[-1]
    assert result["event"] == "result"
    assert result["device"] == "cpu"
    assert result["threads"] == 1
    assert result["rows"] == sum("event" not in line for line in lines)
    assert result["versions"]["torch"] == torch.__version__


def test_memory_is_counted_from_the_tensors(lines):
    memory = {line["lane"]: line for line in lines if line.get("event") == "memory"}
    weights = 4 * 73_890
    extra = {lane: line["extra_bytes"] / weights for lane, line in memory.items()}
    assert all(line["weights_bytes"] == weights and line["how"] == "counted" for line in memory.values())
    assert extra["sam"] == 1  # the saved weights
    assert extra["ssam-f"] == 1.25  # and a mask of one byte a weight
    assert extra["published style"] == 2  # a float mask and ε
    assert extra["ssam-f:direction=momentum"] == 1.25  # no copy of the buffers outlives the ascent step
    assert extra["ssam-f:norm=masked:region=late"] < 0.8


def fake(name, period=1):
    return Contestant(name, "", 1.0, True, lambda: name, period)


def test_ratios_are_those_of_the_clock():
    """Whatever slows the machine down: each repetition is three times as slow as the one before it."""
    cost = {"sgd": [1.0], "twice": [2.0], "every 2nd": [2.0, 1.0], "flat": [1.0]}
    taken = []

    def timer(step):
        name = step()
        slow = 3.0 ** taken.count("sgd") if name == "sgd" else 3.0 ** (taken.count("sgd") - 1)
        seconds = slow * cost[name][taken.count(name) % len(cost[name])]
        taken.append(name)
        return seconds

    others = [fake("twice"), fake("every 2nd", 2), fake("flat")]
    base, times = measure.interleave(fake("sgd"), others, 6, timer, lambda: False)
    assert base == [3.0**repetition for repetition in range(6)]
    assert measure.ratios(times[0], base) == [2.0] * 6
    assert measure.ratios(times[2], base) == [1.0] * 6
    assert measure.ratios(times[1], base, 2) == pytest.approx([5 / 4, 7 / 4, 5 / 4, 7 / 4, 5 / 4])
    assert taken[:12] == [
        *("sgd", "twice", "every 2nd", "flat"),
        *("sgd", "every 2nd", "flat", "twice"),
        *("sgd", "flat", "twice", "every 2nd"),
    ]


def test_repetitions_end_with_the_time_but_not_before_the_fifth():
    base, times = measure.interleave(fake("sgd"), [fake("a")], 100, lambda step: 1.0, lambda: True)
    assert len(base) == len(times[0]) == 5


def test_the_cpu_clock_leaves_out_what_others_do():
    """Waiting is no work of ours."""
    timer = measure.step_timer(CPU)
    assert timer(lambda: time.sleep(0.2)) < 0.1
    assert timer(lambda: sum(range(300_000))) > 0.0005


def test_published_style_is_the_paper_up_to_rounding():
    model, twin = small_model(), small_model()
    masks = random_mask(model.parameters(), 0.5, torch.Generator().manual_seed(1))
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
    published = PublishedSSAM(model, torch.optim.SGD(model.parameters(), **settings), 0.1, masks)
    base = torch.optim.SGD(twin.parameters(), **settings)
    start = [p.detach().clone() for p in twin.parameters()]
    for step in range(3):
        x, y = batch(step)

        def closure(x=x, y=y):
            base.zero_grad()
            loss = torch.nn.functional.cross_entropy(twin(x), y)
            loss.backward()
            return loss

        published.step(x, y)
        twins.sam_step(list(twin.parameters()), closure, base.step, 0.1, list(masks.values()))
    for p, q, before in zip(model.parameters(), twin.parameters(), start, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)
        assert not torch.equal(q, before)


@pytest.mark.parametrize(("make", "passes"), [(ways.published_style, 10), (ways.peer_sam, 10), (ways.peer_look_sam, 6)])
def test_outside_ways_make_the_passes_they_are_said_to_make(make, passes):
    spec, model, batches = prepared()
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    contestant = make(spec, model, *batches.get(0))
    for _ in range(5):
        contestant.step()
    assert len(calls) == passes == round(5 * contestant.predicted)
    assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_no_timed_step_makes_a_mask():
    """The first mask is made before the clock runs; a thousand repetitions later it is still the same."""
    for batch_size in (8, 4096):
        spec = measure._spec("cnn8", batch_size)
        assert spec.mask_interval * (10_000 // batch_size) > 1001


def test_without_the_peers_there_is_a_note(monkeypatch):
    monkeypatch.setattr(ways, "find_spec", lambda name: None)
    events = list(measure.bench([], repeats=5, batch_size=8, seconds_per_model=60))
    assert events[0] == measure.Note("pytorch_optimizer is not installed: its SAM and LookSAM are left out")
    spec, model, batches = prepared()
    assert not any("pytorch_optimizer" in way.lane for way in ways.contestants(spec, model, batches))


def test_a_model_that_does_not_fit_is_left_out(monkeypatch, capsys):
    def too_large(spec, *_):
        yield measure.Note("begins")
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(measure, "_bench_model", too_large)
    assert cli.main(TINY) == 0
    assert "cnn8 is left out: it does not fit into memory" in capsys.readouterr().err


def test_a_model_that_takes_too_long_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(measure, "LEAST_REPEATS", 1_000_000)
    assert cli.main([*TINY, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "cnn8 is left out: 1000000 repetitions take about" in err
    (result,) = [json.loads(line) for line in out.splitlines()]
    assert result["rows"] == 0


def test_other_errors_are_not_swallowed(monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(measure, "_bench_model", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        cli.main(TINY)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--models", "alexnet"], "argument --models: 'alexnet' is not a model; allowed: cnn8, "),
        (["--models", ""], "argument --models: '' is not a model"),
        (["--repeats", "4"], "argument --repeats: '4' must be a whole number from 5 to 1000"),
        (["--repeats", "nan"], "'nan' must be a whole number from 5 to 1000"),
        (["--batch-size", "1"], "argument --batch-size: '1' must be a whole number from 8 to 4096"),
        (["--batch-size=-8"], "'-8' must be a whole number"),
        (["--seconds-per-model", "0"], "'0' must be a whole number from 1 to 86400"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_bad_flags_exit_2_with_one_line(arguments, says, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", *arguments])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert says in err


def test_an_unknown_device_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("SSAM_DEVICE", "cuda:42")
    assert cli.main(TINY) == 2
    assert capsys.readouterr().err.startswith("ssam bench: device 'cuda:42' is not on this machine")
