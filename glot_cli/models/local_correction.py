"""Local parameter correction (paper section 3.2-3.3): the frames around the middle one correct the global estimate."""

from __future__ import annotations

from torch import Tensor, nn

from glot_cli.models.attention import CrossAttention, Encoder
from glot_cli.models.glot_config import GLoTConfig
from glot_cli.models.regressors import SpatialRegressor, State


class LocalCorrection(nn.Module):
    """Encoder over nearby frames, cross-attention to the global memory, spatial regressor."""

    def __init__(self, config: GLoTConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(config.feature_dim, config.local_dim)
        self.encoder = Encoder(
            2 * config.nearby + 1,
            config.local_dim,
            config.local_layers,
            config.heads,
            config.dropout,
            config.drop_path,
        )
        if config.branches == "both":
            self.memory_embed = nn.Linear(config.global_dim, config.local_dim)
            self.cross_attention = CrossAttention(config.local_dim, config.heads, config.dropout)
        self.regressor = SpatialRegressor(config)

    def tokens(self, embedded: Tensor, memory: Tensor | None, queries: slice) -> Tensor:
        """Embedded nearby frames (B, 2n+1, D) and memory (B, K, global_dim) to (B, Q, D); no residual, as published."""
        tokens = self.encoder(embedded, queries=queries)
        seen: Tensor = tokens if memory is None else self.cross_attention(tokens, self.memory_embed(memory))
        return seen

    def forward(self, nearby: Tensor, memory: Tensor | None, start: State, queries: slice) -> State:
        """Correct the global estimate, which is detached: the local losses train the local branch alone.

        Args:
            nearby: (B, 2n+1, F) features.
            memory: (B, K, global_dim); None for a network without a global branch.
            start: (B, Q, .) global states of the frames that are answered for.
            queries: which those are.

        Returns:
            (B, Q, .).
        """
        corrected: State = self.regressor(self.tokens(self.embed(nearby), memory, queries), start.detach())
        return corrected
