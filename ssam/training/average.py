"""The weights that a lane is judged by: their moving average, or those of its best validation epoch."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


@dataclass(frozen=True)
class Best:
    """The weights after ``step`` steps, by their names in ``state_dict``, with their validation loss and accuracy."""

    step: int
    loss: float
    accuracy: float
    weights: dict[str, Tensor]


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return a moving average of ``model``'s weights and BatchNorm statistics; a plain copy until its first update."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
