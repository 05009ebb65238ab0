"""An encoder whose first block projects every frame once, not once for each of the windows it stands in.

Windows of a track overlap, and a frame comes to stand at every position. Its token is e + p, embedding and position,
and LayerNorm(e + p) = (e' + p') / s, where e' and p' are e and p without their means and s^2 is the mean square of
their sum. What a linear layer makes of that is (W e' + W p') / s + b: the first part depends on the frame alone, the
second on the position alone, and s^2 = |e'|^2 + 2 e'.p' + |p'|^2 is one number for each pair. For inference only.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glot_cli.models.attention import Block, Encoder


class Frames(NamedTuple):
    """N frames of a track, ready to stand in windows of T.

    Attributes:
        embedded: (N, D) e.
        projected: (N, 3 D) W e'.
        square: (N,) mean square of e'.
        product: (N, T) twice the mean product of e' and each position's p'.
    """

    embedded: Tensor
    projected: Tensor
    square: Tensor
    product: Tensor


class FramewiseEncoder(nn.Module):
    """The same function as `encoder`, in evaluation mode, of windows given as indices of frames."""

    weight: Tensor  # (3 D, D) W with the norm's scale and centring in it
    position: Tensor  # (T, D) p'
    position_projected: Tensor  # (T, 3 D) W p'
    position_square: Tensor  # (T,)
    offset: Tensor  # (3 D,) b

    @torch.no_grad()
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        block = self._blocks()[0]
        norm, qkv = block.norm1, block.attn.qkv
        scaled = qkv.weight.double() * norm.weight.double()
        weight = scaled - scaled.mean(1, keepdim=True)  # centring e once more changes nothing, and rounds less
        position = encoder.pos_embed[0].double()
        position = position - position.mean(1, keepdim=True)
        for name, value in (
            ("weight", weight),
            ("position", position),
            ("position_projected", position @ weight.T),
            ("position_square", position.square().mean(1) + norm.eps),
            ("offset", qkv.weight.double() @ norm.bias.double() + qkv.bias.double()),
        ):
            self.register_buffer(name, value.float())

    def _blocks(self) -> list[Block]:
        return cast(list[Block], list(self.encoder.blocks))

    def project(self, embedded: Tensor) -> Frames:
        """embedded frames (N, D) -> what windows need of them."""
        centred = embedded - embedded.mean(1, keepdim=True)
        product = centred @ self.position.T * (2 / embedded.shape[1])
        return Frames(embedded, F.linear(centred, self.weight), centred.square().mean(1), product)

    def forward(self, frames: Frames, index: Tensor, queries: slice = slice(None)) -> Tensor:
        """Encode windows.

        Args:
            frames: as `project` gives them.
            index: (B, T) which of them make up each window.
            queries: the positions whose tokens are wanted.

        Returns:
            (B, Q, D).
        """
        at = torch.arange(index.shape[1], device=index.device)
        square = frames.square[index] + frames.product[index, at] + self.position_square
        qkv = frames.projected[index].add_(self.position_projected).mul_(square.rsqrt().unsqueeze(-1)).add_(self.offset)
        first, *rest = self._blocks()
        x = frames.embedded[index] + self.encoder.pos_embed
        x = first.feed_forward(x + first.attn.mix(qkv))
        if not rest:
            only: Tensor = self.encoder.norm(x[:, queries])
            return only
        for block in rest[:-1]:
            x = block(x)
        tokens: Tensor = self.encoder.norm(rest[-1](x, queries))
        return tokens
