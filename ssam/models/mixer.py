"""A small MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601): only linear layers, alternately across patches and
across channels."""

from torch import Tensor, nn
from torch.nn import functional as F

from ssam.models.staged import StagedModel
from ssam.models.vit import Patches, TokenHead


class TwoLayers(nn.Module):
    """A hidden layer with GELU between two linear layers: (…, width) -> the same."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


class MixerBlock(nn.Module):
    """Mixes the tokens of each channel, then the channels of each token; pre-norm, with skip connections."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.across_tokens = TwoLayers(tokens, width)
        self.norm2 = nn.LayerNorm(width)
        self.across_channels = TwoLayers(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, width) -> the same
        x = x + self.across_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.across_channels(self.norm2(x))


def mixer(channels: int, classes: int, size: int) -> StagedModel:
    """Build four blocks of width 32 on at most 64 patches. No position embedding is needed: each patch has its own
    weights.

    In the paper, the hidden layers are half the width across the tokens and four times the width across the channels.
    Here they are once and twice the width, so that such a small network has no bottleneck and a race takes minutes on a
    CPU. The weights have PyTorch's default initialisation.
    """
    width, depth = 32, 4
    stem = Patches(channels, size, width, positions=False)
    blocks = [(f"block{number}", MixerBlock(stem.tokens, width)) for number in range(1, depth + 1)]
    return StagedModel([("stem", stem), *blocks, ("head", TokenHead(width, classes))])
