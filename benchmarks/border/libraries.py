"""The compared libraries behind one interface, each used as its documentation says."""

import importlib.util
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Closure = Callable[[], Tensor]


class NotOfferedError(Exception):
    """The library has no such feature, and its documentation no recipe."""


class Ours:
    """This package."""

    name = "ssam"

    def __init__(self) -> None:
        import ssam

        self.package = ssam
        self.version = ssam.__version__
        self.folder = Path(ssam.__file__).parent

    def make(self, model: nn.Module, base: type[Optimizer] = torch.optim.SGD, rho: float = 0.5, **settings: Any) -> Any:
        """Return an optimizer of the model's parameters; ``settings`` are those of the base optimizer."""
        adaptive = settings.pop("adaptive", False)
        return self.package.SAM(base(model.parameters(), **{"lr": 0.1, **settings}), rho=rho, adaptive=adaptive)

    def step(self, optimizer: Any, model: nn.Module, closure: Closure) -> None:
        """Take one whole step. The closure zeroes the gradients, runs forward and backward, and returns the loss."""
        optimizer.step(closure)


class TwoSteps:
    """What davda54/sam and pytorch_optimizer have in common: the closure runs once before ``step(closure)``; running statistics are
    switched off by hand for the second pass."""

    def __init__(self, name: str, sam: Any, statistics: ModuleType, version: str, folder: Path) -> None:
        self.name, self.version, self.folder = name, version, folder
        self._sam, self._statistics = sam, statistics

    def make(self, model: nn.Module, base: type[Optimizer] = torch.optim.SGD, rho: float = 0.5, **settings: Any) -> Any:
        return self._sam(model.parameters(), base, rho=rho, **{"lr": 0.1, **settings})

    def step(self, optimizer: Any, model: nn.Module, closure: Closure) -> None:
        self._statistics.enable_running_stats(model)
        closure()
        self._statistics.disable_running_stats(model)
        optimizer.step(closure)
        self._statistics.enable_running_stats(model)


Library = Ours | TwoSteps


def pytorch_optimizer() -> TwoSteps:
    """Return the package ``pytorch_optimizer``."""
    import pytorch_optimizer as package

    return TwoSteps(
        "pytorch_optimizer", package.SAM, package, version("pytorch_optimizer"), Path(package.__file__).parent
    )


def davda54(clone: Path) -> TwoSteps:
    """Return github.com/davda54/sam from a clone; it is no package. Its version is a hash of ``sam.py``."""
    statistics = _loaded("border_bypass_bn", clone / "example" / "utility" / "bypass_bn.py")
    digest = sha256((clone / "sam.py").read_bytes()).hexdigest()[:12]
    return TwoSteps("davda54/sam", _loaded("border_sam", clone / "sam.py").SAM, statistics, f"sam.py {digest}", clone)


def _loaded(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
