"""Advancing lanes in lock-step: which one steps next, when to evaluate and save weights, which events to emit."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ssam.data import Batches
from ssam.engine.eigenvalue import largest_eigenvalue
from ssam.engine.evaluate import evaluate
from ssam.engine.lane import Lane
from ssam.engine.predictions import TestAnswers, images_of, is_recorded, record_answers
from ssam.experiment.events import (
    FEWEST_PAIRS,
    SETTLING_STEPS,
    STEP_PHASES,
    EpochEvent,
    Event,
    LaneEnded,
    LaneResult,
    Result,
    Snapshot,
    StepEvent,
)
from ssam.methods.bases import DEFAULT_BASE
from ssam.planning.estimate import LIVE_TEST_SIZE
from ssam.stats.typical import typical
from ssam.system import cores, load
from ssam.training.steps import StepRecord
from ssam.training.timing import PhaseTimer

UNREAD_STEPS_ON_GPU = 16  # the most steps whose numbers stay on the device before they are read together


@dataclass
class History:
    """The part of a lane's past that its result and its next evaluation need."""

    losses: list[float] = field(default_factory=list)  # since the last evaluation
    step_ms: list[tuple[int, float]] = field(default_factory=list)  # with the step number
    ratios: list[tuple[int, float]] = field(default_factory=list)
    last: EpochEvent | None = None


@dataclass
class Past:
    """The part of the lanes' past that decides which events come next."""

    histories: dict[str, History]  # by lane
    reference: str | None = None  # the lane that the others' step times are compared with
    ended: list[str] = field(default_factory=list)  # lanes whose LaneEnded has been emitted
    sgd_ms: float = 0.0  # the duration of the last SGD step
    unpaired: set[str] = field(default_factory=set)  # lanes that have not been paired with that step yet


@dataclass(frozen=True, slots=True)
class Batch:
    x: Tensor
    y: Tensor
    positions: Tensor
    timer: PhaseTimer


@dataclass(frozen=True, slots=True)
class UnreadStep:
    """A step whose numbers are still on the device, with the lane's clocks right after it."""

    lane: Lane
    step: int
    epoch: float
    gradients: int
    record: StepRecord
    data_timer: PhaseTimer


def run_in_lockstep(
    lanes: list[Lane],
    batches: Batches,
    clock: str,
    past: Past | None = None,
    at_safe_point: Callable[[], Iterable[Event]] = tuple,
) -> Iterator[Event]:
    """Yield the steps, evaluations, masks, snapshots and ends of all lanes, then the Result. The lane furthest behind
    on ``clock`` (epochs, gradients or seconds) always steps next; ties go to the earlier lane.

    Args:
        lanes: in their current state; not necessarily at their first step.
        batches: the race's.
        clock: the race's.
        past: what these lanes have done already; kept up to date. None: nothing.
        at_safe_point: called whenever lanes and ``past`` together hold everything that decides the future: before a
            lane's next step and before the Result, when all steps so far have been read and their events emitted. Its
            own events are emitted there.
    """
    past = past or new_past(lanes)
    position = {"epochs": lambda lane: lane.step_count, "gradients": lambda lane: lane.gradients}.get(
        clock, lambda lane: lane.seconds
    )
    deferred = reads_later(lanes[0].device.type, clock)
    prepared: dict[int, Batch] = {}
    unread: list[UnreadStep] = []
    running = [lane for lane in lanes if lane.name not in past.ended]
    loads = [load()]
    while running:
        if not unread:  # otherwise an early read would move events, and the end of a diverged lane
            yield from at_safe_point()
        lane = min(running, key=position)
        if lane.step_count == 0 and lane.keeps_weights:
            yield _snapshot(lane)
        batch = _shared_batch(prepared, batches, lane, running)
        record = lane.step(batch.x, batch.y)
        if lane.answers is not None:
            record_answers(lane.answers, batch.positions, record.outputs)
        unread.append(UnreadStep(lane, lane.step_count, lane.epoch, lane.gradients, record, batch.timer))
        if lane.new_mask is not None:
            yield lane.new_mask
            lane.new_mask = None
        epoch_ended = lane.step_count % batches.steps_per_epoch == 0
        if not deferred or epoch_ended or lane.done or lane.diverged or len(unread) >= UNREAD_STEPS_ON_GPU:
            for step in unread:
                yield _read(step, past)
            unread.clear()
        if (epoch_ended or lane.done) and not lane.diverged:
            yield from _evaluations(lane, batches, past)
            loads.append(load())
            if lane.keeps_weights and not lane.diverged:
                yield _snapshot(lane)
        for other in [x for x in running if x.diverged or x.done]:
            yield LaneEnded(other.name, other.step_count, "diverged" if other.diverged else "finished")
            past.ended.append(other.name)
            running.remove(other)
    yield from at_safe_point()
    results = tuple(_result(lane, past.histories[lane.name]) for lane in lanes)
    highest = max((seen for seen in loads if seen is not None), default=None)
    yield Result(str(lanes[0].device), results, highest, cores())


def new_past(lanes: Iterable[Lane]) -> Past:
    """Return an empty past. Step times are compared with those of SGD; among several such lanes, with the one that
    takes the most steps."""
    lanes = list(lanes)
    plain = [lane for lane in lanes if not lane.method.perturbs]
    by_sgd = [lane for lane in plain if lane.spec.lane_base(lane.lane) == DEFAULT_BASE] or plain
    reference = max(by_sgd, key=lambda lane: lane.total_steps or 0).name if plain else None
    return Past({lane.name: History() for lane in lanes}, reference)


def reads_later(device: str, clock: str) -> bool:
    """Return whether a step's numbers may stay on the device for now. Reading them waits for the device, but the
    seconds clock needs the times at once."""
    return device == "cuda" and clock != "seconds"


def _read(unread: UnreadStep, past: Past) -> StepEvent:
    """Turn a step into its event, in execution order. Wait for the device, add the step's time to its lane's clock, and
    mark the lane if it diverged. With several processes, the event holds the means.

    The step is paired with its neighbouring SGD step: the last one before it, unless this lane has been paired with
    that one already.
    """
    lane, record = unread.lane, unread.record
    ms = unread.data_timer.milliseconds() | record.timer.milliseconds()
    seen = {"loss": float(record.loss), "norm": float(record.gradient_norm)}
    if record.loss_at_perturbed is not None:
        seen["perturbed"] = float(record.loss_at_perturbed)
    if record.radius is not None:
        seen["radius"] = float(record.radius)
    if record.perturbed_norm is not None:
        seen["perturbed_norm"] = float(record.perturbed_norm)
    seen = lane.ranks.mean(seen | ms)
    ms = {phase: seen[phase] for phase in ms}
    lane.seconds += sum(ms.values()) / 1000
    step_ms = sum(ms.get(phase, 0.0) for phase in STEP_PHASES)
    if lane.name == past.reference:
        past.sgd_ms, past.unpaired = step_ms, set(past.histories)
    ratio = step_ms / past.sgd_ms if lane.name in past.unpaired else None
    past.unpaired.discard(lane.name)
    loss, norm = seen["loss"], seen["norm"]
    gap = seen["perturbed"] - loss if "perturbed" in seen else None
    history = past.histories[lane.name]
    history.losses.append(loss)
    if unread.step > SETTLING_STEPS:
        history.step_ms.append((unread.step, step_ms))
        if ratio is not None:
            history.ratios.append((unread.step, ratio))
    lane.diverged |= not all(math.isfinite(value) for value in (loss, norm, gap or 0.0))
    return StepEvent(
        lane=lane.name,
        step=unread.step,
        epoch=unread.epoch,
        gradients=unread.gradients,
        seconds=lane.seconds,
        loss=loss,
        grad_norm=norm,
        radius=seen.get("radius"),
        ascent_gap=gap,
        ms=ms,
        ratio=ratio,
        perturbed_norm=seen.get("perturbed_norm"),
    )


def _shared_batch(prepared: dict[int, Batch], batches: Batches, lane: Lane, running: list[Lane]) -> Batch:
    """Return the lane's next batch. It is prepared once and kept until every lane has used it; its time counts for each
    of them."""
    if lane.step_count not in prepared:
        oldest = min(other.step_count for other in running)
        for step in [step for step in prepared if step < oldest or step < lane.step_count - 1]:
            del prepared[step]
        timer = PhaseTimer(lane.device)
        x, y = lane.ranks.share(*batches.get(lane.step_count))
        timer.mark("data")
        prepared[lane.step_count] = Batch(x, y, batches.positions(lane.step_count), timer)
    return prepared[lane.step_count]


def _evaluations(lane: Lane, batches: Batches, past: Past) -> Iterator[Event]:
    """Evaluate the lane, and yield its predictions if it records them; before those of the race's first evaluation, the
    images that they belong to."""
    first = all(history.last is None for history in past.histories.values())
    answers = TestAnswers(batches)
    yield _evaluate(lane, batches, past.histories[lane.name], answers)
    if lane.answers is None:
        return
    if first:
        yield images_of(batches, lane.spec, answers.labels)
    if not lane.diverged and (lane.done or is_recorded(round(lane.epoch))):
        yield answers.event(lane.name, lane.step_count, lane.epoch, lane.answers)


def _evaluate(lane: Lane, batches: Batches, history: History, answers: TestAnswers) -> EpochEvent:
    """Evaluate on a fixed part of the test images (on all of them when the lane is done) and on all validation images,
    which may stop the lane. ``answers`` keeps the outputs for the test images. The time does not count towards the
    lane's seconds. A non-finite test loss means that the lane diverged in its last update."""
    held: tuple[float | None, float | None] = (None, None)
    if batches.validation_size:
        held = loss, accuracy = evaluate(lane.evaluated, batches.validation(), lane.ranks)[:2]
        lane.judge(loss, accuracy)
    if lane.done and lane.best:
        held = lane.best.loss, lane.best.accuracy
    tested = batches.test(None if lane.done else LIVE_TEST_SIZE)
    test_loss, test_accuracy, images = evaluate(lane.evaluated, tested, lane.ranks, answers.add)
    lane.diverged |= not math.isfinite(test_loss)
    train_loss = statistics.fmean(history.losses)
    history.losses.clear()
    curved = lane.is_due(lane.spec.eigenvalue_interval) and not lane.diverged
    found = largest_eigenvalue(lane, batches) if curved else {}
    history.last = EpochEvent(
        lane=lane.name,
        step=lane.step_count,
        epoch=lane.epoch,
        gradients=lane.gradients,
        seconds=lane.seconds,
        lr=lane.base.param_groups[0]["lr"],
        train_loss=train_loss,
        test_loss=test_loss,
        test_accuracy=test_accuracy,
        test_size=images,
        final=lane.done,
        validation_loss=held[0],
        validation_accuracy=held[1],
        **found,
    )
    return history.last


def _snapshot(lane: Lane) -> Snapshot:
    weights = {name: np.array(tensor.cpu().numpy(), order="C") for name, tensor in lane.evaluated.state_dict().items()}
    return Snapshot(lane.name, lane.step_count, lane.epoch, weights)


def _result(lane: Lane, history: History) -> LaneResult:
    last = None if lane.diverged else history.last
    interval = lane.lane.interval
    return LaneResult(
        name=lane.name,
        method=lane.method.name,
        sparsity=lane.sparsity,
        rho=lane.rho,
        test_accuracy=last.test_accuracy if last else None,
        test_loss=last.test_loss if last else None,
        step_ms_median=typical(history.step_ms, interval),
        step_ratio_to_sgd=typical(history.ratios, interval) if len(history.ratios) >= FEWEST_PAIRS else None,
        seconds=lane.seconds,
        diverged=lane.diverged,
        validation_accuracy=last.validation_accuracy if last else None,
        validation_loss=last.validation_loss if last else None,
        best_epoch=lane.best_epoch if last else None,
    )
