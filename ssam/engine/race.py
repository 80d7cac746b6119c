"""The race: lanes with the same initial weights and the same batches, advanced in lock-step."""

import copy
import queue
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import torch

from ssam.data import Batches, Dataset, load_dataset
from ssam.engine import checkpoint
from ssam.engine import device as devices
from ssam.engine.distributed import ALONE, Ranks
from ssam.engine.lane import Lane
from ssam.engine.lockstep import new_past, run_in_lockstep
from ssam.experiment import RaceSpec, check_size
from ssam.experiment.events import Checkpoint, Event, LaneInfo, Layer, Preparing, Stage, Started
from ssam.models import StagedModel, build_model, stage_shares
from ssam.training.precision import precision


class Race:
    """One experiment, as an iterator of events.

    All lanes start from the same weights and see the same batches with the same augmentation. The lane that is furthest
    behind on the race's clock always steps next, so neighbouring steps of different lanes run under the same load of
    the machine, and the ratios of their times are reliable even on a noisy one. To pause, stop requesting events; to
    stop, close the iterator; to continue in another process, request a checkpoint and pass its state to a new Race.

    Args:
        spec: the validated specification.
        home: folder for downloads.
        image_root: the folder that contains ``spec.data`` if that is only a name (on a server); None treats it as a
            path.
        threads: the maximum number of CPU threads; a single thread is used instead if it is measured to be faster.
            None: torch's own number.
        state: that of a ``Checkpoint`` of the same race; None starts at the beginning. The race continues with the
            state's number of threads, because a different number would round differently.
        ranks: the processes that run this race together, all with the same arguments. Each emits the same events, and a
            checkpoint of any one of them can restart all of them.

    Raises ValueError, one line, for a state of another specification or version, or an incomplete one. ``events``
    raises ValueError, one line, if the data or the device are unavailable or differ from those of the state, and
    MemoryError, one line, if the race does not fit into memory.
    """

    def __init__(
        self,
        spec: RaceSpec,
        *,
        home: Path,
        image_root: Path | None = None,
        threads: int | None = None,
        state: dict[str, Any] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        ranks.check(spec)
        self.spec, self.home, self.image_root, self.ranks = spec, home, image_root, ranks
        self.threads = threads or torch.get_num_threads()
        if state is not None:
            checkpoint.check(state, spec)
        self._state = state
        self._checkpoint_wanted = False

    def want_checkpoint(self) -> None:
        """Request a Checkpoint from ``events``: before the next step or the Result, on a GPU up to 16 steps later. The
        events after it are not affected."""
        self._checkpoint_wanted = True

    def events(self) -> Generator[Event, None, None]:
        """Yield ``Preparing``, ``Started``, then all further events up to the ``Result``. With a state: both again,
        then the events after that state. Can be iterated only once."""
        try:
            yield from self._events()
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                what = (
                    f"batch_size {self.spec.batch_size} with model {self.spec.model!r} and {len(self.spec.lanes)} lanes"
                )
                raise MemoryError(
                    f"{what} does not fit into memory; use a smaller batch, model or fewer lanes"
                ) from error
            raise

    def _events(self) -> Generator[Event, None, None]:
        device = self.ranks.device(self.spec.device)
        if device.type == "cpu":
            devices.keep_freed_memory()
        yield Preparing("reading the data")
        if self.ranks.local:  # the first process of a host downloads for all of them
            self.ranks.least(0)
        dataset = yield from self._load()
        if not self.ranks.local:
            self.ranks.least(0)
        check_size(self.spec.model, dataset.size)
        if self._state is not None:
            checkpoint.check_place(self._state, dataset, device, self.ranks)
        channels_last = device.type != "mps"
        batches = dataset.batches(self.spec, device, channels_last)
        model = build_model(
            self.spec.model,
            channels=dataset.channels,
            classes=len(dataset.classes),
            size=dataset.size,
            seed=self.spec.seed,
        ).to(device)
        if channels_last:
            model = model.to(memory_format=torch.channels_last)
        threads = yield from self._threads(model, batches)
        torch.set_num_threads(threads)
        shares = stage_shares(model, batches.shape)
        lanes = [
            Lane(self.spec, lane, name, copy.deepcopy(model), batches, shares, self.ranks)
            for lane, name in zip(self.spec.lanes, self.spec.lane_names, strict=True)
        ]
        yield self._started(dataset, batches, lanes, shares, threads)
        past = new_past(lanes)
        if self._state is not None:
            checkpoint.restore(self._state, lanes, past)
            self._state = None  # it is as large as all lanes together

        def checkpoints() -> Iterator[Checkpoint]:
            if self._checkpoint_wanted:
                self._checkpoint_wanted = False
                yield Checkpoint(checkpoint.take(self.spec, dataset, threads, lanes, past))

        yield from run_in_lockstep(lanes, batches, self.spec.clock, past, checkpoints)

    def _threads(self, model: StagedModel, batches: Batches) -> Generator[Event, None, int]:
        """Return the number of threads for the race: the state's, else the one measured to be faster."""
        if self._state is not None:
            threads: int = self._state["threads"]
            return threads
        yield Preparing("calibrating threads")
        x, y = batches.get(0)
        return self.ranks.least(devices.calibrate_threads(model, x, y, self.threads))

    def _load(self) -> Generator[Event, None, Dataset]:
        """Load the dataset in a thread and yield its progress meanwhile. Return the Dataset."""
        told: queue.SimpleQueue[Preparing | None] = queue.SimpleQueue()
        outcome: list[Dataset | BaseException] = []

        def tell(message: str, fraction: float | None = None) -> None:
            told.put(Preparing(message, fraction))

        def load() -> None:
            try:
                outcome.append(load_dataset(self.spec, self.home, image_root=self.image_root, progress=tell))
            except BaseException as error:  # re-raised in the caller's thread below
                outcome.append(error)
            told.put(None)

        threading.Thread(target=load, daemon=True).start()
        while (message := told.get()) is not None:
            yield message
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _started(
        self, dataset: Dataset, batches: Batches, lanes: list[Lane], shares: list[float], threads: int
    ) -> Started:
        first = lanes[0]
        return Started(
            device=str(first.device),
            device_name=("" if self.ranks.size == 1 else f"{self.ranks.size} × ") + devices.device_name(first.device),
            threads=threads,
            precision=precision(first.device),
            parameters=sum(p.numel() for p in first.model.parameters()),
            train_size=batches.train_size,
            test_size=dataset.test_size,
            classes=dataset.classes,
            steps_per_epoch=batches.steps_per_epoch,
            lanes=tuple(_lane_info(lane) for lane in lanes),
            layers=tuple(
                Layer(f"{stage}.{name}", stage, tuple(p.shape))
                for stage, module in first.model.stages.items()
                for name, p in module.named_parameters()
                if p.requires_grad
            ),
            stages=tuple(Stage(name, share) for name, share in zip(first.model.stages, shares, strict=True)),
            warnings=dataset.warnings,
            validation_size=batches.validation_size,
        )


def _lane_info(lane: Lane) -> LaneInfo:
    return LaneInfo(
        name=lane.name,
        method=lane.method.name,
        sparsity=lane.sparsity,
        rho=lane.rho,
        total_steps=lane.total_steps,
        plan=lane.plan.words,
        predicted_ratio=lane.plan.predicted_ratio,
        exact=lane.plan.exact,
    )
