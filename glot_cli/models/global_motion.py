"""Global motion modelling (paper section 3.1): long-range context of a window, learned by masking half of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from glot_cli.models.attention import LAYER_NORM_EPS, Block, Encoder
from glot_cli.models.glot_config import STATE_DIM, GLoTConfig
from glot_cli.models.regressors import IterativeRegressor, State


class Masking(NamedTuple):
    """Which frames of each window are dropped before the encoder.

    Attributes:
        keep: (B, K) indices of the frames that stay, in the order of the noise.
        restore: (B, T) where each frame stands in [kept frames, dropped frames].
        dropped: (B, T) 1 where a frame is dropped.
    """

    keep: Tensor
    restore: Tensor
    dropped: Tensor


def random_masking(noise: Tensor, ratio: float) -> Masking:
    """Drop the frames with the largest noise.

    Every window keeps the same number of frames, so that the batch stays one array.

    Args:
        noise: (B, T) uniform.
        ratio: share of the frames to drop.
    """
    kept = int(noise.shape[1] * (1 - ratio))
    order = noise.argsort(dim=1)
    restore = order.argsort(dim=1)
    return Masking(order[:, :kept], restore, (restore >= kept).to(noise.dtype))


class GlobalMotion(nn.Module):
    """Transformer encoder over all frames of a window (the memory), and a decoder that regresses every frame."""

    def __init__(self, config: GLoTConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(config.feature_dim, config.global_dim)
        self.encoder = Encoder(
            config.frames, config.global_dim, config.global_layers, config.heads, config.dropout, config.drop_path
        )
        if config.mask_token == "template":  # a function of the mean body parameters (paper section 3.1)
            self.mask_token = nn.Sequential(
                nn.Linear(STATE_DIM, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, config.decoder_dim)
            )
        elif config.mask_token == "learned":
            self.learned_token = nn.Parameter(torch.zeros(config.decoder_dim))
        self.config = config
        self.decoder_embed = nn.Linear(config.global_dim, config.decoder_dim)
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, config.frames, config.decoder_dim))
        self.decoder_blocks = nn.ModuleList(
            Block(config.decoder_dim, config.heads, 4 * config.decoder_dim, config.dropout, config.drop_path)
            for _ in range(config.decoder_layers)
        )
        self.decoder_norm = nn.LayerNorm(config.decoder_dim, eps=LAYER_NORM_EPS)
        self.out_proj = nn.Linear(config.decoder_dim, config.feature_dim)
        self.regressor = IterativeRegressor(config)

    def decode(self, memory: Tensor, restore: Tensor | None = None, queries: slice = slice(None)) -> Tensor:
        """Decode what the encoder made of the frames.

        Args:
            memory: (B, K, D).
            restore: (B, T) as in `Masking`; dropped frames are filled with the mask token. K = T when None.
            queries: the tokens wanted.

        Returns:
            (B, Q, decoder_dim), before `out_proj`.
        """
        x = self.decoder_embed(memory)
        if restore is not None:
            missing = restore.shape[1] - x.shape[1]
            x = torch.cat([x, self._token(x).expand(x.shape[0], missing, -1)], dim=1)
            x = x.gather(1, restore.unsqueeze(-1).expand(-1, -1, x.shape[-1]))  # (B, T, decoder_dim) in time order
        x = x + self.decoder_pos_embed
        *first, last = self.decoder_blocks
        for block in first:
            x = block(x)
        decoded: Tensor = self.decoder_norm(last(x, queries))
        return decoded

    def _token(self, like: Tensor) -> Tensor:
        """What stands for a dropped frame: (decoder_dim,)."""
        if self.config.mask_token == "template":
            template: Tensor = self.mask_token(self.regressor.mean_state)
            return template
        if self.config.mask_token == "learned":
            return self.learned_token
        return like.new_zeros(like.shape[-1])

    def forward(self, features: Tensor, masking: Masking | None, queries: slice) -> tuple[Tensor, State]:
        """Features (B, T, F) to memory (B, K, global_dim) and states of the frames that `queries` picks (B, Q, .)."""
        memory = self.encoder(self.embed(features), masking.keep if masking else None)
        tokens = self.decode(memory, masking.restore if masking else None, queries)
        return memory, self.regressor(self.out_proj(tokens))
