"""The race: lanes with the same start and the same batches, advanced in lock-step."""

import copy
import queue
import threading
from collections.abc import Generator
from pathlib import Path

import torch

from ssam.data import Batches, Dataset, load_dataset
from ssam.engine import device as devices
from ssam.engine.lane import Lane
from ssam.engine.lockstep import run_in_lockstep
from ssam.models import build_model, stage_shares
from ssam.spec import RaceSpec, check_size
from ssam.spec.events import Event, LaneInfo, Layer, Preparing, Stage, Started


class Race:
    """One experiment, as an iterator of events.

    All lanes start from the same weights and see the same batches with the same augmentation. The next step always goes
    to the lane that is furthest behind on the race's clock, so neighbouring steps of different lanes meet the same state
    of the machine and their time ratios hold on a noisy one. To pause, do not ask for the next event; to stop, close
    the iterator.

    Args:
        spec: the validated specification.
        home: folder for downloads.
        image_root: where ``spec.data`` must lie when it is only a name (a server); None takes it as a path.
        threads: the most CPU threads to use; one thread is used instead where that measures faster. None: torch's own number.

    Raises (from ``events``): ValueError, one line, where the data or the device cannot be had; MemoryError, one line,
    where the race does not fit.
    """

    def __init__(
        self, spec: RaceSpec, *, home: Path, image_root: Path | None = None, threads: int | None = None
    ) -> None:
        self.spec, self.home, self.image_root = spec, home, image_root
        self.threads = threads or torch.get_num_threads()

    def events(self) -> Generator[Event, None, None]:
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
        device = devices.pick_device(self.spec.device)
        if device.type == "cpu":
            devices.keep_freed_memory()
        yield Preparing("reading the data")
        dataset = yield from self._load()
        check_size(self.spec.model, dataset.size)
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
        yield Preparing("calibrating threads")
        x, y = batches.get(0)
        threads = devices.calibrate_threads(model, x, y, self.threads)
        torch.set_num_threads(threads)
        shares = stage_shares(model, batches.shape)
        lanes = [
            Lane(self.spec, lane, name, copy.deepcopy(model), batches, shares)
            for lane, name in zip(self.spec.lanes, self.spec.lane_names, strict=True)
        ]
        yield self._started(dataset, batches, lanes, shares, threads)
        yield from run_in_lockstep(lanes, batches, self.spec.clock)

    def _load(self) -> Generator[Event, None, Dataset]:
        """Loads in a thread, so that its progress can be told while it goes on. Returns the Dataset."""
        told: queue.SimpleQueue[Preparing | None] = queue.SimpleQueue()
        outcome: list[Dataset | BaseException] = []

        def tell(message: str, fraction: float | None = None) -> None:
            told.put(Preparing(message, fraction))

        def load() -> None:
            try:
                outcome.append(load_dataset(self.spec, self.home, image_root=self.image_root, progress=tell))
            except BaseException as error:  # handed to the caller's thread below
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
            device_name=devices.device_name(first.device),
            threads=threads,
            precision=devices.precision(first.device),
            parameters=sum(p.numel() for p in first.model.parameters()),
            train_size=dataset.train_size,
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
