"""Timings of training steps: what is said about them is right, whatever the machine does meanwhile."""

import contextlib
import io
import json
import platform
import subprocess
import sys
import types

import pytest
import torch

from ssam import cli
from ssam.bench import contestants as ways
from ssam.bench import inputs, measure, overhead, refresh, throughput, timing
from ssam.bench.published import PublishedImages, PublishedSSAM, cutout, published_scores
from ssam.masks import random_mask
from ssam.models import build_model
from tests import twins
from tests.golden import assert_one_line_error

CPU = torch.device("cpu")
TINY = ["bench", "--models", "cnn8", "--repeats", "5", "--batch-size", "8"]


def small_model():
    model = build_model("cnn8", channels=1, classes=10, size=28, seed=0)
    return model.double().train()


def batch(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 1, 28, 28, generator=generator).double(), torch.randint(10, (8,), generator=generator)


def prepared():
    spec = inputs.spec_for("cnn8", 8)
    batches = inputs.bundled_images(spec, CPU)
    return spec, inputs.network(spec, batches, CPU), batches


@pytest.fixture(scope="module")
def lines():
    """Standard output of a tiny run, line by line. The thread count is given back."""
    out = io.StringIO()
    before = torch.get_num_threads()
    with contextlib.redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
        patch.setattr(overhead, "STRETCH_SECONDS", 0.1)
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
    assert told["sam:direction=last:norm=masked:region=early"] == (1.0, False)
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
    last = memory["sam:direction=last:norm=masked:region=early"]
    assert last["kept_bytes"] == 1.25 * weights  # the gradients are the next direction; and a mask
    assert 0.25 * weights < last["extra_bytes"] < weights  # at w+ε they are gone: a mask and the saved early half
    assert all(memory[lane]["kept_bytes"] == 0.25 * weights for lane in ("ssam-f", "ssam-f:direction=momentum"))


def test_a_refresh_has_its_cost_and_its_agreement(lines):
    told = {line["score"]: line for line in lines if line.get("event") == "refresh"}
    assert all(line["images"] == 128 and 0 < line["iqr"][0] <= line["sgd_steps"] for line in told.values())
    agreement = {score: line["agreement"] for score, line in told.items()}
    single, of_8, of_32 = (agreement[name] for name in agreement if name.startswith("Fisher"))
    assert single > 0.999  # with a loop over the images; a tie may round differently
    assert single > of_8 > of_32 > 0.5
    assert 0.3 < agreement["published style"] < 0.8


def test_throughput_is_given_for_each_loop(lines):
    told = {line["loop"]: line for line in lines if line.get("event") == "throughput"}
    assert list(told) == ["published style", *throughput.LANES]
    assert told["published style"]["ratio_to_published"] == 1.0
    for line in told.values():
        assert 0 < line["iqr"][0] <= line["images_per_second"] <= line["iqr"][1]


def test_overhead_has_a_share_for_each_part(lines):
    told = [line for line in lines if line.get("event") == "overhead"]
    assert [line["what"] for line in told] == ["timers and events", "store", "page", "together"]
    assert all(line["share"] > 0 for line in told[1:3])


def test_an_epoch_is_its_steps_and_one_refresh(monkeypatch):
    """With a clock that counts calls: 3 s a published step, 1 s a lane's; 100 s a published refresh, 20 s a lane's."""
    spent = []
    loops = {
        "published_loop": lambda *_: throughput.Loop(
            "published style", lambda: spent.append(3), lambda: spent.append(100)
        ),
        "lane_loop": lambda _spec, text, _device: throughput.Loop(
            text, lambda: spent.append(1), lambda: spent.append(20)
        ),
    }
    for name, loop in loops.items():
        monkeypatch.setattr(throughput, name, loop)

    def timer(work):
        before = sum(spent)
        work()
        return sum(spent) - before

    published, first, *_ = throughput.throughput("cnn8", 128, CPU, 5, timer)
    steps = throughput.EPOCH // 128
    assert published.images_per_second == pytest.approx(throughput.EPOCH / (3 * steps + 100), abs=1e-3)
    assert first.ratio_to_published == pytest.approx((3 * steps + 100) / (steps + 20), abs=1e-3)


def test_the_slow_scores_are_those_of_a_loop():
    spec, model, batches = prepared()
    x, y = (part[:6] for part in refresh.images_of(spec, batches))
    expected = twins.fisher_loop(model, torch.nn.functional.cross_entropy, list(zip(x, y, strict=True)))
    for parameter, score in refresh.scores_one_by_one(model, (x, y)).items():
        torch.testing.assert_close(score, expected[parameter])


def test_published_scores_show_batchnorm_each_image_alone():
    spec, model, batches = prepared()
    x, y = refresh.images_of(spec, batches)
    model.train()
    scores = published_scores(model, [(x[i : i + 1], y[i : i + 1]) for i in range(5)], 3)
    assert int(model.stages["stem"].norm.num_batches_tracked) == 3
    assert all(bool(score.isfinite().all()) for score in scores.values())


def test_published_images_are_cropped_and_cut_one_by_one():
    torch.manual_seed(0)
    pixels = torch.randint(1, 256, (4, 32, 32, 3), dtype=torch.uint8).numpy()
    x, label = PublishedImages(pixels, [0, 1, 2, 3])[2]
    assert (x.shape, x.dtype, label) == ((3, 32, 32), torch.float32, 2)
    cut = [int((cutout(torch.ones(3, 32, 32)) == 0).sum()) for _ in range(200)]
    assert 60 < sum(size > 0 for size in cut) < 140  # half of the images
    assert max(cut) == 3 * 16 * 16  # a square of 16, less where it leaves the image
    assert min(size for size in cut if size) >= 3 * 8 * 8


def test_the_plain_loop_trains_as_the_race_does():
    """Or what watching adds would be set against other work."""
    spec = inputs.spec_for("cnn8", 8).model_copy(update={"lanes": tuple(map(overhead.LaneSpec.parse, ("sgd", "sam")))})
    plain = overhead.PlainLoop(spec, CPU)
    plain.rounds(2)
    for model, _optimizer in plain.lanes:
        assert int(model.stages["stem"].norm.num_batches_tracked) == 2
        assert all(bool(p.isfinite().all()) for p in model.parameters())
    sgd, sam = (next(model.parameters()) for model, _ in plain.lanes)
    assert not torch.equal(sgd, sam)


def test_no_overhead_where_an_epoch_is_too_short(monkeypatch):
    monkeypatch.setattr(overhead, "STRETCH_SECONDS", 1e9)
    (note,) = overhead.overhead("cnn8", 8, CPU, 5, timing.work_timer(CPU))
    assert isinstance(note, measure.Note)
    assert_one_line_error(note.message, ["cnn8", "epoch"])


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

    others = [lambda name=name: name for name in ("twice", "every 2nd", "flat")]
    base, times = timing.interleave(lambda: "sgd", others, 6, timer)
    assert base == [3.0**repetition for repetition in range(6)]
    assert timing.ratios(times[0], base) == [2.0] * 6
    assert timing.ratios(times[2], base) == [1.0] * 6
    assert timing.ratios(times[1], base, 2) == pytest.approx([5 / 4, 7 / 4, 5 / 4, 7 / 4, 5 / 4])
    assert taken[:12] == [
        *("sgd", "twice", "every 2nd", "flat"),
        *("sgd", "every 2nd", "flat", "twice"),
        *("sgd", "flat", "twice", "every 2nd"),
    ]


def test_repetitions_end_with_the_time_but_not_before_the_fifth():
    base, times = timing.interleave(lambda: None, [lambda: None], 100, lambda work: 1.0, lambda: True)
    assert len(base) == len(times[0]) == 5


def test_the_cpu_clock_leaves_out_what_others_do(monkeypatch):
    """Waiting is no work of ours."""
    wall, work = [0.0], [0.0]
    clocks = {"perf_counter": lambda: wall[0], "monotonic": lambda: wall[0], "process_time": lambda: work[0]}
    monkeypatch.setattr(timing, "time", types.SimpleNamespace(**clocks))

    def waits_and_works():
        wall[0] += 5.0
        work[0] += 0.25

    assert timing.work_timer(CPU)(waits_and_works) == 0.25


FAULTS = """
import resource, torch
from ssam.engine.device import keep_freed_memory
from tests.golden import assert_one_line_error
{}
torch.ones(7_000_000)  # 28 MB, freed at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(6_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_kept_memory_is_not_fetched_again():
    def faults(call):
        told = subprocess.run([sys.executable, "-c", FAULTS.format(call)], capture_output=True, text=True, check=True)
        return int(told.stdout)

    assert faults("keep_freed_memory()") < 0.1 * faults("")


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
        spec = inputs.spec_for("cnn8", batch_size)
        assert spec.mask_interval * (10_000 // batch_size) > 1001


def test_without_the_peers_there_is_a_note(monkeypatch):
    monkeypatch.setattr(ways, "find_spec", lambda name: None)
    events = list(measure.bench([], repeats=5, batch_size=8, seconds_per_model=60))
    assert isinstance(events[0], measure.Note)
    assert_one_line_error(events[0].message, ["pytorch_optimizer", "SAM", "LookSAM"])
    spec, model, batches = prepared()
    assert not any("pytorch_optimizer" in way.lane for way in ways.contestants(spec, model, batches))


def test_a_model_that_does_not_fit_is_left_out(monkeypatch, capsys):
    def too_large(*_):
        yield measure.Note("begins")
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(measure, "bench_model", too_large)
    assert cli.main(TINY) == 0
    assert_one_line_error(capsys.readouterr().err.splitlines()[-1], ["cnn8", "memory"])


def test_a_model_that_takes_too_long_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(measure, "LEAST_REPEATS", 1_000_000)
    assert cli.main([*TINY, "--json"]) == 0
    out, err = capsys.readouterr()
    assert_one_line_error(err.splitlines()[-1], ["cnn8", "1000000"])
    (result,) = [json.loads(line) for line in out.splitlines()]
    assert result["rows"] == 0


def test_other_errors_are_not_swallowed(monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(measure, "bench_model", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
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
    assert_one_line_error(capsys.readouterr().err, ["ssam bench: device 'cuda:42'", "allowed: auto"])
