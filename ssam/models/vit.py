"""A small vision transformer (Dosovitskiy et al. 2021): pre-norm, without dropout, with mean pooling."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssam.models.staged import StagedModel


class Patches(nn.Module):
    """A patch embedding. Cuts (B, C, H, W) into at most 8×8 patches of equal size and embeds them: (B, T, width), with
    or without added ``positions``.

    If the patch size does not divide a side, the side is padded with zeros at its end.
    """

    def __init__(self, channels: int, size: int, width: int, positions: bool = True) -> None:
        super().__init__()
        patch = math.ceil(size / 8)
        grid = math.ceil(size / patch)
        self.tokens, self.missing = grid * grid, grid * patch - size
        self.conv = nn.Conv2d(channels, width, patch, stride=patch)
        self.position = (
            nn.Parameter(nn.init.trunc_normal_(torch.empty(1, self.tokens, width), std=0.02)) if positions else None
        )

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.conv(F.pad(x, (0, self.missing, 0, self.missing)))  # (B, width, grid, grid)
        embedded = tokens.flatten(2).transpose(1, 2)
        return embedded if self.position is None else embedded + self.position


class Attention(nn.Module):
    """Multi-head self-attention, written out: the fused kernel has no vmap rule and no second derivative."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, width) -> the same
        batch, tokens, width = x.shape
        split = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (B, heads, T, width / heads)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, tokens, width))


class TransformerBlock(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, width) -> the same
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class TokenHead(nn.Module):
    """LayerNorm, mean over the tokens, and one linear layer: (B, T, width) -> (B, classes)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(x).mean(1))


def vit_tiny(channels: int, classes: int, size: int) -> StagedModel:
    """Build six blocks of width 64 with four heads on at most 64 patches. The patch size grows with the image, the cost
    does not."""
    width, heads, hidden, depth = 64, 4, 128, 6
    blocks = [(f"block{number}", TransformerBlock(width, heads, hidden)) for number in range(1, depth + 1)]
    model = StagedModel([("stem", Patches(channels, size, width)), *blocks, ("head", TokenHead(width, classes))])
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return model
